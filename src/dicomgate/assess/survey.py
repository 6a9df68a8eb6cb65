"""One target, all checks: a prober in, a report out. Gentle checks first; what hurts comes last, and only by consent.

A target that does not answer in DICOM, or accepts what does not exist, gets no verdicts: every check says why it
could not tell. So does every check that is left when the target has to be left alone.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from dicomgate.assess.checks import CATALOGUE
from dicomgate.assess.checks.adm08_application_context import undefined_answer
from dicomgate.assess.checks.reading import saw
from dicomgate.assess.dialogue import Accepted, NoAnswer, spoke_dicom
from dicomgate.assess.fingerprint import read_fingerprint
from dicomgate.assess.model import (
    Consent,
    Fingerprint,
    Health,
    Judgement,
    Mode,
    Outcome,
    Result,
    SkipReason,
    State,
    TargetReport,
    inconclusive,
    skipped,
)
from dicomgate.assess.prober import Contact, Prober, Stopped
from dicomgate.assess.procedure import Procedure

CONSENT_FLAGS = {
    Mode.QUERY: "--allow-count",
    Mode.COUNT: "--allow-count",
    Mode.INTRUSIVE: "--allow-intrusive",
    Mode.LAB: "--lab HOST:PORT",
}
"""What to write on the command line to allow a mode."""


def survey(
    prober: Prober,
    consent: Consent,
    *,
    procedures: Sequence[Procedure[Any]] = CATALOGUE,
    progress: Callable[[str], None] = lambda check_id: None,
    clock: Callable[[], float] = time.time,
) -> TargetReport:
    """Run every check that consent covers. `progress` hears the ID of each check before it runs."""
    run = _Run(prober, consent, procedures, progress)
    started = clock()
    run.everything()
    return TargetReport(
        target=prober.target.name,
        address=prober.target.endpoint.address,
        called_ae_title=prober.target.called_ae_title,
        state=run.state,
        why=run.why,
        tls=prober.contact is not None and prober.contact.tls,
        results=tuple(Result(each.check, run.judgements[each.check.id]) for each in procedures),
        fingerprint=run.fingerprint(),
        health=run.health,
        connections=prober.connections,
        started=started,
        finished=clock(),
    )


class _Run:
    def __init__(
        self,
        prober: Prober,
        consent: Consent,
        procedures: Sequence[Procedure[Any]],
        progress: Callable[[str], None],
    ) -> None:
        self.prober = prober
        self.consent = consent
        self.procedures = procedures
        self.progress = progress
        self.state = State.ASSESSED
        self.why = ""
        self.health: Health | None = None
        self.judgements: dict[str, Judgement] = {}

    def everything(self) -> None:
        try:
            contact = self.prober.make_contact()
            self.state, self.why = _state(contact)
            self.health = Health(str(contact.answer), None)
            if self.state is State.ASSESSED and _accepts_everything(self.prober):
                self.state = State.INDISCRIMINATE
                self.why = "It accepts an application context and an abstract syntax that nobody has defined"
            for procedure in sorted(self.procedures, key=lambda each: each.check.mode):
                self._one(procedure)
            if self.state in (State.ASSESSED, State.INDISCRIMINATE):
                self.health = Health(str(contact.answer), str(self.prober.health()))
        except Stopped as stop:
            self.state, self.why = State.STOPPED, str(stop)
        for procedure in self.procedures:
            self.judgements.setdefault(
                procedure.check.id, self._without_packets(procedure) or inconclusive(f"Not tried: {self.why}")
            )

    def _one(self, procedure: Procedure[Any]) -> None:
        check = procedure.check
        if (skip := self._without_packets(procedure)) is not None:
            self.judgements[check.id] = skip
        elif self.state in (State.UNREACHABLE, State.NOT_DICOM) and not procedure.anyhow:
            self.judgements[check.id] = inconclusive(f"Not tried: {self.why}")
        else:
            self.progress(check.id)
            judgement = procedure.run(self.prober)
            if self.state is State.INDISCRIMINATE and judgement.outcome is Outcome.FAIL:
                judgement = inconclusive(f"{self.why}, so its acceptance proves nothing")
            self.judgements[check.id] = judgement

    def _without_packets(self, procedure: Procedure[Any]) -> Judgement | None:
        """The judgement of a check that consent does not cover."""
        mode = procedure.check.mode
        if self.consent.covers(mode, self.prober.target.name):
            return None
        return skipped(SkipReason.CONSENT, f"Needs consent: {CONSENT_FLAGS[mode]}")

    def fingerprint(self) -> Fingerprint | None:
        contact = self.prober.contact
        if contact is None or not isinstance(contact.answer, Accepted):
            return None
        return read_fingerprint(contact.answer.accept)


def _state(contact: Contact) -> tuple[State, str]:
    if spoke_dicom(contact.answer) or contact.tls:
        return State.ASSESSED, ""
    if isinstance(contact.plain, NoAnswer) and not contact.plain.connected:
        return State.UNREACHABLE, f"The target {saw(contact.plain)}"
    return State.NOT_DICOM, f"The target {saw(contact.plain)}"


def _accepts_everything(prober: Prober) -> bool:
    answer = undefined_answer(prober)
    return isinstance(answer, Accepted) and len(answer.accepted_contexts) > 1
