"""Calls at their time, on one thread. What is called must be short: a deadline's end, an answer that was held back."""

import heapq
import threading
import time
from collections.abc import Callable

Call = Callable[[], None]


class Timer:
    """`due` is a reading of `time.monotonic`. Calls of the same time are made in the order they were given."""

    def __init__(self) -> None:
        self._calls: list[tuple[float, int, Call]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="dicomgate-identity-timer", daemon=True)
        self._thread.start()

    def at(self, due: float, call: Call) -> None:
        """After `close` the call is made at once, by the caller."""
        with self._changed:
            if not self._closing:
                self._count += 1
                heapq.heappush(self._calls, (due, self._count, call))
                if self._calls[0][1] == self._count:
                    self._changed.notify()
                return
        call()

    def close(self) -> None:
        """Make every call that still waits, now."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call()

    def _next(self) -> Call | None:
        with self._changed:
            while not self._closing and (not self._calls or self._calls[0][0] > time.monotonic()):
                self._changed.wait(self._calls[0][0] - time.monotonic() if self._calls else None)
            return heapq.heappop(self._calls)[2] if self._calls else None
