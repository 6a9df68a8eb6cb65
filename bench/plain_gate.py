"""`python -m bench.plain_gate run -c FILE`: the gate with durable records and nothing that makes an audit of them.

In: the arguments of dicomgate. Out: the same gate, whose records go into the same table in the same group commits, with
the same fsync, but without number, salt and leaf hash in a tree, without checkpoints, and not counted for metrics. No
setting turns these off, and none should; so this program, which no installation has, replaces them.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from sqlalchemy import Connection

from dicomgate.audit.merkle import Frontier
from dicomgate.audit.record import FIELDS, Record
from dicomgate.audit.sink import Recorded
from dicomgate.cli import main, run
from dicomgate.sinks.metrics import Tally
from dicomgate.store import recorder
from dicomgate.store.checkpoints import Checkpoints
from dicomgate.store.database import at_once
from dicomgate.store.schema import Row

_ROWS_PER_STATEMENT = 64


class PlainRecords:
    """In the place of the recorder's Tree: rows only."""

    def append(self, connection: Connection, rows: Sequence[Row]) -> Frontier:
        for start in range(0, len(rows), _ROWS_PER_STATEMENT):
            part = rows[start : start + _ROWS_PER_STATEMENT]
            at_once(connection, _insert(len(part)), tuple(chain.from_iterable(part)))
        return Frontier()

    def frontier(self, connection: Connection) -> Frontier:
        return Frontier()

    def keep(self, frontier: Frontier | None) -> None:
        """There is none."""


class NoCheckpoints(Checkpoints):
    """A tree that never grows is never signed."""

    def due_in(self) -> None:
        return None


class NoTally(Tally):
    """Hands on, and counts nothing."""

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        self._sink.submit(records, done)


@lru_cache
def _insert(rows: int) -> str:
    row = f"({', '.join('?' * len(FIELDS))})"
    columns = ", ".join(f'"{name}"' for name in FIELDS)
    return f"INSERT INTO records ({columns}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - names, no values


if __name__ == "__main__":
    recorder.Tree = PlainRecords  # type: ignore[assignment,misc]
    run.Checkpoints = NoCheckpoints  # type: ignore[misc]
    run.Tally = NoTally  # type: ignore[misc]
    main()
