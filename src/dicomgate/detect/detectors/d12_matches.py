"""D12: somebody is shown far more matches than usual."""

from collections.abc import Iterable, Mapping
from typing import Any

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Levels
from dicomgate.detect.detector import HOUR, MINUTE, NOTHING, Detector, party_of
from dicomgate.detect.model import Finding, Rung, Severity, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts

_TIMES = 5


class Matches(Detector):
    """Matches of C-FIND stand in for patients: answers are not read. Worklists do not count."""

    id = "D12"
    title = "many matches shown to one party"
    severity = Severity.HIGH
    technique = "T1119"
    events = (Event.OPERATION,)
    threshold = 2000
    unit = f"matches of queries, or {_TIMES} times the party's own busiest hours if that is more"
    window = HOUR
    action = Rung.CAP
    learns = True
    hits = "party"
    false_positives = "an export for research, a migration, a viewer that shows long lists"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._counts = Counts(self.span)
        self._levels = Levels(settings.learn)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        responses = record.detail.get("responses")
        if record.verb != "find" or not isinstance(responses, int) or responses < 2:
            return NOTHING
        party = party_of(record)
        if party is None:
            return NOTHING
        key, matches = str(party), responses - 1
        usual = self._levels.usual(key, record.time)
        self._levels.add(key, record.time, matches)
        count = self._counts.add(key, now, matches)
        if count < max(self.limit, _TIMES * (usual or 0)):
            return NOTHING
        ago = self._counts.since(key, now)
        self._counts.forget(key)
        text = f"{shown(party.value)} was shown {int(count)} matches within {self.span / MINUTE:g} min"
        evidence = {"matches": int(count), "usual": int(usual or 0)}
        return (self.finding(record, party, text, target=party, ago=ago, evidence=evidence, guess=usual is None),)

    @property
    def evicted(self) -> int:
        return self._counts.evicted

    def memory(self) -> Mapping[str, Any]:
        return self._levels.memory()

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._levels.recall(memory)
