"""A plan cut up by segment: what may come into each, and what may leave it for elsewhere. Pure.

Kubernetes and the clouds attach their rules to machines, not to a point on the way; a zone is such a set of machines.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dicomgate.policy.model import Networks
from dicomgate.segment.flows import Flow, Plan
from dicomgate.segment.model import OtherTraffic, Segment
from dicomgate.segment.networks import common, without

LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Opening:
    """One flow as a zone sees it: the networks of the other side (`any` is possible), and of this one."""

    there: Networks
    here: Networks
    flow: Flow


@dataclass(frozen=True, slots=True)
class Zone:
    """The machines of a segment. `closed`: nothing else may come in; else every port but the DICOM ones may."""

    segment: Segment
    arriving: tuple[Opening, ...]
    leaving: tuple[Opening, ...]
    closed: bool


def zones(plan: Plan, site: str | None) -> Iterator[Zone]:
    """The segments of one site, in file order; None: of the site that the configuration is for."""
    for segment in plan.segments:
        if (segment.site == site) if site is not None else not segment.remote:
            yield Zone(segment, _arriving(segment, plan), _leaving(segment, plan), _closed(segment))


def other_ports(dicom_ports: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The ranges of ports that are not for DICOM: first and last."""
    first = 1
    for port in sorted({*dicom_ports}):
        if first < port:
            yield first, port - 1
        first = port + 1
    if first <= LAST_PORT:
        yield first, LAST_PORT


def _arriving(segment: Segment, plan: Plan) -> tuple[Opening, ...]:
    found = ((_seen(common(flow.destination, segment.networks), flow), flow) for flow in plan.flows)
    return tuple(Opening(flow.source, here, flow) for here, flow in found if here)


def _leaving(segment: Segment, plan: Plan) -> tuple[Opening, ...]:
    """A flow from `any` leaves from everybody, but from the silent."""
    flows = (flow for flow in plan.flows if segment.dicom or not flow.source.any)
    found = ((_seen(common(flow.source, segment.networks), flow), flow) for flow in flows)
    return tuple(Opening(flow.destination, here, flow) for here, flow in found if here)


def _seen(here: Networks, flow: Flow) -> Networks:
    """Without the machines on which the flow's tunnel ends: from outside them, it would be the same flow in clear."""
    tunnel = flow.arrives_by or flow.leaves_by
    return here if tunnel is None else without(here, tunnel.ends_on)


def _closed(segment: Segment) -> bool:
    return segment.other_traffic is OtherTraffic.DROP
