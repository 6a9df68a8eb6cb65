"""Records and checkpoints read back in the order of commits, and the cursors of those who read: Source on SQLite."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from dicomgate.audit.record import FIELDS, Record
from dicomgate.audit.sink import SignedCheckpoint, SourceError
from dicomgate.store.database import StoreError, path_of, told
from dicomgate.store.schema import CHECKPOINTS, RECORDS, SINK_CURSORS, record_of
from dicomgate.store.tail import Tail

_COLUMNS = ", ".join(f'"{name}"' for name in ("sequence", *FIELDS))
_READ = f"SELECT {_COLUMNS} FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?"  # noqa: S608 - names, no values
_CHECKPOINTS = "SELECT size, time, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?"
_KEEP = "INSERT INTO sink_cursors VALUES (?, ?) ON CONFLICT (sink) DO UPDATE SET sequence = excluded.sequence"


class _Cursors:
    """Opens the file anew for each question: it may have been moved or restored meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def cursor(self, sink: str) -> int | None:
        wanted = select(SINK_CURSORS.c.sequence).where(SINK_CURSORS.c.sink == sink)
        with self._asked() as connection:
            return connection.execute(wanted).scalar()

    def keep(self, sink: str, sequence: int) -> None:
        with self._asked(sqlite_begin="BEGIN IMMEDIATE") as connection:
            connection.exec_driver_sql(_KEEP, (sink, sequence))

    @contextmanager
    def _asked(self, sqlite_begin: str = "BEGIN") -> Iterator[Connection]:
        try:
            with told(self._engine), self._engine.connect() as connection:
                # A cursor need not be on the disk at once: what is sent twice is not lost. (In a write-ahead log a
                # commit that is not waited for cannot harm one that is.)
                connection.connection.cursor().execute("PRAGMA synchronous = NORMAL")  # SQLAlchemy would begin first
                with connection.execution_options(sqlite_begin=sqlite_begin).begin():
                    yield connection
        except StoreError as problem:
            raise SourceError(str(problem)) from None
        except sqlite3.Error as problem:
            raise SourceError(f"{path_of(self._engine)}: {problem}") from None


class Feed(_Cursors):
    """The records. What the `tail` of a recorder still has is not asked for."""

    def __init__(self, engine: Engine, tail: Tail | None = None) -> None:
        super().__init__(engine)
        self._tail = tail

    def read(self, after: int, limit: int) -> Sequence[tuple[int, Record | None]]:
        """The next records behind a sequence; see RecordSource."""
        if self._tail is not None and (rows := self._tail.after(after, limit)):
            return [(number, record_of(row)) for number, row in rows]
        with self._asked() as connection:
            # Past SQLAlchemy: its rows would cost half as much again as the records.
            found = connection.connection.cursor().execute(_READ, (after, limit)).fetchall()
        return [(row[0], _record(row)) for row in found]

    def newest(self) -> int:
        with self._asked() as connection:
            return connection.execute(select(func.max(RECORDS.c.sequence))).scalar() or 0

    def newest_checkpoint(self) -> float | None:
        """When the newest checkpoint was signed, in seconds since 1970; None: there is none. Raises SourceError."""
        with self._asked() as connection:
            return connection.execute(select(func.max(CHECKPOINTS.c.time))).scalar()


class CheckpointFeed(_Cursors):
    """The signed checkpoints; the sequence of one is its size."""

    def read(self, after: int, limit: int) -> Sequence[tuple[int, SignedCheckpoint | None]]:
        """The next checkpoints behind a size; see Source."""
        with self._asked() as connection:
            found = connection.exec_driver_sql(_CHECKPOINTS, (after, limit)).all()
        return [(size, SignedCheckpoint(time, note) if isinstance(note, str) else None) for size, time, note in found]

    def newest(self) -> int:
        with self._asked() as connection:
            return connection.execute(select(func.max(CHECKPOINTS.c.size))).scalar() or 0


def _record(row: tuple[Any, ...]) -> Record | None:
    try:
        return record_of(row[1:])
    except ValueError:
        return None
