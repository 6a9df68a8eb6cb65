"""D35: an archive is not what it was, or not who its certificate should say."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Known
from dicomgate.detect.detector import NOTHING, calls_back
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Recent


class ChangedArchive(LearningDetector):
    """The archive's software names itself in every A-ASSOCIATE-AC (52H, 55H); certificates are judged by the gate,
    which has failed closed when this is found."""

    id = "D35"
    title = "archive changed"
    severity = Severity.HIGH
    technique = "T1557.002"
    events = (Event.ASSOCIATION_ENDED,)
    false_positives = "an upgrade of the archive, a renewed certificate"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._last: Recent[str] = Recent()
        self.learned: Known = Known(0.0)  # an archive is known from its first answer on

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        archive = record.archive
        told = record.detail.get("acceptor_implementation")
        if calls_back(record):
            return NOTHING  # who accepted was a peer; the archive called
        if not archive or (told is not None and self._last.get(archive) == told):
            return NOTHING
        subject = Subject(SubjectKind.ARCHIVE, archive)
        if record.rule == "archive" and (record.reason or "").startswith("TLS: certificate refused"):
            return (self.finding(record, subject, f"the certificate of archive {archive} was refused"),)
        if not isinstance(told, str):
            return NOTHING
        self._last.put(archive, told)
        first = not self.learned.knows(archive)
        if not self.learned.is_new(archive, told, record.time) or first:
            return NOTHING
        text = f"archive {archive} names itself otherwise than before: {shown(told)}"
        return (self.finding(record, subject, text, evidence={"implementation": shown(told)}),)
