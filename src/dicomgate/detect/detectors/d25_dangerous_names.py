"""D25: names that would be dangerous as file names or in a command line."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import NOTHING, Detector, address_of
from dicomgate.detect.model import Finding, Rung, Severity, Subject, SubjectKind, shown

_DANGEROUS = frozenset("/\\|;&$`<>'\"(){}\n\0")


class DangerousNames(Detector):
    id = "D25"
    title = "path or shell characters in an AE title or UID"
    severity = Severity.HIGH
    technique = "T1190"
    events = (Event.ASSOCIATION_REQUESTED, Event.OPERATION, Event.OPERATION_REFUSED)
    action = Rung.REFUSE
    hits = "address"
    false_positives = "an AE title with an ampersand or parentheses that somebody once chose"

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        address = record.address
        if address is None:
            return NOTHING
        if record.event is Event.ASSOCIATION_REQUESTED:
            names = (("calling AE title", record.calling_ae_title), ("called AE title", record.called_ae_title))
        elif record.event is Event.OPERATION:  # the gate passes none on; a watcher sees what goes past it
            if record.detail.get("sender") != "requestor":
                return NOTHING
            names = (("SOP Instance UID", record.sop_instance_uid), ("SOP Class UID", record.sop_class_uid))
        elif record.rule == "malformed" or record.move_destination:
            names = (("SOP Instance UID", record.sop_instance_uid), ("move destination", record.move_destination))
        else:
            return NOTHING
        for what, name in names:
            if name and (".." in name or not _DANGEROUS.isdisjoint(name)):
                text = f"{address} sent a dangerous {what}: {shown(name)}"
                return (self.finding(record, Subject(SubjectKind.ADDRESS, address), text, target=address_of(record)),)
        return NOTHING
