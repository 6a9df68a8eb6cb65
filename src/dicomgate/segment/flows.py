"""Rules and segments in; the smallest set of flows that they need out. Pure; every renderer writes this one plan.

A flow is who may open a connection to whom, on which ports, and which key of the configuration says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import assert_never

from dicomgate.policy.model import NOBODY, Archive, Endpoint, Networks, Peer, Rules
from dicomgate.segment.model import Door, OtherTraffic, Segment, Segmentation, Target, TargetKind, Tunnel
from dicomgate.segment.networks import common, of_addresses, tidy, without


class Purpose(StrEnum):
    DICOM = "DICOM"
    MANAGEMENT = "management"
    TUNNEL = "tunnel"


class Transport(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    ESP = "esp"
    """RFC 4303; has no ports."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`source` may be `any`; `destination` never is. `rule` is the key of the configuration that asks for it.

    `arrives_by`: the tunnel that it must have come out of; `leaves_by`: the one that it must go into.
    """

    purpose: Purpose
    source_name: str
    source: Networks
    destination_name: str
    destination: Networks
    ports: tuple[int, ...]
    rule: str
    why: str
    transport: Transport = Transport.TCP
    arrives_by: Tunnel | None = None
    leaves_by: Tunnel | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What may pass. DICOM ports are closed to everything else; so is every port of a `closed` network.

    `silent` networks take no part in DICOM, whatever a flow says. `segments` are all, `closed` those of this site.
    """

    flows: tuple[Flow, ...]
    dicom_ports: tuple[int, ...]
    gate: Networks
    silent: Networks
    closed: Networks
    segments: tuple[Segment, ...]


def plan(rules: Rules, segmentation: Segmentation) -> Plan:
    """Every flow once, in the order of the configuration: to the gate, from it, past it, management, tunnels."""
    silent = tidy(n for segment in segmentation.segments if not segment.dicom for n in segment.networks.members)
    wanted = (
        *_to_the_gate(rules, segmentation),
        *_from_the_gate(rules, segmentation),
        *_past_the_gate(rules, segmentation),
    )
    dicom = (flow for flow in (_less(flow, silent) for flow in wanted) if flow.source and flow.destination)
    return Plan(
        flows=(*dict.fromkeys(dicom), *_management(segmentation), *_tunnels(segmentation)),
        dicom_ports=segmentation.dicom_ports,
        gate=of_addresses(segmentation.gate),
        silent=silent,
        closed=tidy(
            network
            for segment in segmentation.segments
            if segment.other_traffic is OtherTraffic.DROP and not segment.remote
            for network in segment.networks.members
        ),
        segments=segmentation.segments,
    )


def _less(flow: Flow, silent: Networks) -> Flow:
    """`any` stays `any`: who writes the rules says better than a list of what is left that the silent are not in it."""
    source = flow.source if flow.source.any else without(flow.source, silent)
    destination = without(flow.destination, silent)
    return replace(flow, source=source, destination=destination)


def _to_the_gate(rules: Rules, segmentation: Segmentation) -> Iterator[Flow]:
    listeners = {listener.name: listener for listener in rules.listeners}
    for door in segmentation.doors:
        there = _of_door(door, segmentation)
        listener = listeners[door.listener]
        name = f"gate, listener {door.listener}"
        if door.proxies:
            why = f"the load balancers of listener {door.listener} connect in the name of its clients"
            rule = f"listener[{door.listener}].proxy_protocol_from"
            flow = _dicom("load balancers", door.proxies, name, there, (door.port,), rule, why)
            yield from _arriving(flow, listener.channels, segmentation)
            continue
        for peer in rules.peers:
            if peer.may and (peer.listeners is None or door.listener in peer.listeners):
                verbs = ", ".join(sorted(peer.may))
                why = f"peer {peer.name} calls the gate to {verbs}"
                source = common(peer.networks, listener.networks)
                rule = f"peer[{peer.name}].networks"
                flow = _dicom(f"peer {peer.name}", source, name, there, (door.port,), rule, why)
                yield from _arriving(flow, _both(peer.channels, listener.channels), segmentation)
        for archive in _calling_back(rules):
            why = f"archive {archive.name} calls peers back through the gate"
            rule = f"archive[{archive.name}].networks"
            source = common(archive.networks, listener.networks)
            flow = _dicom(f"archive {archive.name}", source, name, there, (door.port,), rule, why)
            yield from _arriving(flow, listener.channels, segmentation)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Two demands for channels, both of which one channel has to meet."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _arriving(flow: Flow, demanded: frozenset[str] | None, segmentation: Segmentation) -> Iterator[Flow]:
    """The flow as it is when no channel is demanded, else one for each of them: what it carries of the flow."""
    if demanded is None:
        yield flow
        return
    for tunnel in segmentation.tunnels:
        if tunnel.channel in demanded and (not tunnel.ports or set(flow.ports) <= {*tunnel.ports}):
            yield replace(
                flow,
                source=common(flow.source, tunnel.remote),
                destination=common(flow.destination, tunnel.own),
                why=f"{flow.why}, only through channel {tunnel.channel}",
                arrives_by=tunnel,
            )


def _calling_back(rules: Rules) -> list[Archive]:
    return [
        archive
        for archive in rules.archives
        if any(peer.endpoint is not None and archive.name in peer.archives for peer in rules.peers)
    ]


def _from_the_gate(rules: Rules, segmentation: Segmentation) -> Iterator[Flow]:
    gate = of_addresses(segmentation.gate)
    for archive in rules.archives:
        for place in archive.endpoints:
            why = f"the gate takes associations to archive {archive.name}"
            rule = f"archive[{archive.name}].address"
            there = _of_archive(archive, place)
            flow = _dicom("gate", gate, f"archive {archive.name}", there, (place.port,), rule, why)
            yield from _leaving(flow, segmentation)
    for peer in rules.peers:
        if peer.endpoint is not None:
            why = f"the gate takes what an archive sends to peer {peer.name}"
            there = _of_host(peer.endpoint)
            rule = f"peer[{peer.name}].address"
            flow = _dicom("gate", gate, f"peer {peer.name}", there, (peer.endpoint.port,), rule, why)
            yield from _leaving(flow, segmentation)


def _leaving(flow: Flow, segmentation: Segmentation) -> Iterator[Flow]:
    """What a channel carries goes into it, asked or not: its other end takes it from nowhere else."""
    for tunnel in segmentation.tunnels:
        source, there = common(flow.source, tunnel.own), common(flow.destination, tunnel.remote)
        if source and there and (not tunnel.ports or set(flow.ports) <= {*tunnel.ports}):
            why = f"{flow.why}, only through channel {tunnel.channel}"
            yield replace(flow, source=source, destination=there, why=why, leaves_by=tunnel)
            flow = replace(flow, destination=without(flow.destination, there))
    yield flow


def _past_the_gate(rules: Rules, segmentation: Segmentation) -> Iterator[Flow]:
    for segment in segmentation.segments:
        for target in segment.dicom_to:
            name = f"{target.kind} {target.name}"
            why = f"segment {segment.name} speaks DICOM to {name} without the gate in between"
            there = _of_target(target, rules, segmentation)
            rule = f"segment[{segment.name}].dicom_to"
            yield _dicom(f"segment {segment.name}", segment.networks, name, there, target.ports, rule, why)


def _management(segmentation: Segmentation) -> Iterator[Flow]:
    for segment in segmentation.segments:
        if segment.management.networks:
            yield Flow(
                Purpose.MANAGEMENT,
                "administrators",
                tidy(segment.management.networks.members),
                f"segment {segment.name}",
                tidy(segment.networks.members),
                segment.management.ports,
                f"segment[{segment.name}].management",
                f"the machines of segment {segment.name} are administered",
            )


def _tunnels(segmentation: Segmentation) -> Iterator[Flow]:
    gate = of_addresses(segmentation.gate)
    for tunnel in segmentation.tunnel_ports:
        source = Networks(any=True) if tunnel.source is None else of_addresses([tunnel.source])
        for transport, ports in ((Transport.UDP, (tunnel.port,)), *(((Transport.ESP, ()),) if tunnel.esp else ())):
            yield Flow(
                Purpose.TUNNEL,
                f"other end of channel {tunnel.channel}",
                source,
                "gate",
                gate,
                ports,
                f"channel[{tunnel.channel}]",
                f"channel {tunnel.channel} ends on the gate host",
                transport,
            )


def _dicom(
    source_name: str,
    source: Networks,
    destination_name: str,
    destination: Networks,
    ports: tuple[int, ...],
    rule: str,
    why: str,
) -> Flow:
    return Flow(Purpose.DICOM, source_name, source, destination_name, destination, ports, rule, why)


def _of_door(door: Door, segmentation: Segmentation) -> Networks:
    """Where it is reached over the network; nowhere when it is bound to the loopback."""
    if door.address is None:
        return of_addresses(segmentation.gate)
    return NOBODY if door.address.is_loopback else of_addresses([door.address])


def _of_archive(archive: Archive, place: Endpoint) -> Networks:
    """A literal address, or for a host name the networks that the archive is known to have."""
    if _literal(place.host):
        return _of_host(place)
    return NOBODY if archive.networks.any else archive.networks


def _of_host(place: Endpoint) -> Networks:
    if not _literal(place.host) or ip_address(place.host).is_loopback:
        return NOBODY
    return of_addresses([ip_address(place.host)])


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _of_target(target: Target, rules: Rules, segmentation: Segmentation) -> Networks:
    match target.kind:
        case TargetKind.SEGMENT:
            found = [segment.networks for segment in segmentation.segments if segment.name == target.name]
        case TargetKind.PEER:
            found = [_endpoint(peer) for peer in rules.peers if peer.name == target.name]
        case TargetKind.ARCHIVE:
            found = [
                _of_archive(archive, place)
                for archive in rules.archives
                if archive.name == target.name
                for place in archive.endpoints
            ]
        case _:
            assert_never(target.kind)
    return tidy(network for networks in found for network in networks.members)


def _endpoint(peer: Peer) -> Networks:
    return NOBODY if peer.endpoint is None else _of_host(peer.endpoint)
