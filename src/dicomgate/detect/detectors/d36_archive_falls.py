"""D36: an archive falls, or lies, right after it was sent something."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.detect.detector import HOUR, MINUTE, NOTHING, Detector, calls_back
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts


class ArchiveFalls(Detector):
    """The archive ended an association after it had been asked for something: lost, aborted, or out of protocol.

    Nobody is answered: the one who sent the object may be as innocent as the archive.
    """

    id = "D36"
    title = "archive lost or out of protocol amid its work"
    severity = Severity.CRITICAL
    technique = "T1499.004"
    events = (Event.ASSOCIATION_ENDED,)
    threshold = 2
    unit = "associations"
    window = HOUR
    false_positives = "the archive was restarted"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._counts = Counts(self.span)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        detail = record.detail
        if (
            record.outcome is not Outcome.FAILURE
            or detail.get("ended_by") != "acceptor"
            or not detail.get("operations")
            or not record.archive
            or calls_back(record)  # who accepted was a peer; the archive called
        ):
            return NOTHING
        count = self._counts.add(record.archive, now)
        if count < self.limit:
            return NOTHING
        ago = self._counts.since(record.archive, now)
        self._counts.forget(record.archive)
        text = (
            f"archive {record.archive} ended {int(count)} associations amid their work"
            f" within {self.span / MINUTE:g} min"
        )
        return (
            self.finding(
                record,
                Subject(SubjectKind.ARCHIVE, record.archive),
                text,
                ago=ago,
                evidence={"count": int(count)},
            ),
        )
