"""ADM-06: does the target answer to the AE title it was delivered with?"""

from dataclasses import dataclass

from dicomgate.assess.checks.adm01_called_title import random_called
from dicomgate.assess.checks.reading import answered
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import (
    Check,
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
from dicomgate.assess.proposal import Proposal

DEFAULT_TITLES = ("ORTHANC", "DCM4CHEE", "CONQUESTSRV1", "STORESCP", "PACS", "ARCHIVE")
"""What well-known archives are called when they are delivered."""


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[tuple[str, Answer], ...]
    """Title and answer; ends with the first that was accepted."""


def probe(prober: Prober) -> Seen | Judgement:
    if isinstance(random_called(prober), Accepted):
        return skipped(SkipReason.NOT_APPLICABLE, "Every called title is accepted, default ones too (ADM-01)")
    answers = []
    for title in DEFAULT_TITLES:
        own = title == prober.target.called_ae_title
        answers.append((title, prober.ask(Proposal(called=None if own else title))))
        if isinstance(answers[-1][1], Accepted):
            break
    return Seen(tuple(answers))


def judge(seen: Seen) -> Judgement:
    title, last = seen.answers[-1]
    if isinstance(last, Accepted):
        return failed(f"A stranger is accepted under the customary title {title}", title=title)
    if not all(answered(answer) for _, answer in seen.answers):
        return inconclusive("Some titles got no answer", tried=len(seen.answers))
    return passed("No customary title is accepted", tried=len(seen.answers))


PROCEDURE = Procedure(
    Check(
        "ADM-06",
        "answers to a title that everybody knows",
        (Requirement.R3,),
        Severity.MEDIUM,
        Mode.NEGOTIATION,
        f"A-ASSOCIATE-RQ to {', '.join(DEFAULT_TITLES)}, until one is accepted",
        "A-ASSOCIATE-AC",
        "These titles are tried first.",
        "Change the archive's title, and refuse calling titles that are not listed: the name alone is no protection.",
    ),
    probe,
    judge,
)
