"""Detection beside the event loop: records are queued, a thread of its own shows them to the detectors.

In: records, never blocking. Out, on the event loop: answers to findings, and what is wrong with detection itself.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from dicomgate.audit.record import Event, Record
from dicomgate.detect.ban import Spared
from dicomgate.detect.guard import Guard, Trouble
from dicomgate.detect.response import Answer, Responder
from dicomgate.detect.settings import DetectSettings

CAPACITY = 50_000
"""Records that may wait."""
GATHER = 0.25
"""Seconds between two looks: one wake-up for many records instead of one each."""
REMEMBER_EVERY = 600.0
_AT_ONCE = 64
"""Records between two chances for the event loop to take the interpreter."""

Found = Callable[[Sequence[Answer]], None]
Troubled = Callable[[Sequence[Trouble]], None]


class Sentry:
    """`found` and `troubled` are called through `call_soon` (asyncio: `loop.call_soon_threadsafe`).

    `remember` takes what was learned now and then, on the sentry's thread; `learned` is what it took last time.
    """

    def __init__(
        self,
        settings: DetectSettings,
        responder: Responder,
        call_soon: Callable[[Callable[[], None]], object],
        found: Found,
        troubled: Troubled,
        remember: Callable[[Mapping[str, Any]], None],
        learned: Mapping[str, Any],
        *,
        capacity: int = CAPACITY,
        gather: float = GATHER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._responder = responder
        self._call_soon = call_soon
        self._found = found
        self._troubled = troubled
        self._remember = remember
        self._capacity = capacity
        self._gather = gather
        self._clock = clock
        self._records: deque[Record] = deque()
        self._dropped = 0
        self._fresh: DetectSettings | None = None
        self._closing = False
        self._wake = threading.Condition()
        # The thread's own:
        self._guard = Guard(settings)
        self._guard.recall(learned)
        self._events: frozenset[Event] = self._guard.events  # replaced as a whole
        self._remembered = clock()
        self._thread = threading.Thread(target=self._run, name="dicomgate-sentry", daemon=True)
        self._thread.start()

    def offer(self, records: Sequence[Record]) -> None:
        """Queue records for the detectors."""
        wanted = [record for record in records if record.event in self._events]
        if not wanted:
            return
        with self._wake:
            for record in wanted:
                if len(self._records) >= self._capacity:
                    self._dropped += 1
                    continue
                self._records.append(record)
                if len(self._records) == 1:
                    self._wake.notify()

    def reload(self, settings: DetectSettings, spared: Spared) -> None:
        """New settings: windows begin anew, what was learned stays."""
        self._responder.spared = spared
        if settings != self._responder.settings:
            with self._wake:
                self._fresh = settings
                self._wake.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Look at what waits, keep what was learned, end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._records or self._fresh or self._closing, REMEMBER_EVERY)
                self._wake.wait_for(lambda: self._closing, self._gather)
                records, self._records = self._records, deque()
                dropped, self._dropped = self._dropped, 0
                fresh, self._fresh = self._fresh, None
                closing = self._closing
            if fresh is not None:
                self._take(fresh)
            self._look_at(records, dropped)
            if closing or self._clock() - self._remembered >= REMEMBER_EVERY:
                self._remembered = self._clock()
                self._remember(self._guard.memory())
            if closing:
                return

    def _take(self, settings: DetectSettings) -> None:
        memory = self._guard.memory()
        self._responder.settings = settings
        self._guard = Guard(settings)
        self._guard.recall(memory)
        self._events = self._guard.events

    def _look_at(self, records: deque[Record], dropped: int) -> None:
        answers: list[Answer] = []
        for number, record in enumerate(records, start=1):
            now = self._clock()
            answers += [self._responder.answer(finding, now) for finding in self._guard.see(record)]
            if number % _AT_ONCE == 0:
                time.sleep(0)
        troubles = self._guard.take_troubles()
        if dropped:
            troubles.append(Trouble(None, "records came faster than they could be looked at", dropped))
        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            if answers:
                self._call_soon(partial(self._found, answers))
            if troubles:
                self._call_soon(partial(self._troubled, troubles))
