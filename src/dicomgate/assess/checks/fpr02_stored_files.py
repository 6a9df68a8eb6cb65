"""FPR-02: do stored files carry what does not belong there? Reads a folder that the user names; counts only."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.wire.text import is_valid_uid

MOST_FILES = 200_000
HEAD = 4096
_PREAMBLE = 128
_MAGIC = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"#!")
_INSTANCE = b"\x02\x00\x03\x00UI"  # (0002,0003) Media Storage SOP Instance UID, explicit VR (PS3.10 7.1)


@dataclass(slots=True)
class Counts:
    """Of files; their names and contents stay where they are."""

    files: int = 0
    dicom: int = 0
    executable: int = 0
    """A preamble that begins like a program (CVE-2019-11687)."""
    unsafe_uid: int = 0
    unreadable: int = 0
    truncated: bool = False


def probe(prober: Prober) -> Counts | Judgement:
    if prober.inputs.files is None:
        return skipped(SkipReason.INPUT, "No folder was named: give --files DIR")
    return count(prober.inputs.files)


@lru_cache(maxsize=1)
def count(folder: Path) -> Counts:
    """Look at the head of every file below the folder; the same for every target, so it is done once."""
    counts = Counts()
    for path in _files(folder):
        if counts.files >= MOST_FILES:
            counts.truncated = True
            break
        counts.files += 1
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
        except OSError:
            counts.unreadable += 1
            continue
        if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
            counts.dicom += 1
            counts.executable += head.startswith(_MAGIC)
            counts.unsafe_uid += not _has_safe_uid(head)
    return counts


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):  # does not follow links to folders
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _has_safe_uid(head: bytes) -> bool:
    start = head.find(_INSTANCE)
    if start < 0:
        return True  # not a proper file meta information; that is another fault
    length = int.from_bytes(head[start + 6 : start + 8], "little")
    return is_valid_uid(head[start + 8 : start + 8 + length].rstrip(b"\0 ").decode("latin-1"))


def judge(seen: Counts) -> Judgement:
    facts: dict[str, Fact] = {field.name: getattr(seen, field.name) for field in fields(seen)}
    if seen.executable or seen.unsafe_uid:
        why = f"{seen.executable} files begin like programs, {seen.unsafe_uid} have a UID that is none"
        return failed(why, **facts)
    if not seen.dicom:
        return inconclusive("There is no DICOM file in the folder", **facts)
    if seen.truncated or seen.unreadable:
        return inconclusive("Not every file was looked at", **facts)
    return passed(f"{seen.dicom} DICOM files without a program's beginning", **facts)


PROCEDURE = Procedure(
    Check(
        "FPR-02",
        "stored files that are programs too",
        (Requirement.R8,),
        Severity.MEDIUM,
        Mode.PASSIVE,
        "nothing; reads the first 4096 bytes of each file in a folder that the user names",
        "a preamble that begins like a program (PE, ELF, Mach-O, script), or an instance UID that is none; counts only",
        "Such a file is an image to the viewer and a program to whoever starts it.",
        "Quarantine them, find out who stored them, and clear preambles on export.",
    ),
    probe,
    judge,
    anyhow=True,
)
