"""EXP-07: is there a way to the peer site outside the channel?

Asked at its real address (`--beyond-channel`), or read from what `dicomgate segment verify` and `dicomgate channel
verify` have found.
"""

from dataclasses import dataclass

from dicomgate.assess.dialogue import spoke_dicom
from dicomgate.assess.inputs import Channel, SegmentProbe
from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    passed,
    skipped,
)
from dicomgate.assess.prober import PortAnswer, Prober
from dicomgate.assess.procedure import Procedure

KEPT_INSIDE = "cleartext"
"""The check of channel verify that shows that nothing leaves beside the channel. A wrong route alone does not: what
takes it is dropped."""


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[tuple[str, PortAnswer], ...] = ()
    probes: tuple[SegmentProbe, ...] = ()
    """Connections to real addresses of peer sites, tried by segment verify."""
    channels: tuple[Channel, ...] = ()
    """Those that channel verify has looked at."""


def probe(prober: Prober) -> Seen | Judgement:
    inputs = prober.inputs
    inside = [endpoint for endpoint in inputs.beyond_channel if prober.is_in_scope(endpoint)]
    seen = Seen(
        tuple((str(endpoint), prober.ask_port(endpoint)) for endpoint in inside),
        tuple(each for each in inputs.segments or () if each.past_channel),
        tuple(each for each in inputs.channels or () if each.findings),
    )
    if seen != Seen():
        return seen
    if inputs.beyond_channel:
        return skipped(SkipReason.SCOPE, "The peer site's address is not in the scope")
    why = "Give --beyond-channel ADDRESS:PORT of the peer site, or --channels FILE, from dicomgate channel verify"
    return skipped(SkipReason.INPUT, why)


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {
        "tried": len(seen.answers) + len(seen.probes),
        "channels": " ".join(each.name for each in seen.channels),
    }
    for endpoint, answer in seen.answers:
        if spoke_dicom(answer.plain) or (answer.encrypted is not None and spoke_dicom(answer.encrypted)):
            return failed(f"{endpoint} answers in DICOM outside the channel", endpoint=endpoint, **facts)
    through = sorted({f"{each.address}:{each.port}" for each in seen.probes if not each.ok})
    if through:
        return failed(f"Connections reach {', '.join(through)} outside the channel", **facts)
    looked_at = [
        (channel.name, finding)
        for channel in seen.channels
        for finding in channel.findings
        if finding.check == KEPT_INSIDE
    ]
    beside = sorted({name for name, finding in looked_at if finding.seen and not finding.ok})
    if beside:
        return failed(f"What belongs into the channel {', '.join(beside)} may leave beside it", **facts)
    asked = {name for name, finding in looked_at if finding.seen}
    unseen = sorted({channel.name for channel in seen.channels} - asked)
    if unseen:
        return inconclusive(f"The rules around {', '.join(unseen)} could not be looked at", **facts)
    return passed("No way around the channel was found", **facts)


PROCEDURE = Procedure(
    Check(
        "EXP-07",
        "the way around the channel is open",
        (Requirement.R5,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ to the peer site's real address, outside the channel; or nothing, and reads what "
        "segment verify and channel verify have found",
        "a DICOM PDU back, a connection that passed, or a rule that is missing",
        "An encrypted tunnel protects nothing that does not have to go through it.",
        "Bind the listener to the channel's address only, and close the port on the outer one.",
    ),
    probe,
    judge,
    anyhow=True,
)
