"""D18: over a month, somebody retrieves far more often than others of the same role."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import DAY, NOTHING, Detector, party_of
from dicomgate.detect.model import Finding, Severity, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Recent

_TIMES = 3
_OTHERS = 4
"""So many others of the peer are needed to say what is usual among them."""
_DAYS = 30
_PARTIES = 2048
_EVERY = 32
"""Retrievals between two comparisons within a day: one goes through all parties."""


class SlowHarvest(Detector):
    """C-GETs and C-MOVEs stand in for studies. Compared are the parties of one peer: its users, or its AE titles. What
    each did is kept over a restart."""

    id = "D18"
    title = "more retrievals in a month than others of the role"
    severity = Severity.MEDIUM
    technique = "T1119"
    events = (Event.OPERATION,)
    threshold = 1000
    unit = f"C-GETs and C-MOVEs, and {_TIMES} times the median of {_OTHERS} or more others of the peer"
    window = _DAYS * DAY
    learns = True
    hits = "party"
    false_positives = "somebody who collects teaching files or reads for others; one station that does the work of all"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._began: float | None = None
        self._days: Recent[dict[int, int]] = Recent(_PARTIES)  # of "peer<NUL>party": retrievals by day
        self._told: Recent[int] = Recent(_PARTIES)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        party = party_of(record)
        if record.command not in ("C_GET_RQ", "C_MOVE_RQ") or record.peer is None or party is None:
            return NOTHING
        self._began = record.time if self._began is None else min(self._began, record.time)
        key, today = f"{record.peer}\0{party}", int(record.time // DAY)
        days = self._days.get(key)
        if days is None:
            days = {}
            self._days.put(key, days)
        days[today] = days.get(today, 0) + 1
        count = self._within(days, today)
        due = days.get(today) == 1 or count % _EVERY == 0
        if count < self.limit or not due or record.time - self._began < self.settings.learn:
            return NOTHING
        if self._told.get(key) == today:
            return NOTHING
        others = self._others(record.peer, key, today)
        if len(others) < _OTHERS or count < _TIMES * median(others):
            return NOTHING
        self._told.put(key, today)
        usual = int(median(others))
        text = (
            f"{shown(party.value)} retrieved {count} times within {self.span / DAY:g} days;"
            f" half of the others of peer {shown(record.peer)} did so {usual} times or less"
        )
        evidence = {"count": count, "usual": usual}
        return (self.finding(record, party, text, target=party, ago=self.span, evidence=evidence),)

    def _within(self, days: dict[int, int], today: int) -> int:
        """Retrievals within the window; days before it are forgotten, and days to come a clock made up."""
        oldest = today - int(self.span // DAY)
        for day in [day for day in days if not oldest < day <= today]:
            del days[day]
        return sum(days.values())

    def _others(self, peer: str, key: str, today: int) -> list[int]:
        """Of each other party of the peer, without those who retrieved nothing within the window."""
        counts = [
            self._within(days, today)
            for other, days in self._days.items()
            if other != key and other.startswith(f"{peer}\0")
        ]
        return [count for count in counts if count]

    @property
    def evicted(self) -> int:
        return self._days.evicted

    def memory(self) -> Mapping[str, Any]:
        return {
            "began": self._began,
            "days": {key: {str(day): count for day, count in days.items()} for key, days in self._days.items()},
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._began = None if memory["began"] is None else float(memory["began"])
        for key, days in dict(memory["days"]).items():
            self._days.put(str(key), {int(day): int(count) for day, count in list(dict(days).items())[-2 * _DAYS :]})
