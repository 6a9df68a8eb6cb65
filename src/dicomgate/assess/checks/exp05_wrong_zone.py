"""EXP-05: does DICOM answer in a zone where the segment matrix says that it must not?"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import saw
from dicomgate.assess.dialogue import Answer, spoke_dicom
from dicomgate.assess.inputs import Zone
from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Seen:
    answer: Answer
    zone: Zone


def probe(prober: Prober) -> Seen | Judgement:
    zone = prober.inputs.zone
    if zone is None:
        return skipped(SkipReason.INPUT, "The assessor's zone was not named: run it in each zone with --zone NAME")
    if zone.allowed:
        return skipped(SkipReason.NOT_APPLICABLE, f"The matrix lets DICOM through from the zone {zone.name}")
    return Seen(prober.ask(Proposal()), zone)


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {"zone": seen.zone.name, "answer": str(seen.answer)}
    if spoke_dicom(seen.answer):
        return failed(f"It answers in DICOM in the zone {seen.zone.name}, where none should pass", **facts)
    return passed(f"In the zone {seen.zone.name} the target {saw(seen.answer)}", **facts)


PROCEDURE = Procedure(
    Check(
        "EXP-05",
        "reachable from a zone that has no business with it",
        (Requirement.R7,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ, from a zone where the matrix says deny",
        "any DICOM PDU back",
        "One infected computer in an office or guest network is enough to reach the images.",
        "Let the segment rules pass DICOM from the listed zones only: dicomgate segment render.",
    ),
    probe,
    judge,
    anyhow=True,
)
