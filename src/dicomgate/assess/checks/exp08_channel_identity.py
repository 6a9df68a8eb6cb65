"""EXP-08: do both ends of the channel prove who they are, with keys that are not too old?"""

from dicomgate.assess.inputs import Channel
from dicomgate.assess.model import (
    Check,
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


def probe(prober: Prober) -> tuple[Channel, ...] | Judgement:
    if not prober.inputs.channels:
        return skipped(SkipReason.INPUT, "No state of a channel was named: give --channels FILE")
    return prober.inputs.channels


def judge(seen: tuple[Channel, ...]) -> Judgement:
    shared = [channel.name for channel in seen if not channel.mutual]
    old = [channel.name for channel in seen if (channel.key_age_days or 0) > OLDEST_KEY_DAYS]
    if shared or old:
        why = "Channels with one shared secret or a key older than a year"
        return failed(why, shared=" ".join(shared), old=" ".join(old))
    if any(channel.key_age_days is None for channel in seen):
        return inconclusive("Both ends prove who they are; how old the keys are is not said", channels=len(seen))
    return passed("Both ends prove who they are, with keys younger than a year", channels=len(seen))


PROCEDURE = Procedure(
    Check(
        "EXP-08",
        "the channel's ends do not prove who they are",
        (Requirement.R5,),
        Severity.MEDIUM,
        Mode.PASSIVE,
        "nothing; reads the state of the channels",
        "one shared secret for both ends, or a key older than a year",
        "Whoever once held the shared secret can still stand in for the other site.",
        "Use certificates or a key pair for each end, and renew them yearly.",
    ),
    probe,
    judge,
    anyhow=True,
)
