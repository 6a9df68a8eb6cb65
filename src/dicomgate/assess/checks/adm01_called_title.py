"""ADM-01: is any called AE title accepted?"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal, random_title


@dataclass(frozen=True, slots=True)
class Seen:
    customary: Answer
    """To `ANY-SCP`, what many programs call when nothing is configured."""
    random: Answer


def random_called(prober: Prober) -> Answer:
    """The answer to a called title that nobody has configured; other checks compare with it."""
    return prober.ask(prober.keep("random called", lambda: Proposal(called=random_title())))


def probe(prober: Prober) -> Seen:
    return Seen(prober.ask(Proposal(called="ANY-SCP")), random_called(prober))


def judge(seen: Seen) -> Judgement:
    return admission(
        seen.random,
        "A called AE title of random characters is accepted",
        "A called AE title of random characters is refused",
        own_title=False,
        any_scp_accepted=isinstance(seen.customary, Accepted),
    )


PROCEDURE = Procedure(
    Check(
        "ADM-01",
        "any called AE title is accepted",
        (Requirement.R3,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ to ANY-SCP, then to 16 random characters",
        "A-ASSOCIATE-AC for a random called title",
        "A scanner does not even have to guess the archive's name.",
        "Let the archive check the called title (Orthanc: DicomCheckCalledAet), or put the gate in front of it.",
    ),
    probe,
    judge,
)
