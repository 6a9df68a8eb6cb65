"""EXP-08: do both ends of the channel prove who they are, with keys that are not too old?"""

from dicomgate.assess.inputs import Channel
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
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure

OLDEST_KEY_DAYS = 365.0
IDENTITIES = ("peer_identity", "own_identity")
"""Checks of channel verify that show who is at the ends."""


def probe(prober: Prober) -> tuple[Channel, ...] | Judgement:
    if not prober.inputs.channels:
        why = "No channel was named: give --channels FILE, from dicomgate channel verify"
        return skipped(SkipReason.INPUT, why)
    return prober.inputs.channels


def judge(seen: tuple[Channel, ...]) -> Judgement:
    shared = [channel.name for channel in seen if not channel.mutual]
    old = [channel.name for channel in seen if (channel.shared_key_days or 0) > OLDEST_KEY_DAYS]
    strange = [
        channel.name
        for channel in seen
        if any(finding.check in IDENTITIES and finding.seen and not finding.ok for finding in channel.findings)
    ]
    facts: dict[str, Fact] = {
        "channels": len(seen),
        "shared": " ".join(shared),
        "old": " ".join(old),
        "strange": " ".join(strange),
    }
    if strange:
        return failed(f"At an end of {', '.join(strange)} is somebody else than the configuration says", **facts)
    if shared or old:
        return failed("Channels with one shared secret, or with a shared key older than a year", **facts)
    unproven = [channel.name for channel in seen if channel.findings and not _is_proven(channel)]
    if unproven:
        return inconclusive(f"Down, so that nobody has proved who he is: {', '.join(unproven)}", **facts)
    return passed("Both ends prove who they are, and no shared key is older than a year", **facts)


def _is_proven(channel: Channel) -> bool:
    return any(finding.check == IDENTITIES[0] and finding.ok for finding in channel.findings)


PROCEDURE = Procedure(
    Check(
        "EXP-08",
        "the channel's ends do not prove who they are",
        (Requirement.R5,),
        Severity.MEDIUM,
        Mode.PASSIVE,
        "nothing; reads what channel verify, or segment verify, has found",
        "one shared secret for both ends, a shared key older than a year, or another peer than was written",
        "Whoever once held the shared secret can still stand in for the other site.",
        "Use certificates or a key pair for each end, and renew them yearly.",
    ),
    probe,
    judge,
    anyhow=True,
)
