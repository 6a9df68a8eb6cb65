"""One connection put to a plan: does it pass, and by which rule? Pure; the order is that of the rendered rules."""

from dataclasses import dataclass

from dicomgate.facts import Address
from dicomgate.segment.flows import Plan, Purpose, Transport

DICOM_ELSEWHERE = "segmentation.dicom_ports"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`rule` is the key of the configuration that decided; `none` for traffic that is not the plan's business."""

    passes: bool
    rule: str


def judge(plan: Plan, source: Address, destination: Address, port: int) -> Judgement:
    """A new TCP connection from one machine to another."""
    flows = [flow for flow in plan.flows if flow.transport is Transport.TCP and port in flow.ports]
    fitting = [flow for flow in flows if source in flow.source and destination in flow.destination]
    for flow in fitting:
        if flow.purpose is Purpose.MANAGEMENT:
            return Judgement(True, flow.rule)
    if port in plan.dicom_ports:
        for segment in plan.segments:
            if not segment.dicom and (source in segment.networks or destination in segment.networks):
                return Judgement(False, f"segment[{segment.name}].dicom")
        for flow in fitting:
            return Judgement(True, flow.rule)
        return Judgement(False, DICOM_ELSEWHERE)
    for segment in plan.segments:
        if destination in segment.networks and destination in plan.closed:
            return Judgement(False, f"segment[{segment.name}].other_traffic")
    return Judgement(True, "none")
