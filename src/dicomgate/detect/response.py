"""From a finding to an answer: how far up the ladder, whether it is carried out, and the record of both.

Pure: findings, settings and time in; a record and perhaps a ban out. What nobody switched to `respond` is only said.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from dicomgate.audit.record import Event, Outcome, Record, iso_time
from dicomgate.detect.ban import Ban, Spared
from dicomgate.detect.catalogue import BY_ID
from dicomgate.detect.model import BANNABLE, Finding, Rung, Subject, SubjectKind
from dicomgate.detect.settings import DetectSettings, RuleMode
from dicomgate.detect.windows import Recent

_LONGEST = 86400.0
"""Seconds beyond which no answer grows by itself."""
_AGAIN = 86400.0
"""Seconds in which a party that comes again is held off twice as long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a finding. `wanted` is the rung of its rule, `rung` the one that is carried out."""

    finding: Finding
    wanted: Rung
    rung: Rung
    simulated: bool = False
    spared: bool = False
    ban: Ban | None = None
    no_room: bool = False
    """It would have been carried out, but for the number of bans there are."""

    def held_by(self, ban: Ban | None) -> "Answer":
        """What became of the ban of this answer: `ban` holds, perhaps one that was there before; None: no room."""
        if ban is None:
            return replace(self, rung=Rung.ALERT, ban=None, no_room=True)
        return replace(self, ban=ban)


class Responder:
    """`new_id` makes an identifier of eight characters that no other ban has. `spared` may be replaced."""

    def __init__(self, settings: DetectSettings, spared: Spared, new_id: Callable[[], str]) -> None:
        self.settings = settings
        self.spared = spared
        self._new_id = new_id
        self._earlier: Recent[Ban] = Recent()

    def answer(self, finding: Finding, time: float) -> Answer:
        """`time` is now, in seconds since 1970: a ban counts from now on, not from the record."""
        settings = self.settings
        rule, kind = settings.rule(finding.detector), BY_ID[finding.detector]
        wanted = min(kind.action if rule.action is None else rule.action, settings.at_most)
        target = _target(finding, wanted)
        if wanted <= Rung.ALERT:
            return Answer(finding, wanted, wanted)
        if target is None or target.kind not in BANNABLE:
            return Answer(finding, wanted, Rung.ALERT)
        if self.spared.spares(target, finding.address, finding.calling_ae_title):
            return Answer(finding, wanted, Rung.ALERT, spared=True)
        if settings.mode_of(finding.detector) is not RuleMode.RESPOND:
            return Answer(finding, wanted, Rung.ALERT, simulated=True)
        duration = kind.duration if rule.duration is None else rule.duration
        return Answer(finding, wanted, wanted, ban=self._ban(finding, target, wanted, duration, time))

    def _ban(self, finding: Finding, target: Subject, rung: Rung, duration: float, time: float) -> Ban:
        earlier = self._earlier.get(str(target))
        if earlier is not None and earlier.until <= time < earlier.until + _AGAIN:
            duration = max(duration, min(_LONGEST, 2 * (earlier.until - earlier.since)))
        ban = Ban(self._new_id(), target, rung, time, time + duration, finding.detector, finding.text)
        self._earlier.put(str(target), ban)
        return ban


def _target(finding: Finding, rung: Rung) -> Subject | None:
    """A connection is held before it has said who it is: the rung `delay` knows addresses only."""
    target = finding.target
    if rung is Rung.DELAY and target is not None and finding.address is not None:
        return Subject(SubjectKind.ADDRESS, finding.address)
    return target


def finding_record(answer: Answer, time: float) -> Record:
    """The record of a finding and of what became of it."""
    finding = answer.finding
    carried_out = answer.ban is not None
    outcome = Outcome.REFUSED if carried_out else (Outcome.WOULD_REFUSE if answer.simulated else Outcome.SUCCESS)
    detail: dict[str, object] = {
        "severity": finding.severity.value,
        "technique": finding.technique,
        "subject_kind": finding.subject.kind.value,
        "subject": finding.subject.value,
        "answer": answer.rung.word,
        "first_seen": iso_time(finding.first),
        "last_seen": iso_time(finding.last),
    }
    if finding.evidence:
        detail["evidence"] = dict(finding.evidence)
    if answer.simulated:
        detail["simulated"] = answer.wanted.word
    if answer.spared:
        detail["never_block"] = True
    if answer.no_room:
        detail["no_room"] = True
    if finding.guess:
        detail["guess"] = True
    return Record(
        time=time,
        event=Event.FINDING,
        outcome=outcome,
        refusal_id=answer.ban.identifier if answer.ban else None,
        reason=finding.text,
        rule=finding.detector,
        address=finding.address,
        calling_ae_title=finding.calling_ae_title,
        user=finding.subject.value if finding.subject.kind is SubjectKind.USER else None,
        detail=detail,
    )


def ban_record(ban: Ban, time: float, *, placed: bool) -> Record:
    """The record of a ban that came into force, or that is over."""
    detail: dict[str, object] = {
        "subject_kind": ban.subject.kind.value,
        "subject": ban.subject.value,
        "answer": ban.rung.word,
        "until": iso_time(ban.until),
    }
    ended = "its time is over" if ban.lifted is None else "lifted by command"
    record = Record(
        time=time,
        event=Event.BAN_PLACED if placed else Event.BAN_LIFTED,
        outcome=Outcome.SUCCESS,
        refusal_id=ban.identifier,
        reason=ban.reason if placed else ended,
        rule=ban.origin,
        detail=detail,
    )
    if ban.subject.kind is SubjectKind.ADDRESS:
        return record._replace(address=ban.subject.value)
    if ban.subject.kind is SubjectKind.AE_TITLE:
        return record._replace(calling_ae_title=ban.subject.value)
    return record._replace(user=ban.subject.value) if ban.subject.kind is SubjectKind.USER else record
