"""EXP-01: who used this port at all? Judged from a gate's records, without a packet to the target."""

from dicomgate.assess.inputs import Usage
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

ENOUGH_DAYS = 14.0
"""Records of a shorter time cannot show that nobody needs a port: a service visit comes once a fortnight."""


def probe(prober: Prober) -> Usage | Judgement:
    if prober.inputs.usage is None:
        return skipped(SkipReason.INPUT, "No records were named: give --records FILE, from dicomgate audit list --json")
    return prober.inputs.usage


def judge(seen: Usage) -> Judgement:
    associations = sum(use.associations for use in seen.users)
    facts: dict[str, Fact] = {
        "days": round(seen.days, 1),
        "addresses": len(seen.users),
        "associations": associations,
    }
    if seen.users:
        users = f"{len(seen.users)} address{'' if len(seen.users) == 1 else 'es'}"
        return passed(f"Used by {users} in the {seen.days:.1f} days that the records cover", **facts)
    if seen.days < ENOUGH_DAYS:
        return inconclusive(f"The records cover {seen.days:.0f} days only; {ENOUGH_DAYS:.0f} are wanted", **facts)
    return failed(f"Nobody used it in {seen.days:.0f} days: close it", **facts)


PROCEDURE = Procedure(
    Check(
        "EXP-01",
        "the port is open although nobody uses it",
        (Requirement.R0,),
        Severity.HIGH,
        Mode.PASSIVE,
        "nothing; reads a gate's records",
        "no address was admitted in at least 14 days",
        "A door that nobody needs can only be used by the wrong people.",
        "Close the port. If records show users, allow exactly those addresses.",
    ),
    probe,
    judge,
    anyhow=True,
)
