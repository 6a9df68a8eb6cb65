"""D07: one calling AE title is in use from two addresses at once."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Levels
from dicomgate.detect.detector import MINUTE, NOTHING, address_of
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Distinct

_TOLD_APART = 64


class TitleTwice(LearningDetector):
    """What is usual for a title takes the place of the threshold: some titles are shared on purpose."""

    id = "D07"
    title = "one calling AE title from several addresses"
    severity = Severity.HIGH
    technique = "T1078"
    events = (Event.ASSOCIATION_ADMITTED,)
    threshold = 2
    unit = "addresses"
    window = 5 * MINUTE
    hits = "address"
    false_positives = "pairs that stand in for each other, titles that several readers share: learned after two weeks"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._addresses = Distinct(self.span, _TOLD_APART)
        self.learned: Levels = Levels(settings.learn)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        title, address = record.calling_ae_title, record.address
        if not title or not address:
            return NOTHING
        count = self._addresses.add(title, address, now)
        usual = self.learned.usual(title, record.time)
        self.learned.peak(title, record.time, count)
        if count < max(self.limit, (usual or 0) + 1):
            return NOTHING
        ago = self._addresses.since(title, now)
        self._addresses.forget(title)
        text = f"{shown(title)} is in use from {count} addresses within {self.span / MINUTE:g} min"
        return (
            self.finding(
                record,
                Subject(SubjectKind.AE_TITLE, title),
                text,
                target=address_of(record),
                ago=ago,
                evidence={"addresses": count},
                guess=usual is None,
            ),
        )

    @property
    def evicted(self) -> int:
        return self._addresses.evicted
