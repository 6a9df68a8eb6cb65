"""ADM-07: is an AE title accepted that looks like a path?"""

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal

UNSAFE_TITLE = "A/../B"


def probe(prober: Prober) -> Answer:
    return prober.ask(Proposal(called=UNSAFE_TITLE))


def judge(seen: Answer) -> Judgement:
    return admission(
        seen,
        f"The called AE title {UNSAFE_TITLE} is accepted",
        "A called AE title that looks like a path is refused",
        own_title=False,
    )


PROCEDURE = Procedure[Answer](
    Check(
        "ADM-07",
        "AE titles that look like paths are accepted",
        (Requirement.R3,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        f"A-ASSOCIATE-RQ to {UNSAFE_TITLE}",
        "A-ASSOCIATE-AC: the precondition of CVE-2026-52868 (a title used as a folder's name)",
        "Some programs make folders named like the title; a crafted one leads out of where files belong.",
        "Refuse unknown called titles. The gate passes on titles of listed archives only.",
    ),
    probe,
    judge,
)
