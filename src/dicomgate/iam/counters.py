"""Counters that forget: the storage of the `limits` library in a fixed amount of memory.

The library's own memory storage keeps every key until it expires, and walks over all of them on a new thread after
each change. A stranger who invents user names decides how many keys there are.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from limits.storage import Storage

CAPACITY = 65_536
"""Keys; some 16 MB."""


class BoundedMemory(Storage):
    """At most `capacity` keys; the one that was counted longest ago makes room."""

    STORAGE_SCHEME = None  # made here only, not from a URL

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """By key: how many, and when it is forgotten."""

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; the key is forgotten `expiry` seconds after it was counted first."""
        with self._lock:
            count, until = self._live(key)
            self._counts[key] = (count + amount, until if count else self._clock() + expiry)
            self._counts.move_to_end(key)
            if len(self._counts) > self._capacity:
                self._counts.popitem(last=False)
            return count + amount

    def get(self, key: str) -> int:
        with self._lock:
            return self._live(key)[0]

    def get_expiry(self, key: str) -> float:
        with self._lock:
            count, until = self._live(key)
            return until if count else self._clock()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            count = len(self._counts)
            self._counts.clear()
            return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._counts.pop(key, None)

    def __len__(self) -> int:
        return len(self._counts)

    def _live(self, key: str) -> tuple[int, float]:
        count, until = self._counts.get(key, (0, 0.0))
        if count and until <= self._clock():
            del self._counts[key]
            return 0, 0.0
        return count, until
