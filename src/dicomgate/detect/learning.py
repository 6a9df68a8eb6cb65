"""What detectors that learn have in common: a memory, kept over a restart; and counting against what is usual."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from dicomgate.audit.record import Record
from dicomgate.detect.baseline import Known, Levels
from dicomgate.detect.detector import HOUR, MINUTE, NOTHING, Detector
from dicomgate.detect.model import Finding, Rung, Severity, Subject, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts


class LearningDetector(Detector):
    """`learned` is what it keeps over a restart."""

    learns = True
    learned: Known | Levels

    def memory(self) -> Mapping[str, Any]:
        return self.learned.memory()

    def recall(self, memory: Mapping[str, Any]) -> None:
        self.learned.recall(memory)


class AmountDetector(LearningDetector):
    """So much of something by one party within the window, or TIMES what its own busiest hours have if that is more.

    `says` is its sentence behind the party, with `{count}`; `counts` names in the evidence what is counted.
    """

    TIMES: ClassVar[int] = 5
    severity = Severity.HIGH
    window = HOUR
    action = Rung.CAP
    hits = "party"
    counts: ClassVar[str]

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._counts = Counts(self.span)
        self.learned: Levels = Levels(settings.learn)

    def taken(self, record: Record) -> tuple[Subject, str, float] | None:
        """Who took how much, and under which key it is added up: what is seen twice is added up apart."""
        raise NotImplementedError(f"{self.id} has no taken()")

    def says(self, count: float) -> str:
        """What the party did, behind its name."""
        raise NotImplementedError(f"{self.id} has no says()")

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        taken = self.taken(record)
        if taken is None:
            return NOTHING
        party, key, amount = taken
        usual = self.learned.usual(key, record.time)
        self.learned.add(key, record.time, amount)
        count = self._counts.add(key, now, amount)
        if count < max(self.limit, self.TIMES * (usual or 0)):
            return NOTHING
        ago = self._counts.since(key, now)
        self._counts.forget(key)
        text = f"{shown(party.value)} {self.says(count)} within {self.span / MINUTE:g} min"
        evidence = {self.counts: int(count), "usual": int(usual or 0)}
        return (self.finding(record, party, text, target=party, ago=ago, evidence=evidence, guess=usual is None),)

    @property
    def evicted(self) -> int:
        return self._counts.evicted
