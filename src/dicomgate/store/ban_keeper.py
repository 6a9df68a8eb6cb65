"""The bans of a running gate: a thread that writes what the gate decides and tells it what others decided.

Nothing that waits is ever left out, also while the store fails for hours. It stays bounded, because what waits is kept
by what it is about: as many bans as the gate lets be placed, two marks for each, one errand for each address, and the
newest memory.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy import Engine

from dicomgate.detect.ban import Ban
from dicomgate.store import bans
from dicomgate.store.bans import Entry
from dicomgate.store.database import StoreError

LOOK_EVERY = 1.0
"""Seconds between two looks at the store."""
_PURGE_EVERY = 3600.0

News = Callable[[Sequence[Entry]], None]
Trouble = Callable[[str | None], None]
Job = Callable[[], None]


class BanKeeper:
    """`news` and `trouble` are called through `call_soon` (asyncio: `loop.call_soon_threadsafe`).

    `trouble` is told once why bans cannot be read or written, and None once they can again. What could not be
    written waits, and is tried again at every look.
    """

    def __init__(
        self,
        engine: Engine,
        call_soon: Callable[[Job], object],
        news: News,
        trouble: Trouble,
        *,
        every: float = LOOK_EVERY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._call_soon = call_soon
        self._news = news
        self._trouble = trouble
        self._every = every
        self._clock = clock
        self._revision = 0
        self._seen: dict[str, Entry] = {}
        self._failing: str | None = None
        self._purged = 0.0
        self._placed: dict[str, Ban] = {}  # by identifier, to be written
        self._marks: dict[tuple[str, bool], None] = {}
        self._memory: Mapping[str, Any] | None = None
        self._errands: dict[str, Job] = {}
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="dicomgate-bans", daemon=True)

    def start(self) -> Sequence[Entry]:
        """What holds now; from now on changes are told. StoreError when it cannot be read."""
        entries = self._look()
        self._thread.start()
        return entries

    @property
    def waiting(self) -> int:
        """How much is still to be done."""
        with self._wake:
            return len(self._placed) + len(self._marks) + len(self._errands) + (self._memory is not None)

    def place(self, ban: Ban) -> None:
        """Keep a ban."""
        with self._wake:
            self._placed[ban.identifier] = ban
            self._wake.notify()

    def recorded(self, identifier: str, ended: bool) -> None:
        """The record of its beginning or end is on disk."""
        with self._wake:
            self._marks[identifier, ended] = None
            self._wake.notify()

    def remember(self, memories: Mapping[str, Any]) -> None:
        """Keep what was learned; what was to be kept before is outdated."""
        with self._wake:
            self._memory = memories
            self._wake.notify()

    def run_errand(self, about: str, job: Job) -> None:
        """Anything else that is slow and concerns bans, once; an earlier one about the same that waits is outdated."""
        with self._wake:
            self._errands.pop(about, None)  # the newest comes last
            self._errands[about] = job
            self._wake.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Do what waits, once, and end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._busy or self._closing, self._every)
                closing = self._closing
            # Whatever keeps bans from being written, those of a command are heard of.
            troubles = self._attempt(self._work), self._attempt(self._hear)
            trouble = next((each for each in troubles if each is not None), None)
            self._said(trouble)
            if closing:
                return
            if trouble is not None:
                with self._wake:
                    self._wake.wait_for(lambda: self._closing, self._every)

    def _attempt(self, job: Job) -> str | None:
        """Why it failed, or None."""
        try:
            job()
        except StoreError as error:
            return str(error)
        except Exception as bug:  # without this thread no ban of a command would ever be noticed
            return f"a bug: {type(bug).__name__}"
        return None

    @property
    def _busy(self) -> bool:
        return bool(self._placed or self._marks or self._errands or self._memory is not None)

    def _work(self) -> None:
        """All that waits, each kind in one transaction. What the store did not take stays, and is tried again."""
        with self._wake:
            placed, marks, memory = tuple(self._placed.values()), tuple(self._marks), self._memory
            errands, self._errands = self._errands, {}
        for errand in errands.values():  # first: a firewall does not wait for a store
            self._said(self._attempt(errand))
        if placed:
            bans.place(self._engine, *placed)
            with self._wake:
                for ban in placed:
                    del self._placed[ban.identifier]
        if marks:
            bans.recorded(self._engine, marks)
            with self._wake:
                for mark in marks:
                    del self._marks[mark]
        if memory is not None:
            bans.remember(self._engine, memory)
            with self._wake:
                if self._memory is memory:
                    self._memory = None
        now = self._clock()
        if now - self._purged >= _PURGE_EVERY:
            self._purged = now
            bans.purge(self._engine, now)

    def _hear(self) -> None:
        if entries := self._look():
            self._tell(partial(self._news, entries))

    def _look(self) -> list[Entry]:
        """What is new since the last look."""
        now = self._clock()
        entries = bans.changed(self._engine, self._revision, now)
        fresh = [each for each in entries if self._seen.get(each.ban.identifier) != each or _lacks_a_record(each, now)]
        self._seen = {name: entry for name, entry in self._seen.items() if entry.ban.in_force(now)}
        for entry in entries:
            self._revision = max(self._revision, entry.revision)
            self._seen[entry.ban.identifier] = entry
        return fresh

    def _said(self, failing: str | None) -> None:
        if failing != self._failing:
            self._failing = failing
            self._tell(partial(self._trouble, failing))

    def _tell(self, job: Job) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            self._call_soon(job)


def _lacks_a_record(entry: Entry, now: float) -> bool:
    return not entry.placed_recorded or not (entry.ended_recorded or entry.ban.in_force(now))
