"""The bans of a running gate: a thread that writes what the gate decides and tells it what others decided."""

import threading
import time
from collections import deque
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
_WAITING = 10_000
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
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="dicomgate-bans", daemon=True)

    def start(self) -> Sequence[Entry]:
        """What holds now; from now on changes are told. StoreError when it cannot be read."""
        entries = self._look()
        self._thread.start()
        return entries

    def place(self, ban: Ban) -> None:
        """Keep a ban."""
        self._later(partial(bans.place, self._engine, ban))

    def recorded(self, identifier: str, ended: bool) -> None:
        """The record of its beginning or end is on disk."""
        self._later(partial(bans.recorded, self._engine, identifier, ended=ended))

    def remember(self, memories: Mapping[str, Any]) -> None:
        """Keep what was learned."""
        self._later(partial(bans.remember, self._engine, memories))

    def do(self, job: Job) -> None:
        """Anything else that is slow and about bans, such as telling a firewall. StoreError means: try again."""
        self._later(job)

    def close(self, timeout: float = 5.0) -> None:
        """Do what waits, once, and end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _later(self, job: Job) -> None:
        with self._wake:
            if len(self._jobs) < _WAITING:
                self._jobs.append(job)
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._jobs or self._closing, self._every)
                closing = self._closing
            try:
                self._work()
                entries = self._look()
            except StoreError as error:
                self._pause(str(error))
            except Exception as bug:  # without this thread no ban of a command would ever be noticed
                self._pause(f"a bug: {type(bug).__name__}")
            else:
                self._said(None)
                if entries:
                    self._tell(partial(self._news, entries))
            if closing:
                return

    def _pause(self, trouble: str) -> None:
        self._said(trouble)
        with self._wake:
            self._wake.wait_for(lambda: self._closing, self._every)

    def _work(self) -> None:
        while True:
            with self._wake:
                if not self._jobs:
                    break
                job = self._jobs[0]
            try:
                job()
            except StoreError:
                raise  # it stays the first, to be tried again
            except Exception:
                self._done()  # a bug is not tried again, or nothing behind it would ever be done
                raise
            self._done()
        now = self._clock()
        if now - self._purged >= _PURGE_EVERY:
            self._purged = now
            bans.purge(self._engine, now)

    def _done(self) -> None:
        with self._wake:
            self._jobs.popleft()

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
