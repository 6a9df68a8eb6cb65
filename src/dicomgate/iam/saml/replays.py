"""What has been presented once, so that it is not taken twice. Identifiers and their ends in; a yes or no out."""

import heapq
import threading
from dataclasses import dataclass, field
from enum import Enum

MOST = 100_000
"""Identifiers kept: an hour of 25 logins a second."""


class Novelty(Enum):
    NEW = "new"
    SEEN = "seen"
    FULL = "full"
    """Nothing can be kept: whether it comes again could not be told."""


@dataclass(slots=True)
class Replays:
    """Threads may share it. It forgets when the process ends.

    `since` is when it began to remember (seconds since 1970); what is older may have been shown to the process before.
    """

    since: float
    most: int = MOST
    _seen: set[bytes] = field(default_factory=set, repr=False)
    _ends: list[tuple[float, bytes]] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, identifier: bytes, until: float, now: float) -> Novelty:
        """Remember it until then. Call it last, when everything else holds: what is refused must stay usable."""
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                self._seen.discard(heapq.heappop(self._ends)[1])
            if identifier in self._seen:
                return Novelty.SEEN
            if len(self._seen) >= self.most:
                return Novelty.FULL
            self._seen.add(identifier)
            heapq.heappush(self._ends, (until, identifier))
            return Novelty.NEW
