"""EXP-04: does the same host speak DICOM on ports that nobody declared?"""

from dataclasses import dataclass

from dicomgate.assess.dialogue import spoke_dicom
from dicomgate.assess.line import Endpoint
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, failed, passed, skipped
from dicomgate.assess.prober import PortAnswer, Prober
from dicomgate.assess.procedure import Procedure


@dataclass(frozen=True, slots=True)
class Seen:
    ports: tuple[PortAnswer, ...]
    declared: frozenset[int]


def probe(prober: Prober) -> Seen | Judgement:
    address = prober.target.endpoint.address
    wanted = [port for port in prober.inputs.ports if port != prober.target.endpoint.port]
    if not any(prober.is_in_scope(Endpoint(address, port)) for port in wanted):
        return skipped(SkipReason.SCOPE, "The scope names no other port of this host")
    declared = frozenset(endpoint.port for endpoint in prober.inputs.declared if endpoint.address == address)
    return Seen(prober.other_ports(), declared)


def judge(seen: Seen) -> Judgement:
    shadows = [
        port.port
        for port in seen.ports
        if port.port not in seen.declared
        and (spoke_dicom(port.plain) or (port.encrypted is not None and spoke_dicom(port.encrypted)))
    ]
    if shadows:
        listed = " ".join(map(str, shadows))
        return failed(f"DICOM answers on undeclared ports: {listed}", ports=listed, tried=len(seen.ports))
    return passed(f"No DICOM on {len(seen.ports)} other ports of this host", tried=len(seen.ports))


PROCEDURE = Procedure(
    Check(
        "EXP-04",
        "DICOM on a port that nobody declared",
        (Requirement.R0, Requirement.R7),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ to each other port of the scope (usually 104, 2761, 2762, 4242, 11112, 8042, 8104)",
        "a PDU of type 02H, 03H or 07H from a port that is no target of the run",
        "A second door beside the guarded one.",
        "Find out what listens there and stop it, or put it behind the gate and name it as a target.",
    ),
    probe,
    judge,
)
