"""D12: somebody is shown far more matches than usual."""

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import party_of
from dicomgate.detect.learning import AmountDetector
from dicomgate.detect.model import Subject


class Matches(AmountDetector):
    """Matches of C-FIND stand in for patients: answers are not read. Worklists do not count."""

    id = "D12"
    title = "many matches shown to one party"
    technique = "T1119"
    events = (Event.OPERATION,)
    threshold = 2000
    unit = f"matches of queries, or {AmountDetector.TIMES} times the party's own busiest hours if that is more"
    counts = "matches"
    false_positives = "an export for research, a migration, a viewer that shows long lists"

    def taken(self, record: Record) -> tuple[Subject, str, float] | None:
        responses = record.detail.get("responses")
        if record.verb != "find" or not isinstance(responses, int) or responses < 2:
            return None
        party = party_of(record)
        return None if party is None else (party, str(party), responses - 1)

    def says(self, count: float) -> str:
        return f"was shown {int(count)} matches"
