"""IDN-01: is an association accepted without any user identity?"""

from dicomgate.assess.checks.reading import admission, refused_before
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal


def anonymous(prober: Prober) -> Answer:
    """The answer to the caller that gets furthest, without an identity; other checks compare with it."""
    return prober.ask(Proposal(calling=prober.caller))


def judge(seen: Answer) -> Judgement:
    return refused_before(seen) or admission(
        seen, "An association is accepted without a user identity", "Without a user identity there is no association"
    )


PROCEDURE = Procedure[Answer](
    Check(
        "IDN-01",
        "no user identity is needed",
        (Requirement.R1,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ without a user identity (sub-item 58H)",
        "A-ASSOCIATE-AC",
        "Nobody knows which person looked at an image, and nobody can be kept out as a person.",
        'Ask for identities at the gate (assurance = "user"), or prove devices by certificate where nobody signs in.',
    ),
    anonymous,
    judge,
)
