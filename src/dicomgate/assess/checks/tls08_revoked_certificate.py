"""TLS-08: is a client certificate accepted that was revoked, or has expired?"""

from dicomgate.assess.checks.client_certificate import show
from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import CALLING


def probe(prober: Prober) -> Answer | Judgement:
    if prober.inputs.revoked is None:
        why = "No revoked certificate was named: give --revoked-certificate and --revoked-key"
        return skipped(SkipReason.INPUT, why)
    return show(prober, prober.inputs.revoked, prober.inputs.known_calling or CALLING)


def judge(seen: Answer) -> Judgement:
    return admission(
        seen, "A revoked or expired certificate is accepted", "A revoked or expired certificate is refused"
    )


PROCEDURE = Procedure[Answer](
    Check(
        "TLS-08",
        "revoked client certificates are accepted",
        (Requirement.R6,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "a TLS handshake with a client certificate that was revoked or has expired, then an A-ASSOCIATE-RQ",
        "A-ASSOCIATE-AC",
        "The certificate of a stolen or sold device keeps opening the door.",
        "Give the server revocation lists (gate: crl of the listener); Orthanc has no setting for that.",
    ),
    probe,
    judge,
)
