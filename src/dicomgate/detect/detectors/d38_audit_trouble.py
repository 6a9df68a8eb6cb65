"""D38: the audit trail has a gap, or the rules were changed."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import Detector
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind

_SENTENCES = {
    Event.CHECKPOINT_CONFLICT: "the audit trail is not the one that was signed",
    Event.RECORDS_LOST: "records were lost",
    Event.CONFIGURATION_LOADED: "the configuration was changed",
    Event.CONFIGURATION_REFUSED: "a changed configuration was refused",
}
_CRITICAL = (Event.CHECKPOINT_CONFLICT, Event.RECORDS_LOST)


class AuditTrouble(Detector):
    """Lost or changed records are critical; a change of the rules is told so that somebody can say it was planned."""

    id = "D38"
    title = "audit trail or rules disturbed"
    severity = Severity.CRITICAL
    technique = "T1562"
    events = tuple(_SENTENCES)
    false_positives = "a planned change"

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        severity = Severity.CRITICAL if record.event in _CRITICAL else Severity.LOW
        return (self.finding(record, Subject(SubjectKind.GATE, "gate"), _SENTENCES[record.event], severity=severity),)
