"""ADM-04: does the answer tell which half of a guess was right? Compares answers that ADM-01 and ADM-02 got."""

from dataclasses import dataclass

from dicomgate.assess.checks.adm01_called_title import random_called
from dicomgate.assess.checks.adm02_calling_title import random_calling
from dicomgate.assess.checks.reading import answered, saw
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


@dataclass(frozen=True, slots=True)
class Seen:
    wrong_called: Answer
    wrong_calling: Answer


def probe(prober: Prober) -> Seen:
    return Seen(random_called(prober), random_calling(prober))


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {"wrong_called": str(seen.wrong_called), "wrong_calling": str(seen.wrong_calling)}
    if isinstance(seen.wrong_called, Accepted):
        return skipped(SkipReason.NOT_APPLICABLE, "Every called title is accepted: there is nothing to guess (ADM-01)")
    for answer in (seen.wrong_called, seen.wrong_calling):
        if not answered(answer):
            return inconclusive(f"No proof either way: the target {saw(answer)}", **facts)
    if str(seen.wrong_called) == str(seen.wrong_calling):
        return passed("A wrong called and a wrong calling title are refused alike", **facts)
    return failed("The answer tells whether the called title was right", **facts)


PROCEDURE = Procedure(
    Check(
        "ADM-04",
        "refusals tell which title was right",
        (Requirement.R3,),
        Severity.LOW,
        Mode.NEGOTIATION,
        "a wrong called title, then a wrong calling title",
        "two different answers, such as rejected 1/1/7 and 1/1/3, or rejected and accepted",
        "Whoever guesses learns the archive's name first and needs far fewer tries.",
        'Answer every stranger alike: refusals = "uniform" in the gate.',
    ),
    probe,
    judge,
)
