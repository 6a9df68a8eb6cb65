"""D37: somebody touches what nobody has a reason to touch."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import DAY, NOTHING, Detector, address_of
from dicomgate.detect.model import Finding, Rung, Severity, Subject, SubjectKind, shown


class Honeytoken(Detector):
    """Titles, users and SOP Instance UIDs of `[detect]`: honey_titles, honey_users, honey_instances."""

    id = "D37"
    title = "honeytoken touched"
    severity = Severity.CRITICAL
    technique = "T1213"
    events = (
        Event.ASSOCIATION_REQUESTED,
        Event.IDENTITY_REFUSED,
        Event.IDENTITY_VERIFIED,
        Event.OPERATION,
        Event.OPERATION_REFUSED,
    )
    action = Rung.BAN
    duration = DAY
    hits = "address"
    false_positives = "a crawler of the archive's own that reads every study"

    @property
    def idle(self) -> bool:
        settings = self.settings
        return not (settings.honey_titles or settings.honey_users or settings.honey_instances)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        settings = self.settings
        if record.event is Event.ASSOCIATION_REQUESTED:
            names, honey = (record.calling_ae_title, record.called_ae_title), settings.honey_titles
        elif record.event in (Event.IDENTITY_REFUSED, Event.IDENTITY_VERIFIED):
            names, honey = (record.user, None), settings.honey_users
        else:
            names, honey = (
                (record.sop_instance_uid, record.move_destination),
                (settings.honey_instances | settings.honey_titles),
            )
        touched = next((name for name in names if name in honey), None)
        if touched is None or record.address is None:
            return NOTHING
        text = f"{record.address} touched the honeytoken {shown(touched)}"
        subject = Subject(SubjectKind.ADDRESS, record.address)
        return (self.finding(record, subject, text, target=address_of(record)),)
