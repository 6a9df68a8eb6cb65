"""A plan in; Azure network security groups as Terraform JSON out (a file `….tf.json`, provider azurerm 3 or 4). Pure.

One group for each segment. Rules are tried by priority, the lowest number first; the first that fits decides. Each is
a resource of its own: rules inside a group, in Terraform's JSON, would need every attribute that a rule can have.
"""

import json
from collections.abc import Iterable, Iterator

from dicomgate.policy.model import Networks
from dicomgate.segment.flows import Flow, Plan, Transport
from dicomgate.segment.networks import of_version
from dicomgate.segment.words import label, plain, unlike
from dicomgate.segment.zones import Zone, zones

LONGEST_DESCRIPTION = 140
FIRST_PRIORITY, LAST_PRIORITY = 100, 4096
Json = dict[str, object]
_PROTOCOL = {Transport.TCP: "Tcp", Transport.UDP: "Udp", Transport.ESP: "Esp"}


class TooManyRulesError(ValueError):
    """More rules than a group has priorities for."""


def render(plan: Plan, site: str | None = None) -> str:
    """A Terraform configuration with the variables `location` and `resource_group_name`."""
    groups: dict[str, Json] = {}
    rules: dict[str, Json] = {}
    for zone in zones(plan, site):
        name = "dicomgate_" + unlike(zone.segment.name, zone.segment.name.replace(".", "_"))
        groups[name] = {
            "name": f"dicomgate-{label(zone.segment.name)}",
            "location": "${var.location}",
            "resource_group_name": "${var.resource_group_name}",
            "tags": {"dicomgate-segment": zone.segment.name},
        }
        for direction, of_zone in (("Inbound", _arriving(zone, plan)), ("Outbound", _leaving(zone, plan))):
            for rule in _numbered(of_zone, direction):
                rules[f"{name}_{direction.lower()}_{rule['priority']}"] = {
                    "resource_group_name": "${var.resource_group_name}",
                    "network_security_group_name": f"${{azurerm_network_security_group.{name}.name}}",
                    **rule,
                }
    resources: Json = {"azurerm_network_security_group": groups, "azurerm_network_security_rule": rules}
    return (
        json.dumps(
            {
                "terraform": {"required_providers": {"azurerm": {"source": "hashicorp/azurerm", "version": ">= 3.0"}}},
                "variable": {
                    "location": {"type": "string", "description": "The Azure region."},
                    "resource_group_name": {"type": "string", "description": "The resource group of the network."},
                },
                "resource": {kind: each for kind, each in resources.items() if each},
            },
            indent=2,
        )
        + "\n"
    )


def _arriving(zone: Zone, plan: Plan) -> Iterator[Json]:
    yield from _silence(plan, "source")
    for opening in zone.arriving:
        yield from _allow(opening.flow, source=opening.there, destination=opening.here)
    yield _drop(_ports(plan.dicom_ports), "DICOM elsewhere", "Tcp")
    if zone.closed:
        yield _drop(["*"], "other traffic", "*")


def _leaving(zone: Zone, plan: Plan) -> Iterator[Json]:
    yield from _silence(plan, "destination")
    for opening in zone.leaving:
        yield from _allow(opening.flow, source=opening.here, destination=opening.there)
    yield _drop(_ports(plan.dicom_ports), "DICOM elsewhere", "Tcp")


def _silence(plan: Plan, side: str) -> Iterator[Json]:
    """Before every allowance, as far as it is from or to everywhere."""
    other = "destination" if side == "source" else "source"
    for version in (4, 6):
        networks = of_version(plan.silent, version)
        if networks:
            yield {
                "access": "Deny",
                "protocol": "Tcp",
                f"{side}_address_prefixes": [str(network) for network in networks],
                f"{other}_address_prefix": "*",
                "destination_port_ranges": _ports(plan.dicom_ports),
                "description": "no DICOM here",
            }


def _allow(flow: Flow, source: Networks, destination: Networks) -> Iterator[Json]:
    for version in (4, 6):  # one rule holds addresses of one version only
        here, there = of_version(source, version), of_version(destination, version)
        if here and there:
            yield {
                "access": "Allow",
                "protocol": _PROTOCOL[flow.transport],
                **_prefixes("source", source, version),
                **_prefixes("destination", destination, version),
                **({"destination_port_ranges": _ports(flow.ports)} if flow.ports else {"destination_port_range": "*"}),
                "description": plain(flow.rule, LONGEST_DESCRIPTION),
            }


def _prefixes(side: str, networks: Networks, version: int) -> Json:
    if networks.any:
        return {f"{side}_address_prefix": "0.0.0.0/0" if version == 4 else "::/0"}
    return {f"{side}_address_prefixes": [str(network) for network in of_version(networks, version)]}


def _drop(ports: list[str], description: str, protocol: str) -> Json:
    port: Json = {"destination_port_range": "*"} if ports == ["*"] else {"destination_port_ranges": ports}
    return {
        "access": "Deny",
        "protocol": protocol,
        "source_address_prefix": "*",
        "destination_address_prefix": "*",
        **port,
        "description": description,
    }


def _numbered(rules: Iterable[Json], direction: str) -> Iterator[Json]:
    for priority, rule in enumerate(rules, FIRST_PRIORITY):
        if priority > LAST_PRIORITY:
            raise TooManyRulesError(f"expected at most {LAST_PRIORITY - FIRST_PRIORITY + 1} rules for one segment")
        yield {
            "name": f"dicomgate-{direction.lower()}-{priority}",
            "priority": priority,
            "direction": direction,
            "source_port_range": "*",
            **rule,
        }


def _ports(ports: Iterable[int]) -> list[str]:
    return [str(port) for port in ports]
