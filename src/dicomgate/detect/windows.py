"""Counting within a window, for many keys at once, in bounded memory whatever comes.

Keys that have not been heard of for longest make room for new ones; `evicted` says how many did. `now` is seconds of
one clock that never runs backwards.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

KEYS = 4096
"""Keys told apart by one counter."""
LONGEST_KEY = 128
"""Characters of a key; longer ones that begin alike are taken for one."""
_STEPS = 16
"""A window is cut into so many steps, and forgets one step at a time."""

V = TypeVar("V")


class Recent(Generic[V]):
    """A mapping that forgets the key that was not touched for longest."""

    def __init__(self, keys: int = KEYS) -> None:
        self.evicted = 0
        self._keys = keys
        self._entries: OrderedDict[str, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """Its value, and the key counts as touched."""
        key = key[:LONGEST_KEY]
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: str, value: V) -> None:
        self._entries[key[:LONGEST_KEY]] = value
        self._entries.move_to_end(key[:LONGEST_KEY])
        if len(self._entries) > self._keys:
            self._entries.popitem(last=False)
            self.evicted += 1

    def pop(self, key: str) -> V | None:
        return self._entries.pop(key[:LONGEST_KEY], None)

    def items(self) -> list[tuple[str, V]]:
        """All of them, the one not touched for longest first."""
        return list(self._entries.items())


@dataclass(slots=True)
class _Sum:
    total: float = 0.0
    steps: deque[list[float]] = field(default_factory=deque)  # [when it began, how much]; at most _STEPS + 1


class Counts:
    """How much of something each key did within the last `window` seconds, to a sixteenth of the window."""

    def __init__(self, window: float, keys: int = KEYS) -> None:
        self.window = window
        self._step = window / _STEPS
        self._sums: Recent[_Sum] = Recent(keys)

    def __len__(self) -> int:
        return len(self._sums)

    @property
    def evicted(self) -> int:
        return self._sums.evicted

    def add(self, key: str, now: float, amount: float = 1.0) -> float:
        """Count `amount` in; the total within the window."""
        entry = self._sums.get(key)
        if entry is None:
            entry = _Sum()
            self._sums.put(key, entry)
        steps = entry.steps
        while steps and steps[0][0] <= now - self.window:
            entry.total -= steps.popleft()[1]
        if steps and now < steps[-1][0] + self._step:
            steps[-1][1] += amount
        else:
            steps.append([now, amount])
        entry.total += amount
        return entry.total

    def since(self, key: str, now: float) -> float:
        """How many seconds ago the oldest of it was."""
        entry = self._sums.get(key)
        return now - entry.steps[0][0] if entry is not None and entry.steps else 0.0

    def forget(self, key: str) -> None:
        """Begin anew with this key."""
        self._sums.pop(key)


class Distinct:
    """How many different values each key had within the last `window` seconds; at most `most` are told apart."""

    def __init__(self, window: float, most: int, keys: int = KEYS) -> None:
        self.window = window
        self._most = most
        self._values: Recent[OrderedDict[str, float]] = Recent(keys)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def evicted(self) -> int:
        return self._values.evicted

    def add(self, key: str, value: str, now: float) -> int:
        """Note a value; how many different ones there are now."""
        values = self._values.get(key)
        if values is None:
            values = OrderedDict()
            self._values.put(key, values)
        value = value[:LONGEST_KEY]
        values[value] = now
        values.move_to_end(value)
        while values and (len(values) > self._most or next(iter(values.values())) <= now - self.window):
            values.popitem(last=False)
        return len(values)

    def since(self, key: str, now: float) -> float:
        """How many seconds ago the oldest of them came."""
        values = self._values.get(key)
        return now - next(iter(values.values())) if values else 0.0

    def forget(self, key: str) -> None:
        self._values.pop(key)
