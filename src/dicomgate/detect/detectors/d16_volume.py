"""D16: somebody takes far more images than usual."""

from collections.abc import Iterable, Mapping
from typing import Any

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Levels
from dicomgate.detect.detector import HOUR, MINUTE, NOTHING, Detector, calls_back, party_of
from dicomgate.detect.model import Finding, Rung, Severity, Subject, SubjectKind, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts

_TIMES = 5
_OBJECT = 512 * 1024
"""What one object counts for when its bytes do not pass through the gate: a slice of a CT."""


class Volume(Detector):
    """Counted are C-STOREs towards the party: those of its C-GET, those an archive sends it through the gate, and
    the sub-operations of a C-MOVE as the archive counts them, whichever of both is more."""

    id = "D16"
    title = "volume retrieved"
    severity = Severity.HIGH
    technique = "T1030"
    events = (Event.OPERATION,)
    threshold = 5 * 1024.0**3
    unit = f"retrieved, or {_TIMES} times the party's own busiest hours if that is more"
    window = HOUR
    action = Rung.CAP
    learns = True
    hits = "party"
    false_positives = "prefetching at night, a reader's busiest day: learned after two weeks"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._counts = Counts(self.span)
        self._levels = Levels(settings.learn)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        taken = _taken(record)
        if taken is None:
            return NOTHING
        party, key, amount = taken
        usual = self._levels.usual(key, record.time)
        self._levels.add(key, record.time, amount)
        count = self._counts.add(key, now, amount)
        if count < max(self.limit, _TIMES * (usual or 0)):
            return NOTHING
        ago = self._counts.since(key, now)
        self._counts.forget(key)
        text = f"{shown(party.value)} retrieved {count / 1024**2:.0f} MiB within {self.span / MINUTE:g} min"
        evidence = {"bytes": int(count), "usual": int(usual or 0)}
        return (self.finding(record, party, text, target=party, ago=ago, evidence=evidence, guess=usual is None),)

    @property
    def evicted(self) -> int:
        return self._counts.evicted

    def memory(self) -> Mapping[str, Any]:
        return self._levels.memory()

    def recall(self, memory: Mapping[str, Any]) -> None:
        self._levels.recall(memory)


def _taken(record: Record) -> tuple[Subject, str, float] | None:
    """Who took how much, and under which key it is added up: what is seen twice is added up apart."""
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
