"""A plan in; AWS security groups as Terraform JSON out (a file `….tf.json`, provider hashicorp/aws 5 or 6). Pure.

One group for each segment. A security group only allows; what it does not name is dropped, in both directions.
"""

import json
from collections.abc import Iterable, Iterator

from dicomgate.policy.model import Network
from dicomgate.segment.flows import Flow, Plan, Transport
from dicomgate.segment.networks import EVERYWHERE, without
from dicomgate.segment.words import label, plain, unlike
from dicomgate.segment.zones import LAST_PORT, Opening, Zone, other_ports, zones

LONGEST_DESCRIPTION = 255
_ESP = "50"
Json = dict[str, object]


def render(plan: Plan, site: str | None = None) -> str:
    """A Terraform configuration with one variable, `vpc_id`."""
    groups: dict[str, Json] = {}
    arriving: dict[str, Json] = {}
    leaving: dict[str, Json] = {}
    for zone in zones(plan, site):
        name = "dicomgate_" + unlike(zone.segment.name, zone.segment.name.replace(".", "_"))
        groups[name] = {
            "name": f"dicomgate-{label(zone.segment.name)}",
            "description": plain(f"DICOM segment {zone.segment.name}", LONGEST_DESCRIPTION),
            "vpc_id": "${var.vpc_id}",
            "tags": {"dicomgate-segment": zone.segment.name},
        }
        for number, rule in enumerate(_once(_arriving(zone, plan)), 1):
            arriving[f"{name}_in_{number}"] = {"security_group_id": f"${{aws_security_group.{name}.id}}", **rule}
        for number, rule in enumerate(_once(_leaving(zone, plan)), 1):
            leaving[f"{name}_out_{number}"] = {"security_group_id": f"${{aws_security_group.{name}.id}}", **rule}
    resources: Json = {
        "aws_security_group": groups,
        "aws_vpc_security_group_ingress_rule": arriving,
        "aws_vpc_security_group_egress_rule": leaving,
    }
    return (
        json.dumps(
            {
                "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5.0"}}},
                "variable": {"vpc_id": {"type": "string", "description": "The VPC that the machines are in."}},
                "resource": {kind: rules for kind, rules in resources.items() if rules},
            },
            indent=2,
        )
        + "\n"
    )


def _once(rules: Iterable[Json]) -> Iterator[Json]:
    """A group takes no rule twice, whatever its description: what two flows ask for is one rule for both."""
    found: dict[str, tuple[Json, dict[str, None]]] = {}
    for rule in rules:
        place = {key: value for key, value in rule.items() if key != "description"}
        _, asked_by = found.setdefault(json.dumps(place, sort_keys=True), (place, {}))
        asked_by[str(rule["description"])] = None
    for place, asked_by in found.values():
        yield {**place, "description": plain(", ".join(asked_by), LONGEST_DESCRIPTION)}


def _arriving(zone: Zone, plan: Plan) -> Iterator[Json]:
    for opening in zone.arriving:
        yield from _opened(opening, plan)
    if not zone.closed:
        yield from _everything_else(plan)


def _leaving(zone: Zone, plan: Plan) -> Iterator[Json]:
    for opening in zone.leaving:
        yield from _opened(opening, plan)
    yield from _everything_else(plan)


def _opened(opening: Opening, plan: Plan) -> Iterator[Json]:
    flow = opening.flow
    # A group cannot say "all but": the silent networks are left out by naming what is left.
    networks = without(opening.there, plan.silent) if opening.there.any and plan.silent else opening.there
    for network in EVERYWHERE if networks.any else networks.members:
        for ports in _ports(flow):
            yield {**_place(network), **ports, "description": plain(flow.rule, LONGEST_DESCRIPTION)}


def _ports(flow: Flow) -> Iterator[Json]:
    if flow.transport is Transport.ESP:
        yield {"ip_protocol": _ESP}
        return
    for port in flow.ports:
        yield {"ip_protocol": flow.transport.value, "from_port": port, "to_port": port}


def _everything_else(plan: Plan) -> Iterator[Json]:
    for network in EVERYWHERE:
        for first, last in other_ports(plan.dicom_ports):
            yield {
                **_place(network),
                "ip_protocol": "tcp",
                "from_port": first,
                "to_port": last,
                "description": "not DICOM",
            }
        yield {
            **_place(network),
            "ip_protocol": "udp",
            "from_port": 0,
            "to_port": LAST_PORT,
            "description": "not DICOM",
        }


def _place(network: Network) -> Json:
    return {"cidr_ipv4" if network.version == 4 else "cidr_ipv6": str(network)}
