"""D29: far more associations of one party at a time than usual."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.baseline import Levels
from dicomgate.detect.detector import MINUTE, NOTHING
from dicomgate.detect.learning import LearningDetector
from dicomgate.detect.model import Finding, Rung, Severity, Subject, SubjectKind, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Recent

_TIMES = 1.5
_OPEN = 16384


class Crowd(LearningDetector):
    id = "D29"
    title = "concurrent associations"
    severity = Severity.MEDIUM
    technique = "T1499.003"
    events = (Event.ASSOCIATION_ADMITTED, Event.ASSOCIATION_ENDED)
    threshold = 20
    unit = f"associations of one peer from one address, or {_TIMES:g} times its own most if that is more"
    action = Rung.CAP
    duration = 5 * MINUTE
    hits = "address"
    false_positives = "devices send again what they kept while the archive was down"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._of: Recent[str] = Recent(_OPEN)
        self._open: Recent[int] = Recent(_OPEN)
        self.learned: Levels = Levels(settings.learn)

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        association, address = record.association, record.address
        if association is None or address is None:
            return NOTHING
        if record.event is Event.ASSOCIATION_ENDED:
            key = self._of.pop(association)
            if key is not None:
                self._open.put(key, max(0, (self._open.get(key) or 0) - 1))
            return NOTHING
        key = f"{record.peer} {address}"
        count = (self._open.get(key) or 0) + 1
        self._of.put(association, key)
        self._open.put(key, count)
        usual = self.learned.usual(key, record.time)
        self.learned.peak(key, record.time, count)
        if count < max(self.limit, _TIMES * (usual or 0)):
            return NOTHING
        subject = Subject(SubjectKind.ADDRESS, address)
        whose = "somebody" if record.peer is None else f"peer {shown(record.peer)}"
        text = f"{whose} has {count} associations open from {address}"
        evidence = {"open": count, "usual": int(usual or 0)}
        return (self.finding(record, subject, text, target=subject, evidence=evidence, guess=usual is None),)

    @property
    def evicted(self) -> int:
        return self._of.evicted + self._open.evicted
