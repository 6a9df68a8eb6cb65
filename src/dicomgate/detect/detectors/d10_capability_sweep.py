"""D10: somebody asks what is possible, and does nothing with it."""

from collections.abc import Iterable

from dicomgate.audit.record import Event, Record
from dicomgate.detect.detector import DAY, HOUR, MINUTE, NOTHING, Detector, address_of
from dicomgate.detect.model import Finding, Rung, Severity, Subject, SubjectKind
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.windows import Counts, Recent

_MANY_CONTEXTS = 20


class CapabilitySweep(Detector):
    """Who proposes much and works with it is a workstation: for a day nothing is counted against its address."""

    id = "D10"
    title = "capability sweep"
    severity = Severity.MEDIUM
    technique = "T1592.002"
    events = (Event.ASSOCIATION_REQUESTED, Event.ASSOCIATION_REFUSED, Event.ASSOCIATION_ENDED)
    threshold = 2
    unit = f"associations with {_MANY_CONTEXTS} or more presentation contexts and no operation"
    window = HOUR
    action = Rung.DELAY
    duration = 15 * MINUTE
    hits = "address"
    false_positives = "a new workstation that proposes everything, and is closed twice before it was used"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._broad: Recent[int] = Recent()
        self._counts = Counts(self.span)
        self._worked: Recent[float] = Recent()

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        association, address = record.association, record.address
        if association is None or address is None:
            return NOTHING
        if record.event is Event.ASSOCIATION_REQUESTED:
            contexts = record.detail.get("presentation_contexts")
            if isinstance(contexts, int) and contexts >= _MANY_CONTEXTS:
                self._broad.put(association, contexts)
            return NOTHING
        contexts = self._broad.pop(association)
        if contexts is None:
            return NOTHING
        if record.detail.get("operations") or record.detail.get("refused_operations"):
            self._worked.put(address, now)
            return NOTHING
        worked = self._worked.get(address)
        if worked is not None and now - worked < DAY:
            return NOTHING
        count = self._counts.add(address, now)
        if count < self.limit:
            return NOTHING
        ago = self._counts.since(address, now)
        self._counts.forget(address)
        text = f"{address} proposed {contexts} presentation contexts and used none, {int(count)} times"
        evidence = {"count": int(count), "presentation_contexts": contexts}
        return (
            self.finding(
                record,
                Subject(SubjectKind.ADDRESS, address),
                text,
                target=address_of(record),
                ago=ago,
                evidence=evidence,
            ),
        )

    @property
    def evicted(self) -> int:
        return self._broad.evicted + self._counts.evicted + self._worked.evicted
