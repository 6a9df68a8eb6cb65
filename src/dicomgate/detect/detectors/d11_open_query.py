"""D11: a C-FIND that asks for everything."""

from collections.abc import Iterable
from typing import ClassVar

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import NOTHING, Detector, party_of
from dicomgate.detect.model import Finding, Rung, Severity, shown
from dicomgate.detect.signal import Signal, equals


class OpenQuery(Detector):
    """A worklist is asked for as a whole all day long; only queries of the archive are meant."""

    id = "D11"
    title = "query without a key"
    severity = Severity.HIGH
    technique = "T1213"
    events = (Event.OPERATION,)
    action = Rung.CAP
    hits = "party"
    false_positives = "a migration or a consistency check; a viewer that lists everything when it starts"
    signal: ClassVar[Signal] = Signal(
        events, conditions=(equals("verb", "find"), equals("detail.unrestricted", "true")), group_by="calling_ae_title"
    )

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        if not self.signal.matches(record) or (party := party_of(record)) is None:
            return NOTHING
        responses = record.detail.get("responses")
        matches = max(0, responses - 1) if isinstance(responses, int) else 0
        text = f"{shown(party.value)} asked for everything, and got {matches} matches"
        return (self.finding(record, party, text, target=party, evidence={"matches": matches}),)
