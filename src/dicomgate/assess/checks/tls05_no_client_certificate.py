"""TLS-05: is an association accepted over TLS from a client that shows no certificate?"""

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer, Rejected
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal


def probe(prober: Prober) -> Answer | Judgement:
    if prober.entry is None:
        return skipped(SkipReason.NOT_APPLICABLE, "The target does not speak TLS")
    return prober.ask(Proposal(calling=prober.caller))


def judge(seen: Answer) -> Judgement:
    if isinstance(seen, Rejected):
        why = f"The handshake succeeds without a certificate; the request is then {seen}, for whatever reason"
        return skipped(SkipReason.REFUSED_BEFORE, why)
    return admission(
        seen, "A client without a certificate gets an association", "A client without a certificate gets no association"
    )


PROCEDURE = Procedure[Answer](
    Check(
        "TLS-05",
        "no client certificate is needed",
        (Requirement.R6,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "a TLS handshake without a client certificate, then an A-ASSOCIATE-RQ",
        "A-ASSOCIATE-AC",
        "Encrypted, but with anybody: TLS without client certificates keeps listeners out, not callers.",
        "Ask for client certificates (Orthanc: DicomTlsRemoteCertificateRequired; gate: client_ca of the listener).",
    ),
    probe,
    judge,
)
