"""What is usual here, learned from the records themselves and kept over a restart as JSON values.

Until a site has been watched for `learn` seconds, nothing is usual and thresholds are guesses. Times are seconds
since 1970: what was learned outlives the process.
"""

from collections.abc import Mapping
from typing import Any

from dicomgate.detect.windows import Recent

LEARN = 14 * 86400.0
"""Seconds of records before what was seen counts as usual: two whole weeks, so that each weekday was there twice."""
_TOP = 4
"""Of the hours of two weeks, the fourth highest is about the 99th percentile."""
_VALUES = 64
"""Different values kept of one key."""


class Levels:
    """How much each key does in its busiest hours."""

    def __init__(self, learn: float, period: float = 3600.0, keys: int = 2048) -> None:
        self._learn = learn
        self._period = period
        self._began: float | None = None
        self._levels: Recent[list[float]] = Recent(keys)  # [hour, its total, the highest totals …]

    def add(self, key: str, time: float, amount: float) -> None:
        """Count `amount` into the present hour of this key."""
        self._began = time if self._began is None else min(self._began, time)
        hour = time // self._period
        level = self._levels.get(key)
        if level is None:
            self._levels.put(key, [hour, amount])
        elif level[0] == hour:
            level[1] += amount
        else:
            level[2:] = sorted([*level[2:], level[1]], reverse=True)[:_TOP]
            level[:2] = [hour, amount]

    def peak(self, key: str, time: float, value: float) -> None:
        """Note a level that was reached in the present hour; the highest of an hour counts."""
        level = self._levels.get(key)
        if level is None or level[0] != time // self._period:
            self.add(key, time, value)
        else:
            level[1] = max(level[1], value)

    def usual(self, key: str, time: float) -> float | None:
        """About the 99th percentile of its hours; None while it is not known."""
        if self._began is None or time - self._began < self._learn:
            return None
        level = self._levels.get(key)
        return level[-1] if level is not None and len(level) == 2 + _TOP else None

    def memory(self) -> dict[str, Any]:
        return {"began": self._began, "levels": dict(self._levels.items())}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """ValueError or TypeError for what memory() never made."""
        self._began = None if memory["began"] is None else float(memory["began"])
        for key, level in dict(memory["levels"]).items():
            if len(level) < 2:
                raise ValueError("a level has an hour and a total")
            self._levels.put(str(key), [float(number) for number in level])


class Known:
    """Which values each key has had, since the first record of all."""

    def __init__(self, learn: float, keys: int = 4096, values: int = _VALUES) -> None:
        self._learn = learn
        self._most = values
        self._began: float | None = None
        self._values: Recent[dict[str, None]] = Recent(keys)

    @property
    def evicted(self) -> int:
        return self._values.evicted

    def knows(self, key: str) -> bool:
        """Has this key had any value?"""
        return self._values.get(key) is not None

    def begin(self, time: float) -> None:
        """Records are being looked at: learning goes on from the first of them, whether or not it has a value."""
        self._began = time if self._began is None else min(self._began, time)

    def is_learning(self, time: float) -> bool:
        """Is what is usual not known yet?"""
        return self._began is None or time - self._began < self._learn

    def is_new(self, key: str, value: str, time: float) -> bool:
        """Note it. True when it was never seen before and the time of learning is over."""
        self.begin(time)
        values = self._values.get(key)
        if values is None:
            values = {}
            self._values.put(key, values)
        if value in values:
            return False
        values[value] = None
        if len(values) > self._most:
            del values[next(iter(values))]
        return not self.is_learning(time)

    def memory(self) -> dict[str, Any]:
        return {"began": self._began, "values": {key: list(values) for key, values in self._values.items()}}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """ValueError or TypeError for what memory() never made."""
        self._began = None if memory["began"] is None else float(memory["began"])
        for key, values in dict(memory["values"]).items():
            self._values.put(str(key), {str(value): None for value in list(values)[: self._most]})
