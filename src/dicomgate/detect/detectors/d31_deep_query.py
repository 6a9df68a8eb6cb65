"""D31: a query is nested deeper than any need: it is meant for the archive's parser."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import NOTHING, Detector, party_of
from dicomgate.detect.model import Finding, Rung, Severity, shown


class DeepQuery(Detector):
    """Counted are the sequences inside each other in the identifier of a C-FIND. Stored objects are not read."""

    id = "D31"
    title = "deeply nested query"
    severity = Severity.HIGH
    technique = "T1499.004"
    events = (Event.OPERATION,)
    threshold = 32
    unit = "sequences inside each other"
    action = Rung.REFUSE
    hits = "party"
    false_positives = "none known: real queries have one or two"

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        depth = record.detail.get("nesting")
        if not isinstance(depth, int) or depth < self.limit or (party := party_of(record)) is None:
            return NOTHING
        text = f"{shown(party.value)} sent a query with {depth} sequences inside each other"
        return (self.finding(record, party, text, target=party, evidence={"depth": depth}),)
