"""D20: a stored SOP instance came again with other content."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.detect.detector import NOTHING, Detector, address_of, party_of
from dicomgate.detect.model import Finding, Severity, shown


class AlteredInstance(Detector):
    """Seen where an archive has `tamper`, which also decides whether it passed; so the answer is to tell people.
    Corrections by peers that may correct are no finding."""

    id = "D20"
    title = "stored image sent again with other content"
    severity = Severity.CRITICAL
    technique = "T1565.001"
    events = (Event.INSTANCE_CHANGED,)
    false_positives = "a station that corrects objects and has no `corrections`; a device that makes the same UID twice"

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        subject = party_of(record) or address_of(record)
        if record.outcome is Outcome.SUCCESS or subject is None:
            return NOTHING
        became = "refused" if record.outcome is Outcome.REFUSED else "stored"
        text = f"{shown(subject.value)} sent other content for a stored SOP instance; it was {became}"
        return (self.finding(record, subject, text),)
