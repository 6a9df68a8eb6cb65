"""All detectors of one gate: records in, findings out, and what is wrong with the detectors themselves.

A detector that raises is switched off, the others go on. The same finding about the same subject is told once a
minute; one detector tells so many a minute at most. What is left out is counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dicomgate.audit.record import Event, Record
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.detector import NOTHING, Detector
from dicomgate.detect.model import Finding
from dicomgate.detect.settings import DetectSettings, RuleMode
from dicomgate.detect.windows import Recent

QUIET = 60.0
"""Seconds in which a finding about the same subject is not told again."""
MOST = 500
"""Findings of one detector within QUIET."""
_BACK = 60.0
"""Seconds by which a record may be older than the last without the clock having been set back."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Detection does not see or tell all: which detector (None: the whole), why, and how often."""

    detector: str | None
    reason: str
    count: int = 1


class Guard:
    """Not for several threads at once. `detectors` are classes, the whole catalogue unless others are given."""

    def __init__(self, settings: DetectSettings, detectors: Iterable[type[Detector]] = DETECTORS) -> None:
        self.settings = settings
        self._detectors = {
            kind.id: kind(settings) for kind in detectors if settings.mode_of(kind.id) is not RuleMode.OFF
        }
        self._by_event: dict[Event, list[Detector]] = {}
        for detector in self._detectors.values():
            for event in () if detector.idle else detector.events:
                self._by_event.setdefault(event, []).append(detector)
        self._told: Recent[float] = Recent()
        self._told_of: dict[str, list[float]] = {}  # detector: [when its minute began, how many, how many left out]
        self._now = 0.0
        self._newest: float | None = None
        self._troubles: list[Trouble] = []

    def see(self, record: Record) -> list[Finding]:
        """What every detector concludes from this record."""
        now = self._clock(record.time)
        found: list[Finding] = []
        for detector in tuple(self._by_event.get(record.event, ())):
            try:
                seen = detector.see(record, now)
                if seen is NOTHING:
                    continue
                findings = tuple(seen)
            except Exception as bug:
                self._switch_off(detector, bug)
                continue
            found += [finding for finding in findings if self._worth_telling(finding, now)]
        return found

    def take_troubles(self) -> list[Trouble]:
        """What went wrong since this was last asked."""
        troubles, self._troubles = self._troubles, []
        return troubles

    @property
    def evicted(self) -> Mapping[str, int]:
        """How many keys each detector had to forget because too many others came."""
        return {name: detector.evicted for name, detector in self._detectors.items() if detector.evicted}

    @property
    def events(self) -> frozenset[Event]:
        """What any detector looks at."""
        return frozenset(self._by_event)

    @property
    def running(self) -> tuple[str, ...]:
        """The detectors that look."""
        return tuple(self._detectors)

    def memory(self) -> dict[str, Any]:
        """What was learned, as JSON values, by detector."""
        memories = {name: detector.memory() for name, detector in self._detectors.items()}
        return {name: memory for name, memory in memories.items() if memory is not None}

    def recall(self, memories: Mapping[str, Any]) -> None:
        """Take what an earlier memory() gave. What cannot be read is learned anew, and that is said."""
        for name, memory in memories.items():
            detector = self._detectors.get(name)
            if detector is None:
                continue
            try:
                detector.recall(memory)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
                self._troubles.append(Trouble(name, "what it had learned cannot be read; it learns anew"))

    def _clock(self, time: float) -> float:
        """Seconds that pass as records say, but never backwards: a clock that is set back stands still for once."""
        if self._newest is None:
            self._newest = time
        elif time > self._newest:
            self._now += time - self._newest
            self._newest = time
        elif time < self._newest - _BACK:
            self._newest = time
        return self._now

    def _switch_off(self, detector: Detector, bug: Exception) -> None:
        for watching in self._by_event.values():
            if detector in watching:
                watching.remove(detector)
        self._detectors.pop(detector.id, None)
        # Its text may hold what a stranger sent.
        self._troubles.append(Trouble(detector.id, f"switched off: {type(bug).__name__}"))

    def _worth_telling(self, finding: Finding, now: float) -> bool:
        told = self._told_of.setdefault(finding.detector, [now, 0, 0])
        if now - told[0] >= QUIET:
            if told[2]:
                reason = f"more than {MOST} findings within {QUIET:g} s"
                self._troubles.append(Trouble(finding.detector, reason, int(told[2])))
            told[:] = [now, 0, 0]
        key = f"{finding.detector} {finding.subject}"
        last = self._told.get(key)
        if last is not None and now - last < QUIET:
            return False
        if told[1] >= MOST:
            told[2] += 1
            return False
        told[1] += 1
        self._told.put(key, now)
        return True
