"""The contract between whoever makes records and whoever keeps them. The gate is handed a sink by cli/."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from dicomgate.audit.record import Record

Recorded = Callable[[bool], None]
"""Called once, on the event loop: True when the records are on disk, False when they could not be kept."""


class RecordSink(Protocol):
    """Keeps records in the order given, without ever blocking its caller."""

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        """Queue records; with `done`, say when they are durable (fsynced) or that they cannot be.

        Records submitted without `done` are kept on a best effort while the sink is failing: they wait in a
        bounded queue and are written when it recovers; what the bound drops is counted and itself recorded.
        """
        ...

    @property
    def failing(self) -> str | None:
        """Why records cannot be made durable at this moment, or None when all is well."""
        ...


class SourceError(Exception):
    """Records cannot be read back, or a cursor not be kept: where, and why. Holds no value of any record."""


class SignedCheckpoint(NamedTuple):
    """A checkpoint as a signed note, and when it was signed, in seconds since 1970."""

    time: float
    note: str


T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """Reads back what the store keeps, and remembers for each sink beside the store how far it is.

    What is read has a sequence, in the order of commits; numbers grow and may have gaps: a record's is its place, a
    checkpoint's the number of records that it covers. Every method blocks, may be called from any thread, and raises
    SourceError.
    """

    def read(self, after: int, limit: int) -> Sequence[tuple[int, T_co | None]]:
        """The next behind a sequence, each with its own; None for one that cannot be made out any more."""
        ...

    def newest(self) -> int:
        """The sequence of the newest; 0 when there is none."""
        ...

    def cursor(self, sink: str) -> int | None:
        """Up to where this sink has surely delivered; None when it was never here."""
        ...

    def keep(self, sink: str, sequence: int) -> None:
        """Remember it, over restarts. After a loss of power an older one may be found again, never a newer one."""
        ...


RecordSource = Source[Record]
CheckpointSource = Source[SignedCheckpoint]
