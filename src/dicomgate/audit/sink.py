"""The contract between whoever makes records and whoever keeps them. The gate is handed a sink by cli/."""

from collections.abc import Callable, Sequence
from typing import Protocol

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
