"""What is known of a stored SOP instance: the contract between the session, which digests it as it passes, and whoever
remembers. Records in, what to remember of them out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dicomgate.audit.record import Event, Record
from dicomgate.wire.codes import status_class


@dataclass(frozen=True, slots=True)
class Instance:
    """A SOP instance as one archive keeps it; two archives may well keep it in different transfer syntaxes."""

    archive: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Version:
    """Its content: the SHA-256 (lower-case hexadecimal) of its data set in this transfer syntax, byte for byte."""

    transfer_syntax: str
    sha256: str


class Content(StrEnum):
    """What the content of a C-STORE is, beside what is known of its instance."""

    FIRST = "first"
    SAME = "same"
    CORRECTION = "correction"
    CHANGED = "changed"
    UNKNOWN = "unknown"
    """The store could not be asked."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a record gives to remember. Only a correction replaces what was known before."""

    instance: Instance
    version: Version
    time: float
    replaces: bool


Known = Version | str | None
"""What is known of an instance: a version, None where nobody has stored it yet, or why that cannot be said."""


class Recollection(Protocol):
    """Can say which version of an instance was stored, as far as that is on disk; never blocks its caller."""

    def ask(self, instance: Instance, done: Callable[[Known], None]) -> None:
        """`done` is called once, later, on the event loop."""


Settled = Callable[[Sequence[Instance]], None]
"""Told, on the event loop, of which instances the memories are on disk, or lost for good."""


def memory_of(record: Record) -> Memory | None:
    """What is to be remembered of a record: the content of a C-STORE that the archive says it has.

    Changed content never is: an alert must not turn what it warns of into what is known.
    """
    detail = record.detail
    digest = detail.get("sha256")
    if digest is None or record.event is not Event.OPERATION:
        return None
    syntax, content = detail.get("transfer_syntax"), detail.get("content")
    if (
        not isinstance(digest, str)
        or not isinstance(syntax, str)
        or record.archive is None
        or record.sop_instance_uid is None
        or record.status is None
        or status_class(int(record.status, 16)) not in ("success", "warning")
        or content == Content.CHANGED
    ):
        return None
    instance = Instance(record.archive, record.sop_instance_uid)
    return Memory(instance, Version(syntax, digest), record.time, content == Content.CORRECTION)
