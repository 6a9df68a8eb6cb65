"""Old records out of the store, their leaf hashes kept: the tree stays whole, what they said is gone.

A pruning is announced by a record, in the transaction that allows it; then the records go, some at a time. Only what a
signed checkpoint covers is pruned, and only what still fits its leaf: an altered record stays, as evidence.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection

from dicomgate.audit.leaf import NotCanonicalError, is_salt, salted_leaf
from dicomgate.audit.record import FIELDS, Event, Outcome, Record, iso_time
from dicomgate.store.database import StoreError, path_of
from dicomgate.store.schema import Row, canonical_text, row_of
from dicomgate.store.tree import pruned_size

LOOK_SECONDS = 3600.0
"""How often it looks for old records; the first time after the gate has run so long."""
CLOCK_SECONDS = 300.0
"""If the clock has moved by more than this against the time that has passed, nothing is pruned until it is steady."""
ROWS_PER_STEP = 500
"""What is pruned in one transaction; an admission may have to wait for it."""

Needed = Callable[[], int | None]
"""The first record that somebody has still to read (a sink that could not deliver it), or None."""


class Retention:
    """What may be pruned, and when. For the one thread that writes to the store."""

    def __init__(
        self,
        keep: float,
        *,
        needed: Needed = lambda: None,
        report: Callable[[str], None] = lambda reason: None,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`keep`: seconds after which a record may go. `report` is told why a step of pruning was not possible."""
        self.report = report
        self._keep = keep
        self._needed = needed
        self._clock = clock
        self._elapsed = elapsed
        self._anchor = (clock(), elapsed())
        self._look_at = elapsed()  # first: goes on with what was announced before a restart
        self._pending = False  # whether something announced may be left to prune

    def due_in(self) -> float:
        """Seconds until there is something to do (0: now)."""
        return 0.0 if self._pending else max(0.0, self._look_at - self._elapsed())

    def announcement(self, connection: Connection) -> Row | None:
        """When it is time to look, and there are old records: the record that says they are pruned from now on.

        The caller appends it in the same transaction, which also allows the pruning.
        """
        if self._pending or self._look_at > self._elapsed():
            return None
        self._look_at = self._elapsed() + LOOK_SECONDS
        self._pending = True
        pruned = pruned_size(connection)
        if _announced(connection) > pruned or not self._steady():
            return None
        last = self._last_to_go(connection, pruned)
        if last <= pruned:
            return None
        connection.exec_driver_sql("UPDATE tree SET prune_to = ? WHERE only = 1", (last,))
        now = self._clock()
        detail: dict[str, object] = {"first": pruned + 1, "last": last, "before": iso_time(now - self._keep)}
        return row_of(Record(now, Event.RECORDS_PRUNED, Outcome.SUCCESS, reason="older than audit.keep", detail=detail))

    def step(self, connection: Connection) -> None:
        """Prune some of what was announced, in the caller's transaction. StoreError at a record that was tampered with.

        Whatever it raises, it does not try again until the next look.
        """
        self._pending = False
        first, last = pruned_size(connection) + 1, _announced(connection)
        rows = connection.exec_driver_sql(_OLD, (first, last, ROWS_PER_STEP)).all()
        packed = []
        for number, row in enumerate(rows, first):
            if row[0] != number or not _is_whole(number, row[1:-2], row[-2], row[-1]):
                raise StoreError(
                    f"{path_of(connection.engine)}: record {number} was altered or removed, so it is not pruned\n"
                    "hint: dicomgate audit verify"
                )
            packed.append(row[-1])
        if not packed:
            return
        end = first + len(packed) - 1
        connection.exec_driver_sql("INSERT INTO pruned (first, leaves) VALUES (?, ?)", (first, b"".join(packed)))
        connection.exec_driver_sql("DELETE FROM records WHERE sequence BETWEEN ? AND ?", (first, end))
        connection.exec_driver_sql("DELETE FROM checkpoints WHERE size < ?", (end,))
        self._pending = end < last

    def _steady(self) -> bool:
        """Whether the clock has gone as fast as time for as long as it takes: a clock set wrong must not prune."""
        wall, passed = self._clock() - self._anchor[0], self._elapsed() - self._anchor[1]
        if abs(wall - passed) > CLOCK_SECONDS:
            self._anchor = (self._clock(), self._elapsed())
            return False
        return passed >= LOOK_SECONDS

    def _last_to_go(self, connection: Connection, pruned: int) -> int:
        """The last record of those that are all old, that nobody needs, and that a checkpoint covers; 0: none."""
        cut = self._clock() - self._keep
        first_young = connection.exec_driver_sql(_YOUNG, (pruned, cut)).scalar()
        needed = self._needed()
        ends = [number - 1 for number in (first_young, needed) if number is not None]
        end = min(ends) if ends else None
        if end is None:
            return connection.exec_driver_sql("SELECT MAX(size) FROM checkpoints").scalar() or 0
        return connection.exec_driver_sql("SELECT MAX(size) FROM checkpoints WHERE size <= ?", (end,)).scalar() or 0


def _announced(connection: Connection) -> int:
    last = connection.exec_driver_sql("SELECT prune_to FROM tree WHERE only = 1").scalar_one()
    return last if isinstance(last, int) else 0


def _is_whole(number: int, row: Row, salt: object, leaf: object) -> bool:
    try:
        return isinstance(salt, bytes) and is_salt(salt) and salted_leaf(salt, canonical_text(number, row)) == leaf
    except NotCanonicalError:
        return False


_NAMES = ", ".join(f'"{name}"' for name in ("sequence", *FIELDS, "salt", "leaf"))
_OLD = f"SELECT {_NAMES} FROM records WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"  # noqa: S608 - names
_YOUNG = "SELECT sequence FROM records WHERE sequence > ? AND +time >= ? ORDER BY sequence LIMIT 1"
"""The plus keeps SQLite from the index on time: it would sort all young records to find the first."""
