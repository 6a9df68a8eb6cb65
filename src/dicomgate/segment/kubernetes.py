"""A plan in; Kubernetes NetworkPolicy objects as JSON out (`kubectl apply -f`). Pure.

One policy for each segment, for the pods that bear its label. API networking.k8s.io/v1; port ranges (`endPort`) need
Kubernetes 1.25. A policy names what may pass, and nothing else does.
"""

import json
from collections.abc import Iterable, Iterator

from dicomgate.policy.model import Networks
from dicomgate.segment.flows import Flow, Plan, Transport
from dicomgate.segment.networks import EVERYWHERE, of_version
from dicomgate.segment.words import UnsafeNameError, label, plain, unlike
from dicomgate.segment.zones import Zone, other_ports, zones

SEGMENT_LABEL = "dicomgate-segment"
LONGEST_LABEL = 63
Json = dict[str, object]


def render(plan: Plan, site: str | None = None) -> str:
    """A List of policies. UnsafeNameError for a name that Kubernetes would not take as it is."""
    policies = [_policy(zone, plan) for zone in zones(plan, site)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": policies}, indent=2) + "\n"


def _policy(zone: Zone, plan: Plan) -> Json:
    name = label(zone.segment.name)
    if len(name) > LONGEST_LABEL or not name[-1].isalnum():
        raise UnsafeNameError("expected a segment's name of at most 63 characters that ends in a letter or digit")
    arriving = [rule for opening in zone.arriving for rule in _rule("from", opening.there, opening.flow, plan)]
    if not zone.closed:
        arriving.append({"ports": _other_ports(plan)})
    leaving = [rule for opening in zone.leaving for rule in _rule("to", opening.there, opening.flow, plan)]
    rules = [plain(opening.flow.rule, 200) for opening in (*zone.arriving, *zone.leaving)]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            # RFC 1123: lower case, no underscore
            "name": f"dicomgate-{unlike(name, name.lower().replace('_', '-'))}",
            "annotations": {"dicomgate/rules": ", ".join(dict.fromkeys(rules))},
        },
        "spec": {
            "podSelector": {"matchLabels": {SEGMENT_LABEL: name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": arriving,
            # What the pods ask for themselves, names and time for instance, is no DICOM and none of our business.
            "egress": [*leaving, {"ports": _other_ports(plan)}],
        },
    }


def _rule(side: str, networks: Networks, flow: Flow, plan: Plan) -> Iterator[Json]:
    if flow.transport is Transport.ESP:
        return  # NetworkPolicy knows TCP, UDP and SCTP only; a pod that ends a tunnel needs NAT traversal
    yield {
        side: [{"ipBlock": block} for block in _blocks(networks, plan)],
        "ports": [{"protocol": flow.transport.upper(), "port": port} for port in flow.ports],
    }


def _blocks(networks: Networks, plan: Plan) -> Iterator[Json]:
    if not networks.any:
        for network in networks.members:
            yield {"cidr": str(network)}
        return
    for everything in EVERYWHERE:
        silent = [str(network) for network in of_version(plan.silent, everything.version)]
        yield {"cidr": str(everything), **({"except": silent} if silent else {})}


def _other_ports(plan: Plan) -> list[Json]:
    ranges: Iterable[tuple[int, int]] = other_ports(plan.dicom_ports)
    tcp = [{"protocol": "TCP", "port": first, **({"endPort": last} if last > first else {})} for first, last in ranges]
    return [*tcp, {"protocol": "UDP", "port": 1, "endPort": 65535}]
