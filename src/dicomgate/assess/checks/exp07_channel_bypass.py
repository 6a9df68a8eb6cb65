"""EXP-07: does the peer site answer on its real address, outside the channel?"""

from dataclasses import dataclass

from dicomgate.assess.dialogue import spoke_dicom
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, failed, passed, skipped
from dicomgate.assess.prober import PortAnswer, Prober
from dicomgate.assess.procedure import Procedure


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[tuple[str, PortAnswer], ...]


def probe(prober: Prober) -> Seen | Judgement:
    if not prober.inputs.beyond_channel:
        return skipped(SkipReason.INPUT, "No real address of a peer site was named: give --beyond-channel ADDRESS:PORT")
    inside = [endpoint for endpoint in prober.inputs.beyond_channel if prober.is_in_scope(endpoint)]
    if not inside:
        return skipped(SkipReason.SCOPE, "The peer site's address is not in the scope")
    return Seen(tuple((str(endpoint), prober.ask_port(endpoint)) for endpoint in inside))


def judge(seen: Seen) -> Judgement:
    for endpoint, answer in seen.answers:
        if spoke_dicom(answer.plain) or (answer.encrypted is not None and spoke_dicom(answer.encrypted)):
            return failed(f"{endpoint} answers in DICOM outside the channel", endpoint=endpoint)
    return passed("No DICOM outside the channel", tried=len(seen.answers))


PROCEDURE = Procedure(
    Check(
        "EXP-07",
        "the way around the channel is open",
        (Requirement.R5,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ to the peer site's real address, outside the channel",
        "a DICOM PDU back",
        "An encrypted tunnel protects nothing that does not have to go through it.",
        "Bind the listener to the channel's address only, and close the port on the outer one.",
    ),
    probe,
    judge,
    anyhow=True,
)
