"""The newest records, kept in memory for whoever follows the trail: rows of each commit in, the next ones out.

A sink reads what was committed a moment ago. Out of the database each row would cost more than sending it: SQLite is
opened anew, and the interpreter's lock changes hands at every row, at the expense of the event loop.
"""

import threading
from collections.abc import Sequence

from dicomgate.store.schema import Row

CAPACITY = 4000
"""Records, some MB: what a busy gate commits in a second. Who is further behind reads the database."""


class Tail:
    """Only rows that are surely on disk, without a gap. One thread extends it, any thread reads."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._first = 0  # the number of the first row
        self._rows: list[Row] = []

    def extend(self, first: int, rows: Sequence[Row]) -> None:
        """These rows are committed, numbered from `first`.

        When that does not follow, somebody else has written between, and what came before is forgotten.
        """
        with self._lock:
            if first != self._first + len(self._rows):
                self._first, self._rows = first, []
            self._rows += rows
            if len(self._rows) > 2 * self._capacity:
                self._first += len(self._rows) - self._capacity
                del self._rows[: -self._capacity]

    def clear(self) -> None:
        """The database may be another one by now."""
        with self._lock:
            self._first, self._rows = 0, []

    def after(self, number: int, limit: int) -> Sequence[tuple[int, Row]]:
        """The rows behind this one. Empty: ask the database, which may have some, of others or from earlier."""
        with self._lock:
            at = number + 1 - self._first
            rows = self._rows[at : at + limit] if at >= 0 else []
        return list(enumerate(rows, number + 1))
