"""TLS-01: does any port of the host speak DICOM in clear?"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import saw
from dicomgate.assess.dialogue import Answer, spoke_dicom
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure


@dataclass(frozen=True, slots=True)
class Seen:
    plain: tuple[tuple[int, Answer], ...]
    """Port and what a request in clear brought; the target's own comes first."""
    tls: bool


def probe(prober: Prober) -> Seen:
    contact = prober.contact or prober.make_contact()
    others = tuple((port.port, port.plain) for port in prober.other_ports())
    return Seen(((prober.target.endpoint.port, contact.plain), *others), contact.tls)


def judge(seen: Seen) -> Judgement:
    clear = [port for port, answer in seen.plain if spoke_dicom(answer)]
    if clear:
        listed = " ".join(map(str, clear))
        return failed(f"DICOM is spoken in clear on port {listed}", ports=listed)
    if seen.tls:
        return passed("DICOM is spoken over TLS only", tried=len(seen.plain))
    return inconclusive(f"No proof either way: the target {saw(seen.plain[0][1])}", tried=len(seen.plain))


PROCEDURE = Procedure(
    Check(
        "TLS-01",
        "DICOM in clear",
        (Requirement.R6,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ without TLS to the target, and to each other port of the scope",
        "a PDU of type 02H, 03H or 07H in clear",
        "Whoever can listen on the network reads names, diagnoses and images, and can change them on the way.",
        "Offer DICOM over TLS only; where a device cannot, put a gate beside it.",
    ),
    probe,
    judge,
)
