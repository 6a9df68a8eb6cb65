"""IDN-04: are JSON Web Tokens accepted that no issuer made?"""

import time
from dataclasses import dataclass

from dicomgate.assess.checks.idn01_not_required import anonymous
from dicomgate.assess.checks.reading import admission, refused_before, vouched
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, failed, passed, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal, web_token

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Seen:
    without: Answer
    tokens: tuple[tuple[str, Answer], ...]
    """What is wrong with the token, and the answer."""


def probe(prober: Prober) -> Seen | Judgement:
    without = anonymous(prober)
    if (skip := refused_before(without)) is not None:
        return skip
    now = int(time.time())
    tokens = (
        ("unsigned", web_token(algorithm="none", expires=now + HOUR)),
        ("own key", web_token(expires=now + HOUR)),
        ("expired", web_token(expires=now - HOUR)),
        ("wrong audience", web_token(expires=now + HOUR, audience="somebody-else")),
    )
    calling = prober.caller
    return Seen(
        without, tuple((what, prober.ask(Proposal(calling=calling, identity=identity))) for what, identity in tokens)
    )


def judge(seen: Seen) -> Judgement:
    confirmed = [what for what, answer in seen.tokens if vouched(answer)]
    if confirmed:
        return failed("False tokens are accepted and confirmed", tokens=", ".join(confirmed))
    accepted = [what for what, answer in seen.tokens if isinstance(answer, Accepted)]
    if accepted and isinstance(seen.without, Accepted):
        return skipped(SkipReason.NOT_APPLICABLE, "Tokens are not looked at: nobody needs an identity (IDN-01, IDN-02)")
    if accepted:
        return failed("False tokens are accepted where no token is refused", Severity.HIGH, tokens=", ".join(accepted))
    for _, answer in seen.tokens:
        judgement = admission(answer, "", "False tokens are refused")
        if judgement.why != "False tokens are refused":
            return judgement
    return passed("False tokens are refused", tokens=len(seen.tokens))


PROCEDURE = Procedure(
    Check(
        "IDN-04",
        "tokens are not verified",
        (Requirement.R1,),
        Severity.CRITICAL,
        Mode.NEGOTIATION,
        "four JSON Web Tokens (58H type 5): unsigned, signed with an own key, expired, for somebody else",
        "A-ASSOCIATE-AC with a response (59H); without one it is high, where no token at all is refused",
        "Anybody can write a token that says he is the chief radiologist.",
        "Verify signature, issuer, audience and expiry; the gate does (verifier of kind oidc).",
    ),
    probe,
    judge,
)
