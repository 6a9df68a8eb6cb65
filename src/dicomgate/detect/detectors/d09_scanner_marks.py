"""D09: a scanner that says what it is."""

import re
from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import NOTHING, Detector
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind, shown

MARKS = ("NMAP", "DGCANARY", "DICOMGATE", "NESSUS", "OPENVAS")
"""How titles and names of well-known scanners begin, this project's own assessor among them."""
_GATE = re.compile(r"DICOMGATE_\d")
"""How a gate names itself where it calls, such as the one at the other end of a chain of two."""


class ScannerMarks(Detector):
    id = "D09"
    title = "marks of a scanner"
    severity = Severity.MEDIUM
    technique = "T1595.002"
    events = (Event.ASSOCIATION_REQUESTED,)
    hits = "address"
    false_positives = "the site's own assessment; a test with the default titles of DCMTK's echoscu"

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        name = str(record.detail.get("implementation_version_name", "")).upper()
        calling, called = (record.calling_ae_title or "").upper(), (record.called_ae_title or "").upper()
        words = (calling, called) if _GATE.match(name) else (name, calling, called)
        marked = next((word for word in words if word.startswith(MARKS)), None)
        if marked is None and (calling, called) == ("ECHOSCU", "ANY-SCP"):
            marked = "ECHOSCU calling ANY-SCP"
        if marked is None or record.address is None:
            return NOTHING
        subject = Subject(SubjectKind.ADDRESS, record.address)
        text = f"{record.address} bears the mark of a scanner: {shown(marked)}"
        return (self.finding(record, subject, text, target=subject),)
