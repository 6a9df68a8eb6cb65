"""EXP-05: does DICOM answer in a zone where the segment matrix says that it must not?

Either asked from the zone in which this runs (`--zone`), or read from what `dicomgate segment verify` has found.
"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import saw
from dicomgate.assess.dialogue import Answer, spoke_dicom
from dicomgate.assess.inputs import SegmentProbe
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
from dicomgate.assess.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Seen:
    zone: str | None = None
    """A zone from which nothing may pass, where the assessor stands."""
    answer: Answer | None = None
    probes: tuple[SegmentProbe, ...] = ()
    """Connections to this target that must not pass, tried by others."""


def probe(prober: Prober) -> Seen | Judgement:
    zone, segments = prober.inputs.zone, prober.inputs.segments
    endpoint = prober.target.endpoint
    probes = tuple(
        each
        for each in segments or ()
        if (each.address, each.port) == (endpoint.address, endpoint.port)
        and not each.must_pass
        and not each.past_channel
    )
    if zone is not None and not zone.allowed:
        return Seen(zone.name, prober.ask(Proposal()), probes)
    if probes:
        return Seen(probes=probes)
    if zone is not None:
        return skipped(SkipReason.NOT_APPLICABLE, f"The matrix lets DICOM through from the zone {zone.name}")
    why = "Run it in each zone with --zone NAME, or give --segments FILE, from dicomgate segment verify"
    return skipped(SkipReason.INPUT, why)


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {"zone": seen.zone or "", "answer": str(seen.answer or ""), "probes": len(seen.probes)}
    if seen.answer is not None and spoke_dicom(seen.answer):
        return failed(f"It answers in DICOM in the zone {seen.zone}, where none should pass", **facts)
    through = sorted({each.source_segment for each in seen.probes if not each.ok})
    if through:
        return failed(f"Connections pass from {', '.join(through)}, where none should", **facts)
    if seen.answer is not None:
        return passed(f"In the zone {seen.zone} the target {saw(seen.answer)}", **facts)
    if seen.probes:
        return passed(f"{len(seen.probes)} connections that must not pass did not", **facts)
    return inconclusive("Nothing was tried", **facts)


PROCEDURE = Procedure(
    Check(
        "EXP-05",
        "reachable from a zone that has no business with it",
        (Requirement.R7,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ, from a zone where the matrix says deny; or nothing, and reads segment verify's result",
        "any DICOM PDU back, or a connection that passed",
        "One infected computer in an office or guest network is enough to reach the images.",
        "Let the segment rules pass DICOM from the listed zones only: dicomgate segment render.",
    ),
    probe,
    judge,
    anyhow=True,
)
