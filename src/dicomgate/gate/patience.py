"""A question with a deadline. In: an answer, perhaps; out: exactly one answer, in time."""

import asyncio
from collections.abc import Callable

from dicomgate.audit.instance import Known


class Patience:
    """Hands the first answer on to `done`: the one that comes, or after `seconds` that none has come."""

    __slots__ = ("_done", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, done: Callable[[Known], None]) -> None:
        self._done: Callable[[Known], None] | None = done
        self._timer = loop.call_later(seconds, self.answered, f"no answer within {seconds:g} s")

    def answered(self, known: Known) -> None:
        """On the event loop. Whatever comes after the first answer is too late."""
        done, self._done = self._done, None
        self._timer.cancel()
        if done is not None:
            done(known)
