"""A RecordSink that lets others look at every record on its way to the one that keeps them."""

from collections.abc import Sequence
from typing import Protocol

from dicomgate.audit.record import Record
from dicomgate.audit.sink import Recorded, RecordSink


class Observer(Protocol):
    """Takes records without ever blocking or raising; what it has no room for it drops and counts."""

    def offer(self, records: Sequence[Record]) -> None: ...


class ObservedSink:
    """Records go to `sink`; `observers` see them too. What could not be kept was seen all the same."""

    def __init__(self, sink: RecordSink, observers: Sequence[Observer]) -> None:
        self._sink = sink
        self.observers = tuple(observers)
        """Replaced as a whole."""

    @property
    def failing(self) -> str | None:
        """Why records cannot be made durable at this moment, or None when all is well."""
        return self._sink.failing

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        """See RecordSink."""
        self._sink.submit(records, done)
        for observer in self.observers:
            observer.offer(records)
