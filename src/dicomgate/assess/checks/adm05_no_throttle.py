"""ADM-05: may somebody guess called AE titles for as long as it takes?"""

from dataclasses import dataclass

from dicomgate.assess.checks.adm01_called_title import random_called
from dicomgate.assess.checks.reading import saw
from dicomgate.assess.dialogue import Accepted, Answer, NoAnswer, Rejected
from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal, random_title

GUESSES = 10
SLOWED_SECONDS = 1.0
"""An answer that takes this much longer than the first is a delay on purpose."""


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[Answer, ...]
    seconds: tuple[float, ...]
    right: Answer
    """To the right called title."""


def probe(prober: Prober) -> Seen | Judgement:
    if isinstance(random_called(prober), Accepted):
        return skipped(SkipReason.NOT_APPLICABLE, "Every called title is accepted: there is nothing to guess (ADM-01)")
    answers, seconds = [], []
    for _ in range(GUESSES):
        with prober.association(Proposal(called=random_title()), expected=True) as (answer, _):
            answers.append(answer)
            seconds.append(prober.seconds)
    return Seen(tuple(answers), tuple(seconds), prober.ask(Proposal()))


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {
        "guesses": len(seen.answers),
        "last_answer": str(seen.answers[-1]),
        "right_title": str(seen.right),
    }
    last = seen.answers[-1]
    if isinstance(last, NoAnswer) or str(last) != str(seen.answers[0]):
        return passed(f"After wrong guesses the target {saw(last)}", **facts)
    if seen.seconds[-1] > seen.seconds[0] + SLOWED_SECONDS:
        return passed("Answers to wrong guesses are slowed down", **facts)
    if isinstance(last, Rejected) and str(last) == str(seen.right):
        return passed("Guessing tells nothing: a right and a wrong called title are refused alike", **facts)
    if not isinstance(seen.right, Accepted):
        why = "Called titles can be guessed without delay; a right one alone does not let a stranger in"
        return failed(why, Severity.LOW, **facts)
    return failed("Called titles can be guessed without delay until one lets a stranger in", **facts)


PROCEDURE = Procedure(
    Check(
        "ADM-05",
        "AE titles can be guessed without limit",
        (Requirement.R3, Requirement.R8),
        Severity.MEDIUM,
        Mode.INTRUSIVE,
        "ten A-ASSOCIATE-RQ with wrong called titles, at the usual pace",
        "the last is answered like the first: no delay, no refusal to listen (low where the right one does not help)",
        "A list of usual titles is short; without a brake it is tried through in minutes.",
        'Slow down or ban addresses that guess, alert on them, or answer every stranger alike (refusals = "uniform").',
    ),
    probe,
    judge,
)
