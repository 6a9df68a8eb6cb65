"""DCMTK's command-line clients, where they are installed: a call comes in, what the program reported goes out.

They are looked for by path, because pynetdicom installs scripts of the same names that often stand first in PATH.
"""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomgate.demo.answers import Answered, Answers, Closed, Rejected, Unexpected
from dicomgate.demo.archive import LOOPBACK
from dicomgate.demo.clients import PATIENCE, Call, unchanged
from dicomgate.wire.codes import Rejection, Status

FOLDERS = (Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin"), Path("/opt/local/bin"))

_RESULTS = {"Permanent": 1, "Transient": 2}
_REASONS = {
    "No Reason": 1,
    "App Context Name Not Supported": 2,
    "Calling AE Title Not Recognized": 3,
    "Called AE Title Not Recognized": 7,
}


def program(name: str) -> Path | None:
    """Where DCMTK's `name` is, or None. Scripts are passed over: DCMTK's programs are none."""
    for path in (folder / name for folder in FOLDERS):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(2) != b"#!":
                    return path
    return None


def echo(path: Path, call: Call) -> Answers:
    """One C-ECHO with echoscu."""
    report = _run(path, call)
    return _refused(report) or _finished("C-ECHO", len(re.findall(r"Received Echo Response \(Success\)", report)), 1)


def store(path: Path, call: Call, files: Sequence[Path]) -> Answers:
    """C-STORE each file on one association with storescu."""
    report = _run(path, call, after=[str(file) for file in files])
    stored = len(re.findall(r"Received Store Response \(Success\)", report))
    return _refused(report) or _finished("C-STORE", stored, len(files))


def find(path: Path, call: Call, patient_name: str) -> Answers:
    """C-FIND, Study Root at STUDY level, by patient name, with findscu."""
    report = _run(path, call, ["-S", *_keys("STUDY", f"PatientName={patient_name}", "StudyInstanceUID")])
    matches = len(re.findall(r"Find Response: \d+ \(Pending\)", report))
    final = len(re.findall(r"Received Final Find Response \(Success\)", report))
    return _refused(report) or _finished("C-FIND", final, 1, matches=matches)


def get(path: Path, call: Call, study_instance_uid: str, folder: Path, originals: Mapping[str, Dataset]) -> Answers:
    """C-GET one study into the empty `folder` with getscu."""
    report = _run(path, call, ["-S", "-od", str(folder), *_keys("STUDY", f"StudyInstanceUID={study_instance_uid}")])
    arrived = [dcmread(file) for file in folder.iterdir()]
    final = len(re.findall(r"Received C-GET Response \(Success\)", report))
    return _refused(report) or _finished("C-GET", final, 1, images=unchanged(arrived, originals))


def _keys(level: str, *keys: str) -> list[str]:
    return [word for key in (f"QueryRetrieveLevel={level}", *keys) for word in ("-k", key)]


def _run(path: Path, call: Call, before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
    seconds = str(round(PATIENCE))
    titles = ["-aet", call.calling_ae_title, "-aec", call.called_ae_title]
    command = [str(path), "-v", *titles, "-to", seconds, "-ta", seconds, "-td", seconds, *before]
    try:
        # a fixed program, and arguments made in this package
        done = subprocess.run(  # noqa: S603
            [*command, LOOPBACK, str(call.port), *after],
            check=False,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"F: {path.name} did not end within {3 * PATIENCE:.0f} s"
    return done.stdout + done.stderr


def _refused(report: str) -> Answers:
    """The refusal a report tells of; empty when it tells of none."""
    result = re.search(r"Result: Rejected (Permanent|Transient), Source: Service User", report)
    reason = re.search(r"Reason: (.+)", report)
    if result and reason and reason[1].strip() in _REASONS:
        return (Rejected(Rejection(_RESULTS[result[1]], 1, _REASONS[reason[1].strip()])),)
    fatal = re.search(r"^[FE]: (.+)", report, re.MULTILINE)
    if fatal is None:
        return ()
    return (Closed(),) if "Peer aborted Association" in report else (Unexpected(fatal[1].strip()),)


def _finished(
    command: str, succeeded: int, asked: int, matches: int | None = None, images: int | None = None
) -> Answers:
    if succeeded != asked:
        return (Unexpected(f"{succeeded} of {asked} {command} ended with success"),)
    return (Answered(command, Status.SUCCESS, matches, images),)
