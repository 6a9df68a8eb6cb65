"""D13: somebody asks for everything in slices: day after day, letter after letter."""

from collections.abc import Iterable
from typing import ClassVar

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import HOUR, MINUTE, NOTHING, Detector, party_of
from dicomgate.detect.model import Finding, Rung, Severity, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.signal import Signal, equals
from dicomgate.detect.windows import Distinct


class SteppedQueries(Detector):
    """A slice is a study date (with or without a time), or the first one or two letters of a name or an ID, where no
    other key names a patient or a study. The same slice again counts once."""

    id = "D13"
    title = "queries that walk through everything"
    severity = Severity.HIGH
    technique = "T1119"
    events = (Event.OPERATION,)
    threshold = 12
    unit = "different slices"
    window = HOUR
    action = Rung.CAP
    hits = "party"
    false_positives = "a migration or a consistency check that goes by date; somebody who reads back day by day"
    signal: ClassVar[Signal] = Signal(
        events, conditions=(equals("verb", "find"),), group_by="calling_ae_title", distinct="detail.step"
    )

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._steps = Distinct(self.span, max(1, int(self.limit)))

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        step = record.detail.get("step")
        if not isinstance(step, str) or record.verb != "find" or (party := party_of(record)) is None:
            return NOTHING
        key = str(party)
        count = self._steps.add(key, step, now)
        if count < self.limit:
            return NOTHING
        ago = self._steps.since(key, now)
        self._steps.forget(key)
        text = (
            f"{shown(party.value)} asked for {count} different slices of everything within {self.span / MINUTE:g} min"
        )
        evidence: dict[str, int | float | str] = {"slices": count, "last": shown(step)}
        return (self.finding(record, party, text, target=party, ago=ago, evidence=evidence),)

    @property
    def evicted(self) -> int:
        return self._steps.evicted
