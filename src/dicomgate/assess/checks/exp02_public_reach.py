"""EXP-02: does a public address answer in DICOM to somebody who stands outside?"""

from dataclasses import dataclass
from ipaddress import ip_address

from dicomgate.assess.checks.reading import saw
from dicomgate.assess.dialogue import Accepted, Answer, spoke_dicom
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, failed, passed, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Seen:
    answer: Answer


def probe(prober: Prober) -> Seen | Judgement:
    if not ip_address(prober.target.endpoint.address).is_global:
        return skipped(SkipReason.NOT_APPLICABLE, "Its address is not a public one")
    if not prober.inputs.outside:
        return skipped(SkipReason.INPUT, "Run this from outside the site, and say so with --outside")
    return Seen(prober.ask(Proposal()))


def judge(seen: Seen) -> Judgement:
    if isinstance(seen.answer, Accepted):
        return failed("A stranger on the Internet gets an association", answer=str(seen.answer))
    if spoke_dicom(seen.answer):
        return failed("It answers strangers on the Internet in DICOM", Severity.HIGH, answer=str(seen.answer))
    return passed(f"From outside the target {saw(seen.answer)}", answer=str(seen.answer))


PROCEDURE = Procedure(
    Check(
        "EXP-02",
        "reachable from the Internet",
        (Requirement.R0, Requirement.R2),
        Severity.CRITICAL,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ, from outside",
        "A-ASSOCIATE-AC (critical) or any other PDU (high) from a public address",
        "Search engines list such servers within days, and everybody can try their luck.",
        "Close the port to the Internet. Remote sites come through a channel or the gate, from listed addresses.",
    ),
    probe,
    judge,
    anyhow=True,
)
