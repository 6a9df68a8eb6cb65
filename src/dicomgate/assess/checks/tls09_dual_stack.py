"""TLS-09: is the same archive open in clear beside TLS?"""

from dataclasses import dataclass

from dicomgate.assess.dialogue import Accepted
from dicomgate.assess.line import Endpoint
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, failed, passed, skipped
from dicomgate.assess.prober import PortAnswer, Prober
from dicomgate.assess.procedure import Procedure


@dataclass(frozen=True, slots=True)
class Seen:
    ports: tuple[PortAnswer, ...]


def probe(prober: Prober) -> Seen | Judgement:
    contact = prober.contact or prober.make_contact()
    own = PortAnswer(prober.target.endpoint.port, contact.plain, contact.encrypted)
    others = prober.other_ports()
    if not others and not _asked_both(own):
        endpoint = Endpoint(prober.target.endpoint.address, own.port)
        return skipped(SkipReason.SCOPE, f"The scope names no other port beside {endpoint.port}")
    return Seen((own, *others))


def _asked_both(answer: PortAnswer) -> bool:
    return isinstance(answer.plain, Accepted) and isinstance(answer.encrypted, Accepted)


def judge(seen: Seen) -> Judgement:
    clear = [port.port for port in seen.ports if isinstance(port.plain, Accepted)]
    encrypted = [port.port for port in seen.ports if isinstance(port.encrypted, Accepted)]
    if clear and encrypted:
        why = f"The same title is accepted in clear (port {clear[0]}) and over TLS (port {encrypted[0]})"
        return failed(why, clear=clear[0], encrypted=encrypted[0])
    return passed("The title is not accepted both in clear and over TLS", tried=len(seen.ports))


PROCEDURE = Procedure(
    Check(
        "TLS-09",
        "open in clear beside TLS",
        (Requirement.R6,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "the same A-ASSOCIATE-RQ in clear and over TLS, on all ports of the scope",
        "A-ASSOCIATE-AC on both",
        "Who cannot break the encryption takes the other door.",
        "Close the port without TLS, or let only the gate reach it.",
    ),
    probe,
    judge,
)
