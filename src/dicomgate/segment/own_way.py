"""From which address does this machine call? In: a plan and the routes of this machine. Out: what the plan would cut.

A gate host with several addresses calls its archive from the one on the way there, which need not be the one that the
configuration names; rules for the wrong one would cut the gate off.
"""

import socket
from collections.abc import Iterator

from dicomgate.facts import Address
from dicomgate.segment.flows import Flow, Plan, Purpose
from dicomgate.segment.networks import machines


def source_to(there: Address, port: int) -> Address | None:
    """The address that a connection from here would have; None without a route. Nothing is sent."""
    with socket.socket(_family(there), socket.SOCK_DGRAM) as route:
        try:
            route.connect((str(there), port))
        except OSError:
            return None
        found: str = route.getsockname()[0]
    return type(there)(found)


def is_here(address: Address) -> bool:
    """Whether this machine has the address."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def is_gate_host(plan: Plan) -> bool:
    """Whether this machine has one of the gate's addresses."""
    return any(is_here(address) for address in machines(plan.gate))


def cut_ways(plan: Plan) -> list[str]:
    """On the gate host: a sentence for each place that it could no longer call. Elsewhere nothing is asked."""
    if not is_gate_host(plan):
        return []
    return [sentence for flow in plan.flows if _leaves_the_gate(plan, flow) for sentence in _cut(flow)]


def _leaves_the_gate(plan: Plan, flow: Flow) -> bool:
    return flow.purpose is Purpose.DICOM and flow.source_name == "gate" and bool(plan.gate)


def _cut(flow: Flow) -> Iterator[str]:
    for there in machines(flow.destination):
        source = source_to(there, flow.ports[0])
        if source is not None and source not in flow.source and source != there:
            yield (
                f"this machine calls {flow.destination_name} ({there}) from {source},"
                f" which is not among the gate's addresses ({flow.source}): {flow.rule}"
            )


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
