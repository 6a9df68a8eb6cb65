"""D14: somebody has studies sent where they never had any sent."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Known
from dicomgate.detect.detector import NOTHING, party_of
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Rung, Severity, shown
from dicomgate.detect.settings import DetectSettings


class NewDestination(LearningDetector):
    id = "D14"
    title = "C-MOVE to a destination that is new for this party"
    severity = Severity.HIGH
    technique = "T1048"
    events = (Event.OPERATION,)
    action = Rung.REFUSE
    hits = "party"
    false_positives = "a new workstation, a reader's first day"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self.learned: Known = Known(settings.learn)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        destination, party = record.move_destination, party_of(record)
        if record.verb != "move" or not destination or party is None:
            return NOTHING
        if not self.learned.is_new(str(party), destination, record.time):
            return NOTHING
        text = f"{shown(party.value)} never had anything sent to {shown(destination)} before"
        return (self.finding(record, party, text, target=party, evidence={"destination": shown(destination)}),)

    @property
    def evicted(self) -> int:
        return self.learned.evicted
