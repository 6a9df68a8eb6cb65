"""D17: somebody retrieves in bulk at an hour at which they never do."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Known
from dicomgate.detect.detector import HOUR, MINUTE, NOTHING, party_of
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Severity, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts, Recent


class OddHours(LearningDetector):
    """Hours are those of the day in UTC. Silent until two weeks are known."""

    id = "D17"
    title = "bulk retrieval outside the party's hours"
    severity = Severity.MEDIUM
    technique = "T1029"
    events = (Event.OPERATION,)
    threshold = 50
    unit = "C-GETs and C-MOVEs in hours without any before"
    window = HOUR
    hits = "party"
    false_positives = "somebody on call reads many cases at night"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._counts = Counts(self.span)
        self.learned: Known = Known(settings.learn)
        self._odd: Recent[float] = Recent()  # since when this party is about at this hour, of which it was not known

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        party = party_of(record)
        if record.command not in ("C_GET_RQ", "C_MOVE_RQ") or party is None:
            return NOTHING
        key, hour = str(party), int(record.time // HOUR) % 24
        if self.learned.is_new(key, str(hour), record.time):
            self._odd.put(key, now)  # and stays odd for a window, though it is known from now on
        since = self._odd.get(key)
        if since is None or now - since > self.span:
            return NOTHING
        count = self._counts.add(key, now)
        if count < self.limit:
            return NOTHING
        ago = self._counts.since(key, now)
        self._counts.forget(key)
        text = (
            f"{shown(party.value)} retrieved {int(count)} times within {self.span / MINUTE:g} min,"
            f" at an hour without any before ({hour:02d}:00 UTC)"
        )
        return (self.finding(record, party, text, target=party, ago=ago, evidence={"count": int(count)}),)

    @property
    def evicted(self) -> int:
        return self._counts.evicted + self.learned.evicted + self._odd.evicted
