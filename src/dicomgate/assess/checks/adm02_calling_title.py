"""ADM-02: is any calling AE title accepted?"""

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal, random_title


def random_calling(prober: Prober) -> Answer:
    """The answer to a calling title that nobody has configured; other checks compare with it."""
    return prober.ask(prober.keep("random calling", lambda: Proposal(calling=random_title())))


def judge(seen: Answer) -> Judgement:
    return admission(
        seen,
        "A calling AE title of random characters is accepted",
        "A calling AE title of random characters is refused",
    )


PROCEDURE = Procedure[Answer](
    Check(
        "ADM-02",
        "any calling AE title is accepted",
        (Requirement.R3,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ with 16 random characters as calling title",
        "A-ASSOCIATE-AC",
        "The archive talks to every program that finds it; there is no list of devices.",
        "List the devices. Where the archive cannot (Orthanc accepts echo and store from all), put the gate in front.",
    ),
    random_calling,
    judge,
)
