"""IDN-07: may somebody guess passcodes for as long as it takes? Uses a test account that the user names."""

from dataclasses import dataclass

from dicomgate.assess.checks.idn01_not_required import anonymous
from dicomgate.assess.checks.reading import refused_before, refused_identity, saw
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal, wrong_passcode

GUESSES = 5
SLOWED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[Answer, ...]
    seconds: tuple[float, ...]


def probe(prober: Prober) -> Seen | Judgement:
    user = prober.inputs.test_user
    if user is None:
        return skipped(SkipReason.INPUT, "No test account was named: give --test-user NAME")
    if (skip := refused_before(anonymous(prober))) is not None:
        return skip
    answers, seconds = [], []
    for _ in range(GUESSES):
        proposal = Proposal(calling=prober.caller, identity=wrong_passcode(user.name))
        with prober.association(proposal, expected=True) as (answer, _):
            answers.append(answer)
            seconds.append(prober.seconds)
    return Seen(tuple(answers), tuple(seconds))


def judge(seen: Seen) -> Judgement:
    first, last = seen.answers[0], seen.answers[-1]
    facts: dict[str, Fact] = {"guesses": len(seen.answers), "first": str(first), "last": str(last)}
    if isinstance(last, Accepted):
        return skipped(SkipReason.NOT_APPLICABLE, "Wrong passcodes are let in: there is nothing to guess (IDN-02)")
    if str(first) != str(last) or seen.seconds[-1] > seen.seconds[0] + SLOWED_SECONDS:
        return passed(f"After wrong passcodes the target answers otherwise, or later: it {saw(last)}", **facts)
    if not refused_identity(last):
        return inconclusive("The refusals do not say that they are about the passcode", **facts)
    return failed("The last of several wrong passcodes is answered like the first", **facts)


PROCEDURE = Procedure(
    Check(
        "IDN-07",
        "passcodes can be guessed without limit",
        (Requirement.R1, Requirement.R8),
        Severity.MEDIUM,
        Mode.INTRUSIVE,
        "five wrong passcodes for a test account that the user names",
        "all are answered alike and at once",
        "Weak passwords are found by trying.",
        "Lock or slow down after a few wrong passcodes, and alert.",
    ),
    probe,
    judge,
)
