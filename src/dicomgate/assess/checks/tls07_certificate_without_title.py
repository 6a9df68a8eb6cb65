"""TLS-07: may one device's certificate call itself another device?"""

from dicomgate.assess.checks.client_certificate import show
from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure


def probe(prober: Prober) -> Answer | Judgement:
    pair, calling = prober.inputs.certificate, prober.inputs.known_calling
    if pair is None or calling is None:
        why = "Give --certificate and --key of one device, and --known-calling of another"
        return skipped(SkipReason.INPUT, why)
    return show(prober, pair, calling)


def judge(seen: Answer) -> Judgement:
    return admission(
        seen,
        "One device's certificate is accepted under another device's AE title",
        "A certificate is refused under another device's AE title",
    )


PROCEDURE = Procedure[Answer](
    Check(
        "TLS-07",
        "certificates are not bound to AE titles",
        (Requirement.R3, Requirement.R6),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "a TLS handshake with one device's certificate, then an A-ASSOCIATE-RQ under another device's title",
        "A-ASSOCIATE-AC",
        "One stolen device certificate lets its holder be every device.",
        'Write certificates = [...] and assurance = "device" for each peer of the gate.',
    ),
    probe,
    judge,
)
