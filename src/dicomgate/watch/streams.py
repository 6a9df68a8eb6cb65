"""TCP segments of one direction in, bytes in order out (RFC 9293 3.4). Pure and bounded.

What came first counts: a byte that was delivered is not replaced by a later copy, so an overlap cannot rewrite what was
understood. What is lost for good is a gap, and said to be one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MOST_WAITING = 64
"""Segments that wait for an earlier one."""
MOST_WAITING_BYTES = 1024 * 1024
_DOUBTS = 8
"""So many times the receiver says that it has what is waited for, and it counts as lost: a mirror port may show an
answer a little before its question."""
_HALF, _WHOLE = 1 << 31, 1 << 32


@dataclass(frozen=True, slots=True)
class Gap:
    """So many bytes were never seen."""

    size: int


class Stream:
    """One direction. `start` is the sequence number of its first byte."""

    __slots__ = ("_doubts", "_expected", "_held", "_waiting")

    def __init__(self, start: int) -> None:
        self._expected = start
        self._waiting: dict[int, tuple[bytes, int]] = {}
        self._held = 0
        self._doubts = 0

    @property
    def held(self) -> int:
        """Bytes that wait for earlier ones."""
        return self._held

    def is_next(self, sequence: int) -> bool:
        """Does this number follow what was delivered, as far as that can be said while something is missing?"""
        return bool(self._waiting) or sequence == self._expected

    def take(self, sequence: int, payload: memoryview, missing: int) -> Iterator[memoryview | bytes | Gap]:
        """What can be delivered now, in order. `missing` bytes behind the payload were sent and not captured."""
        ahead = _distance(self._expected, sequence)
        if ahead > 0:
            if not payload and not missing:
                return
            self._keep(sequence, payload, missing)
            if len(self._waiting) <= MOST_WAITING and self._held <= MOST_WAITING_BYTES:
                return
            # The one that is waited for will not come any more.
            nearest = min(self._waiting, key=lambda each: _distance(self._expected, each))
            yield Gap(_distance(self._expected, nearest))
            self._expected = nearest
        else:
            yield from self._deliver(payload, missing, -ahead)
        yield from self._ready()

    def _ready(self) -> Iterator[memoryview | bytes | Gap]:
        """What waited, and waits no more."""
        while self._waiting:
            ready = next((each for each in self._waiting if _distance(self._expected, each) <= 0), None)
            if ready is None:
                return
            self._doubts = 0
            kept, lost = self._waiting.pop(ready)
            self._held -= len(kept)
            yield from self._deliver(kept, lost, -_distance(self._expected, ready))

    def acknowledge(self, number: int) -> Iterator[memoryview | bytes | Gap]:
        """The receiver has all bytes before `number`: what of them is still waited for was lost on the way to us."""
        nearest = min(self._waiting, key=lambda each: _distance(self._expected, each), default=self._expected)
        ahead = _distance(self._expected, nearest)
        if ahead <= 0 or _distance(nearest, number) < 0:
            return
        self._doubts += 1
        if self._doubts >= _DOUBTS:
            self._doubts = 0
            yield Gap(ahead)
            self._expected = nearest
            yield from self._ready()

    def finish(self) -> Iterator[memoryview | bytes | Gap]:
        """The connection has ended: what still waits, behind what never came."""
        while self._waiting:
            nearest = min(self._waiting, key=lambda each: _distance(self._expected, each))
            ahead = _distance(self._expected, nearest)
            if ahead > 0:
                yield Gap(ahead)
                self._expected = nearest
            kept, lost = self._waiting.pop(nearest)
            self._held -= len(kept)
            yield from self._deliver(kept, lost, max(0, -ahead))

    def _keep(self, sequence: int, payload: memoryview, missing: int) -> None:
        known = self._waiting.get(sequence)
        if known is not None and len(known[0]) + known[1] >= len(payload) + missing:
            return
        self._held += len(payload) - (len(known[0]) if known is not None else 0)
        self._waiting[sequence] = (bytes(payload), missing)

    def _deliver(self, payload: memoryview | bytes, missing: int, known: int) -> Iterator[memoryview | bytes | Gap]:
        """`known` bytes of it have been delivered before."""
        fresh = payload[known:]
        if fresh:
            self._expected = (self._expected + len(fresh)) % _WHOLE
            yield fresh
        lost = missing - max(0, known - len(payload))
        if lost > 0:
            self._expected = (self._expected + lost) % _WHOLE
            yield Gap(lost)


def _distance(expected: int, sequence: int) -> int:
    """How far `sequence` lies ahead, across the wrap of 32 bits; negative when it lies behind."""
    return (sequence - expected + _HALF) % _WHOLE - _HALF
