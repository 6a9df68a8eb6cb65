"""The contract of a detector, and the kind that only counts. One file per detector stands in detectors/.

In: records, one at a time, and the time. Out: findings. A detector holds bounded memory whatever it is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from dicomgate.audit.record import Event, Record
from dicomgate.detect.model import LONGEST_SENTENCE, Finding, Rung, Severity, Subject, SubjectKind, shown
from dicomgate.detect.settings import DetectSettings
from dicomgate.detect.signal import Signal, text_of
from dicomgate.detect.windows import Counts, Distinct

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
NOTHING: Sequence[Finding] = ()

_KINDS = {
    "address": SubjectKind.ADDRESS,
    "calling_ae_title": SubjectKind.AE_TITLE,
    "user": SubjectKind.USER,
    "peer": SubjectKind.PEER,
    "archive": SubjectKind.ARCHIVE,
}
"""What a field of a record names."""


class Detector:
    """Class variables are its description: docs/reference/detectors.md and the exported rules are made of them.

    `threshold` counts `unit`; `window` is in seconds (0: one is enough, or the detector keeps its own time).
    `action` is the default answer, `duration` how long it holds, and `hits` whom: `address` while nobody has proved
    anything, `party` (its user or AE title) once it was admitted, or `nobody`. `learns` says that what is usual
    replaces the threshold once it is known. `technique` is of MITRE ATT&CK (Enterprise).
    """

    id: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity]
    technique: ClassVar[str]
    events: ClassVar[tuple[Event, ...]]
    threshold: ClassVar[float] = 1
    unit: ClassVar[str] = "once"
    window: ClassVar[float] = 0.0
    action: ClassVar[Rung] = Rung.ALERT
    duration: ClassVar[float] = HOUR
    hits: ClassVar[str] = "nobody"
    learns: ClassVar[bool] = False
    false_positives: ClassVar[str]
    signal: ClassVar[Signal | None] = None
    """What it counts, for those that only count."""

    def __init__(self, settings: DetectSettings) -> None:
        rule = settings.rule(self.id)
        self.settings = settings
        self.limit = self.threshold if rule.threshold is None else rule.threshold
        self.span = self.window if rule.window is None else rule.window

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        """One record of its events. `now` is seconds of a clock that never runs backwards."""
        raise NotImplementedError(f"{self.id} has no see()")

    @property
    def idle(self) -> bool:
        """Is there nothing to look for, as it is set up?"""
        return False

    @property
    def evicted(self) -> int:
        """How many keys were forgotten because too many others came."""
        return 0

    def memory(self) -> Mapping[str, Any] | None:
        """What it has learned, as JSON values; None when it learns nothing."""
        return None

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Take what memory() gave before a restart. ValueError, TypeError or KeyError for anything else."""

    def finding(
        self,
        record: Record,
        subject: Subject,
        text: str,
        *,
        target: Subject | None = None,
        ago: float = 0.0,
        evidence: Mapping[str, int | float | str] | None = None,
        severity: Severity | None = None,
        guess: bool = False,
    ) -> Finding:
        """A finding with this record as its last; `ago` is how long before it the first was."""
        return Finding(
            detector=self.id,
            severity=severity or self.severity,
            technique=self.technique,
            subject=subject,
            text=shown(text, LONGEST_SENTENCE),
            first=record.time - ago,
            last=record.time,
            target=target,
            address=record.address,
            calling_ae_title=record.calling_ae_title,
            evidence=evidence or {},
            guess=guess,
        )


class CountingDetector(Detector):
    """So many records of one signal, or so many different values in them, for one key within the window.

    `says` is its sentence, with `{count}`, `{key}` and `{minutes}`. Whoever did it is only known by address as long
    as nobody proved anything, so an answer goes to the address.
    """

    signal: ClassVar[Signal]
    says: ClassVar[str]
    hits = "address"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        window = self.span or 1.0
        self._counts = Counts(window)
        self._distinct = Distinct(window, max(1, int(self.limit)))

    @property
    def evicted(self) -> int:
        return self._counts.evicted + self._distinct.evicted

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        signal = self.signal
        if not signal.matches(record):
            return NOTHING
        key = text_of(record, signal.group_by)
        if not key:
            return NOTHING
        counter: Counts | Distinct
        if signal.distinct is None:
            counter = self._counts
            count = self._counts.add(key, now, 1 + repeated(record))
        else:
            value = text_of(record, signal.distinct)
            if not value:
                return NOTHING
            counter = self._distinct
            count = self._distinct.add(key, value, now)
        if count < self.limit:
            return NOTHING
        ago = counter.since(key, now)
        counter.forget(key)
        subject = Subject(_KINDS[signal.group_by], key)
        text = self.says.format(count=int(count), key=shown(key), minutes=f"{self.span / MINUTE:g}")
        return (
            self.finding(
                record,
                subject,
                text,
                target=address_of(record),
                ago=ago,
                evidence={"count": int(count)},
            ),
        )


def repeated(record: Record) -> int:
    """How many more records this one stands for."""
    count = record.detail.get("repeated")
    return count if isinstance(count, int) and count > 0 else 0


def address_of(record: Record) -> Subject | None:
    return Subject(SubjectKind.ADDRESS, record.address) if record.address else None


def party_of(record: Record) -> Subject | None:
    """Who was admitted: the user if one was verified, otherwise the calling AE title."""
    if record.user:
        return Subject(SubjectKind.USER, record.user)
    return Subject(SubjectKind.AE_TITLE, record.calling_ae_title) if record.calling_ae_title else None


def calls_back(record: Record) -> bool:
    """Is this of an association that an archive made, to send a peer what it asked for?"""
    return record.detail.get("direction") == "to_peer"
