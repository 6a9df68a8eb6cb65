"""IDN-05: are an unsigned SAML assertion or a Kerberos ticket of random bytes confirmed?"""

from dataclasses import dataclass

from dicomgate.assess.checks.idn01_not_required import anonymous
from dicomgate.assess.checks.reading import admission, refused_before, vouched
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal, junk_ticket, unsigned_assertion


@dataclass(frozen=True, slots=True)
class Seen:
    assertion: Answer
    ticket: Answer


def probe(prober: Prober) -> Seen | Judgement:
    if (skip := refused_before(anonymous(prober))) is not None:
        return skip
    calling = prober.caller
    return Seen(
        prober.ask(Proposal(calling=calling, identity=unsigned_assertion())),
        prober.ask(Proposal(calling=calling, identity=junk_ticket())),
    )


def judge(seen: Seen) -> Judgement:
    kinds = (("SAML assertion", seen.assertion), ("Kerberos ticket", seen.ticket))
    confirmed = [kind for kind, answer in kinds if vouched(answer)]
    if confirmed:
        return failed(f"A false {' and a false '.join(confirmed)} is confirmed", kinds=", ".join(confirmed))
    for _, answer in kinds:
        if not isinstance(answer, Accepted):
            judgement = admission(answer, "", "refused")
            if judgement.why != "refused":
                return judgement
    return passed("Neither is confirmed", assertion=str(seen.assertion), ticket=str(seen.ticket))


PROCEDURE = Procedure(
    Check(
        "IDN-05",
        "false SAML assertions or Kerberos tickets are confirmed",
        (Requirement.R1,),
        Severity.CRITICAL,
        Mode.NEGOTIATION,
        "an unsigned SAML assertion (58H type 4) and a Kerberos ticket of random bytes (type 3)",
        "A-ASSOCIATE-AC with a response (59H)",
        "The archive vouches for people it has never checked.",
        "Switch the false check off, and let the gate verify identities (verifiers of kind saml and kerberos).",
    ),
    probe,
    judge,
)
