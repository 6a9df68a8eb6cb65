"""D19: somebody retrieves again and again without ever having asked what there is."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Known
from dicomgate.detect.detector import DAY, HOUR, NOTHING, party_of
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Severity, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts, Recent

_WITHOUT = "without a query"
_HABIT = 5
"""So many within the window, while it learns, and the party is one that does so."""


class BlindRetrieval(LearningDetector):
    """Study UIDs have to come from somewhere: from a query, or from a list that was stolen. Who did so while it learned
    (prefetchers, readers who are sent links) may go on. Which study is asked for is not read."""

    id = "D19"
    title = "retrievals without any query before"
    severity = Severity.MEDIUM
    technique = "T1213"
    events = (Event.OPERATION,)
    threshold = 20
    unit = "C-GETs and C-MOVEs by a party without a query within a day, which never did so before"
    window = DAY
    hits = "party"
    false_positives = "a viewer that gets its UIDs elsewhere (links in a report, DICOMweb), used for the first time"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self.learned: Known = Known(settings.learn, values=1)
        self._asked: Recent[float] = Recent()
        self._counts = Counts(self.span)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        command = record.command
        if command not in ("C_FIND_RQ", "C_GET_RQ", "C_MOVE_RQ") or (party := party_of(record)) is None:
            return NOTHING
        key = str(party)
        self.learned.begin(record.time)
        if command == "C_FIND_RQ":
            self._asked.put(key, now)
            self._counts.forget(key)
            return NOTHING
        asked = self._asked.get(key)
        if asked is not None and now - asked < self.span:
            return NOTHING
        count = self._counts.add(key, now)
        if count < (_HABIT if self.learned.is_learning(record.time) else self.limit):
            return NOTHING
        ago = self._counts.since(key, now)
        self._counts.forget(key)
        if not self.learned.is_new(key, _WITHOUT, record.time):
            return NOTHING
        text = f"{shown(party.value)} retrieved {int(count)} times within {self.span / HOUR:g} h without any query"
        return (self.finding(record, party, text, target=party, ago=ago, evidence={"count": int(count)}),)

    @property
    def evicted(self) -> int:
        return self._asked.evicted + self._counts.evicted + self.learned.evicted
