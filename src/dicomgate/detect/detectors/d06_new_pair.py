"""D06: an AE title is admitted from an address it never came from."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Known
from dicomgate.detect.detector import NOTHING, address_of
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind, shown
from dicomgate.detect.settings import DetectSettings


class NewPair(LearningDetector):
    id = "D06"
    title = "AE title from an address it never came from"
    severity = Severity.LOW
    technique = "T1078"
    events = (Event.ASSOCIATION_ADMITTED,)
    hits = "address"
    false_positives = "an address given out anew by DHCP, a replaced device"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self.learned: Known = Known(settings.learn)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        title, address = record.calling_ae_title, record.address
        if not title or not address or not self.learned.is_new(title, address, record.time):
            return NOTHING
        text = f"{shown(title)} was never admitted from {address} before"
        return (self.finding(record, Subject(SubjectKind.AE_TITLE, title), text, target=address_of(record)),)

    @property
    def evicted(self) -> int:
        return self.learned.evicted
