"""D16: somebody takes far more images than usual."""

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import calls_back, party_of
from dicomgate.detect.learning import AmountDetector
from dicomgate.detect.model import Subject, SubjectKind

_OBJECT = 512 * 1024
"""What one object counts for when its bytes do not pass through the gate: a slice of a CT."""


class Volume(AmountDetector):
    """Counted are C-STOREs towards the party: those of its C-GET, those an archive sends it through the gate, and
    the sub-operations of a C-MOVE as the archive counts them, whichever of both is more."""

    id = "D16"
    title = "volume retrieved"
    technique = "T1030"
    events = (Event.OPERATION,)
    threshold = 5 * 1024.0**3
    unit = f"retrieved, or {AmountDetector.TIMES} times the party's own busiest hours if that is more"
    counts = "bytes"
    false_positives = "prefetching at night, a reader's busiest day: learned after two weeks"

    def taken(self, record: Record) -> tuple[Subject, str, float] | None:
        if record.command == "C_STORE_RQ":
            size = float(record.bytes or 0)
            if calls_back(record):
                title = record.called_ae_title
                return (Subject(SubjectKind.AE_TITLE, title), f"stored {title}", size) if title and size else None
            party = party_of(record)
            return (party, f"got {party}", size) if record.verb == "get" and party is not None and size else None
        if record.verb != "move":
            return None
        completed, party = record.detail.get("completed_sub_operations"), party_of(record)
        if not isinstance(completed, int) or completed < 1 or party is None:
            return None
        return party, f"moved {party}", float(min(completed, 65535) * _OBJECT)

    def says(self, count: float) -> str:
        return f"retrieved {count / 1024**2:.0f} MiB"
