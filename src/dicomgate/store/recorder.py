"""Records in from the event loop, rows on disk out, with one fsync for everything that came in meanwhile."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dicomgate.audit.instance import Memory, Settled, memory_of
from dicomgate.audit.merkle import Frontier
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import Recorded
from dicomgate.store.checkpoints import Checkpoints
from dicomgate.store.database import StoreError, because, path_of, try_write
from dicomgate.store.instances import remember
from dicomgate.store.retention import Retention
from dicomgate.store.schema import Row, rescued, row_of
from dicomgate.store.tail import Tail
from dicomgate.store.tree import ODD_VALUE, Tree

Call = Callable[[], None]
Health = Callable[[str | None], None]
"""Told once when records can no longer be kept (why), and once when they can again (None)."""

CAPACITY = 100_000
"""Records that may wait, about 100 MB of memory."""
RETRY_SECONDS = 1.0

LAZY_SECONDS = 0.1
"""How long records that nobody waits for may lie, to be written with an admission that comes meanwhile."""

GATHER_SECONDS = 0.004
"""How long a commit waits for as many admissions as the one before it had, when that had more than one."""

_ENTRIES_PER_COMMIT = 500  # a flood of records must not hold up the admission that comes behind it


@dataclass(slots=True)
class _Entry:
    rows: list[Row]
    done: Recorded | None
    memories: list[tuple[int, Memory]]
    """What is to be remembered of stored instances, each with its place among the rows."""


class Recorder:
    """The RecordSink on a store: one writer thread, its own connection, one transaction for all that waits.

    `submit` is for one thread, that of the event loop; `done` and `health` are called there too, through
    `call_soon` (asyncio: `loop.call_soon_threadsafe`), all news of one commit in one call.
    `noticed` is told, on the writer thread, of the record of lost records that the recorder makes itself.
    When a commit fails, every waiting `done` gets False at once and its records are forgotten: what was not
    admitted must not turn up later as admitted. Records without `done` wait, up to `capacity`. Until a retry
    succeeds (each `retry` seconds, also when nothing waits) every `done` gets False without a try.
    `settled` is told which instances the committed, or lost, records let the store remember.
    After a commit that several admissions shared, the next waits up to `gather` seconds for as many; one that comes
    alone is written at once.
    Between commits the same thread signs `checkpoints` and does the pruning of `retention`.
    `committed` is called on the writer's thread after each commit that holds new records; it must not block. By then
    `tail` has them.
    """

    def __init__(
        self,
        engine: Engine,
        call_soon: Callable[[Call], object],
        health: Health,
        *,
        capacity: int = CAPACITY,
        retry: float = RETRY_SECONDS,
        lazy: float = LAZY_SECONDS,
        gather: float = GATHER_SECONDS,
        clock: Callable[[], float] = time.time,
        checkpoints: Checkpoints | None = None,
        retention: Retention | None = None,
        noticed: Callable[[Record], None] = lambda record: None,
        committed: Call | None = None,
        tail: Tail | None = None,
        settled: Settled | None = None,
    ) -> None:
        self._engine = engine
        self._path = path_of(engine)
        self._call_soon = call_soon
        self._health = health
        self._capacity = capacity
        self._retry = retry
        self._lazy = lazy
        self._gather = gather
        self._clock = clock
        self._noticed = noticed
        self._checkpoints = checkpoints
        self._retention = retention
        self._committed = committed
        self._tail = tail
        self._settled = settled
        # Under _changed: everything down to _gave_up. Only the writer takes entries out.
        self._changed = threading.Condition(threading.Lock())
        self._urgent: deque[_Entry] = deque()  # somebody waits for these: they are written first
        self._entries: deque[_Entry] = deque()  # the rest, some at a time
        self._waiting = 0  # records in `_entries`
        self._lost = 0
        self._failing: str | None = None
        self._closing = False
        self._gave_up = False
        self._wanted = 1  # as many in `_urgent` wake the writer
        self._dozing = False  # the writer looks at `_entries` by itself before long
        # The writer's own:
        self._shared = 1  # how many admissions the last commit had
        self._connection: Connection | None = None
        self._tree = Tree()
        self._file: os.stat_result | None = None
        self._thread = threading.Thread(target=self._write_until_closed, name="dicomgate-records")
        self._thread.start()

    @property
    def failing(self) -> str | None:
        """Why records cannot be made durable at this moment, or None when all is well."""
        return self._failing

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        """Queue records, all or (when they do not fit) none; see RecordSink."""
        rows = [row_of(record) for record in records]
        memories = [(at, memory) for at, record in enumerate(records) if (memory := memory_of(record)) is not None]
        with self._changed:
            if done is not None:
                if self._failing is None and not self._closing:
                    self._urgent.append(_Entry(rows, done, memories))
                    if len(self._urgent) == self._wanted:
                        self._changed.notify()  # otherwise the writer knows already, or waits for more
                    return
            elif self._closing or self._waiting + len(rows) > self._capacity:
                self._lost += len(rows)
            else:
                self._entries.append(_Entry(rows, None, memories))
                self._waiting += len(rows)
                if len(self._entries) == 1 and not self._dozing and self._failing is None:
                    self._changed.notify()
                return
        self._tell(self._settlements(memories))
        if done is not None:
            self._call_soon(partial(done, False))

    def close(self, timeout: float) -> int:
        """Write what waits, end the writer; how many records could not be kept. Waits at most `timeout` seconds.

        When the store fails meanwhile, one last try is made. Afterwards `submit` keeps nothing and says so.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        with self._changed:
            return self._waiting + self._lost

    def _write_until_closed(self) -> None:
        while (work := self._next()) is not None:
            entries, lost = work
            try:
                frontier, note = self._commit(entries, lost)
            except Exception as problem:  # whatever it is: a gate whose writer died would wait for ever
                self._failed(_reason(self._path, problem))
            else:
                self._kept(entries, lost)
                self._hand_on(frontier, note)
                self._prune()
        self._sign_at_the_end()
        self._disconnect()

    def _next(self) -> tuple[list[_Entry], int] | None:
        with self._changed:
            if self._failing is None:
                self._wait_for_work()
            else:
                self._changed.wait_for(lambda: self._closing, self._retry)
            if self._closing and (self._gave_up or not (self._urgent or self._entries or self._lost)):
                return None
            return [*self._urgent, *islice(self._entries, _ENTRIES_PER_COMMIT)], self._lost

    def _wait_for_work(self) -> None:
        """A wake-up costs the event loop as much as the writer: while there is traffic, only admissions wake it."""
        chores = self._until_chores()
        self._doze(self._lazy if chores is None else min(self._lazy, chores))
        if not (self._urgent or self._entries):
            self._changed.wait_for(lambda: self._urgent or self._entries or self._lost or self._closing, chores)
            if self._entries:
                self._doze(self._lazy)
        if self._shared > 1 and self._urgent:
            self._wanted = self._shared
            self._changed.wait_for(lambda: len(self._urgent) >= self._wanted or self._closing, self._gather)
            self._wanted = 1

    def _doze(self, seconds: float) -> None:
        """Records that nobody waits for may lie meanwhile."""
        self._dozing = True
        self._changed.wait_for(lambda: self._urgent or self._closing, seconds)
        self._dozing = False

    def _until_chores(self) -> float | None:
        """Seconds until a checkpoint or a pruning is due, though no record comes."""
        chores = [] if self._retention is None else [self._retention.due_in()]
        if self._checkpoints is not None and (due := self._checkpoints.due_in()) is not None:
            chores.append(due)
        return min(chores, default=None)

    def _commit(self, entries: list[_Entry], lost: int) -> tuple[Frontier, str | None]:
        """Everything in one transaction: the tree after it, and the checkpoint if one was due."""
        rows: list[Row] = []
        memories: list[tuple[int, Memory]] = []
        for entry in entries:
            memories += [(len(rows) + at, memory) for at, memory in entry.memories]
            rows += entry.rows
        if lost:
            rows.append(row_of(self._loss(lost)))
        connection = self._connected()
        try:
            return self._transact(connection, rows, memories)
        except ODD_VALUE:
            return self._transact(connection, [rescued(row) for row in rows], memories)

    def _transact(
        self,
        connection: Connection,
        rows: list[Row],
        memories: Sequence[tuple[int, Memory]] = (),
        *,
        at_the_end: bool = False,
    ) -> tuple[Frontier, str | None]:
        note = None
        with connection.begin():
            if self._failing is not None and not rows:
                try_write(connection)
            if self._retention is not None and (announcement := self._retention.announcement(connection)):
                rows = [*rows, announcement]
            frontier = self._tree.append(connection, rows) if rows else self._tree.frontier(connection)
            if memories:
                first = frontier.size - len(rows) + 1
                remember(connection, [(first + at, memory) for at, memory in memories])
            if self._checkpoints is not None:
                note = self._checkpoints.sign(connection, frontier, at_once=at_the_end)
            self._check_file()
        self._tree.keep(frontier)
        if self._tail is not None:
            self._tail.extend(frontier.size - len(rows) + 1, rows)
        return frontier, note

    def _hand_on(self, frontier: Frontier, note: str | None) -> None:
        """Bring the checkpoint file up to date, after those who wait for the commit have been told."""
        if self._checkpoints is not None:
            self._checkpoints.committed(self._connected(), frontier, note)

    def _prune(self) -> None:
        if self._retention is None or self._retention.due_in():
            return
        try:
            connection = self._connected()
            with connection.begin():
                self._retention.step(connection)
                self._check_file()
        except Exception as problem:  # nothing is lost by it, and it is tried again with the next look
            self._disconnect()
            self._retention.report(_reason(self._path, problem))

    def _sign_at_the_end(self) -> None:
        """So that every record of this run is signed, however short it was."""
        if self._checkpoints is None or self._failing is not None:
            return
        try:
            self._hand_on(*self._transact(self._connected(), [], at_the_end=True))
        except Exception as problem:
            self._failed(_reason(self._path, problem))

    def _check_file(self) -> None:
        """An unlinked file takes commits without complaint, and they are gone when the gate ends."""
        if self._file is None or not os.path.samestat(self._file, os.stat(self._path)):
            raise StoreError(f"{self._path}: replaced by another file while in use")

    def _kept(self, entries: list[_Entry], lost: int) -> None:
        if lost:
            self._noticed(self._loss(lost))
        self._shared = sum(entry.done is not None for entry in entries)
        with self._changed:
            for entry in entries:
                if entry.done is not None:
                    self._urgent.popleft()
                else:
                    self._entries.popleft()
                    self._waiting -= len(entry.rows)
            self._lost -= lost
            recovered, self._failing = self._failing is not None, None
        if self._committed is not None and entries:
            self._committed()
        news: list[Call] = [partial(self._health, None)] if recovered else []
        news += self._settlements([memory for entry in entries for memory in entry.memories])
        self._tell(news + [partial(entry.done, True) for entry in entries if entry.done is not None])

    def _failed(self, reason: str) -> None:
        self._disconnect()
        news: list[Call] = []
        with self._changed:
            if self._failing is None:
                news.append(partial(self._health, reason))
                news += [partial(entry.done, False) for entry in self._urgent if entry.done is not None]
                news += self._settlements([memory for entry in self._urgent for memory in entry.memories])
                self._urgent.clear()
            self._failing = reason
            self._gave_up = self._closing
        self._tell(news)

    def _settlements(self, memories: Sequence[tuple[int, Memory]]) -> list[Call]:
        if self._settled is None or not memories:
            return []
        return [partial(self._settled, [memory.instance for _, memory in memories])]

    def _tell(self, news: list[Call]) -> None:
        if news:
            # RuntimeError: the event loop is closed. Nobody is left to be told, what waits must still be written.
            with suppress(RuntimeError):
                self._call_soon(partial(self._call_each, iter(news)))

    def _call_each(self, calls: Iterator[Call]) -> None:
        try:
            for call in calls:
                call()
        finally:
            self._tell(list(calls))  # those behind one that raised: their associations wait too

    def _loss(self, lost: int) -> Record:
        reason = "the queue was full while records could not be written"
        return Record(self._clock(), Event.RECORDS_LOST, Outcome.FAILURE, reason=reason, detail={"count": lost})

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(sqlite_begin="BEGIN IMMEDIATE")
            self._file = os.stat(self._path)
        return self._connection

    def _disconnect(self) -> None:
        """So that a retry opens the file anew: it may have been restored or moved back meanwhile."""
        self._tree.keep(None)
        if self._tail is not None:
            self._tail.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _reason(path: Path, problem: Exception) -> str:
    match problem:
        case StoreError():
            return str(problem)
        case DBAPIError():
            return f"{path}: {because(problem)}"
        case OSError():
            return f"{path}: {problem.strerror}"
        case _:
            return f"{path}: {type(problem).__name__}"
