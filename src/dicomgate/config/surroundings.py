"""A Document without errors in; the sites, channels and segments around the gate as frozen values out."""

from pathlib import Path

from dicomgate.channel import words
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, ChannelKind, Site, Termination
from dicomgate.config import schema
from dicomgate.config.document import Document
from dicomgate.config.units import literal
from dicomgate.facts import Address
from dicomgate.policy.model import Networks
from dicomgate.segment.model import (
    Door,
    Management,
    Neighbour,
    Segment,
    Segmentation,
    Target,
    TargetKind,
    Tunnel,
    TunnelPort,
)
from dicomgate.segment.networks import of_addresses, tidy

IKE, IKE_BEHIND_NAT = 500, 4500
"""UDP ports of IKEv2 (RFC 7296 2) and of IPsec through NAT (RFC 3948)."""


def sites(document: Document) -> dict[str, Site]:
    """By name, in file order."""
    tables = [entry.table for entry in document.sites]
    return {
        table.name: Site(table.name, Networks.of(table.networks), table.address, table.gate, table.own)
        for table in tables
    }


def channels(document: Document, base: Path) -> tuple[Channel, ...]:
    """Relative paths begin at `base`."""
    known = sites(document)
    return tuple(_channel(entry.table, known, base) for entry in document.channels)


def segmentation(document: Document) -> Segmentation | None:
    """None when no firewall rules are to be made from this file."""
    if not document.segmented:
        return None
    known = sites(document)
    known_channels = channels(document, Path())  # paths do not matter here
    gate = gate_addresses(document)
    return Segmentation(
        segments=tuple(_segment(entry.table, document, known) for entry in document.segments),
        gate=gate,
        dicom_ports=dicom_ports(document),
        tunnel_ports=tuple(port for channel in known_channels for port in _tunnel_ports(channel)),
        tunnels=tuple(tunnel for channel in known_channels if (tunnel := _tunnel(channel, gate)) is not None),
        doors=tuple(_door(listener.table) for listener in document.listeners),
        neighbours=tuple(
            Neighbour(site.name, address)
            for site in known.values()
            if not site.own and site.address is not None and (address := literal(site.address)) is not None
        ),
    )


def gate_addresses(document: Document) -> tuple[Address, ...]:
    """The gate host's own: as written, else its site's gate and what its listeners bind, without the loopback."""
    if document.segmentation is not None and document.segmentation.table.gate is not None:
        return tuple(document.segmentation.table.gate)
    found: dict[Address, None] = {}
    for site in document.sites:
        if site.table.own and site.table.gate is not None:
            found[site.table.gate] = None
    for listener in document.listeners:
        address = literal(listener.table.bind.host)
        if address is not None and not address.is_unspecified and not address.is_loopback:
            found[address] = None
    return tuple(found)


def dicom_ports(document: Document) -> tuple[int, ...]:
    """Those written, and every port of a listener, archive, peer or segment's target, ascending."""
    table = document.segmentation.table if document.segmentation is not None else schema.SegmentationTable()
    ports = {*table.dicom_ports}
    ports |= {listener.table.bind.port for listener in document.listeners}
    ports |= {place.port for archive in document.archives for place in archive.table.address}
    ports |= {peer.table.address.port for peer in document.peers if peer.table.address}
    ports |= {port for each in document.segments for to in each.table.dicom_to for port in to.ports or ()}
    return tuple(sorted(ports - {0}))


def _door(table: schema.ListenerTable) -> Door:
    address = literal(table.bind.host)
    everywhere = address is None or address.is_unspecified
    return Door(table.name, None if everywhere else address, table.bind.port, Networks.of(table.proxy_protocol_from))


def _channel(table: schema.ChannelTable, known: dict[str, Site], base: Path) -> Channel:
    one, other = (_end(end, known[end.site], base) for end in table.ends)
    ipsec = table.kind is ChannelKind.IPSEC
    return Channel(
        name=table.name,
        kind=table.kind,
        ends=(one, other),
        ports=() if table.ports is None else tuple(table.ports),
        authentication=(table.authentication or Authentication.CERTIFICATE) if ipsec else None,
        ca=None if table.ca is None else base / table.ca,
        psk_file=None if table.psk_file is None else base / table.psk_file,
        start=table.start,
        dead_after=table.dead_after,
        rekey_after=table.rekey_after,
    )


def _end(table: schema.ChannelEndTable, site: Site, base: Path) -> ChannelEnd:
    return ChannelEnd(
        site=site,
        networks=site.networks if table.networks is None else Networks.of(table.networks),
        termination=table.termination,
        address=table.address or site.address,
        identity=table.identity or table.address or site.address,
        certificate=None if table.certificate is None else base / table.certificate,
        private_key=None if table.key is None else base / table.key,
        public_key=table.public_key,
        port=table.port,
        tunnel_address=table.tunnel_address,
        interface=table.interface,
        mark=table.mark,
        sign_of_life=table.sign_of_life,
    )


def _tunnel_ports(channel: Channel) -> list[TunnelPort]:
    """What the gate host must let in, so that its own rules do not cut the tunnel that ends on it."""
    own, remote = channel.own, channel.remote
    if own is None or remote is None or own.termination is not Termination.GATE_HOST:
        return []
    source = literal(remote.address) if remote.address else None
    if channel.kind is ChannelKind.WIREGUARD:
        return [TunnelPort(channel.name, own.port, source)]
    return [TunnelPort(channel.name, IKE, source, esp=True), TunnelPort(channel.name, IKE_BEHIND_NAT, source)]


def _tunnel(channel: Channel, gate: tuple[Address, ...]) -> Tunnel | None:
    """How the gate host's firewall knows it: by what the gate itself does (channel/proof.py)."""
    own, remote = channel.own, channel.remote
    if own is None or remote is None:
        return None
    here = own.termination is Termination.GATE_HOST
    interface = words.interface(channel, own) if here else own.interface
    there = remote.site.gate if remote.termination is Termination.GATE_HOST else None
    return Tunnel(
        channel=channel.name,
        own=_carried(own),
        remote=_carried(remote),
        ports=channel.ports,
        interface=interface,
        mark=own.mark,
        by_policy=here and channel.kind is ChannelKind.IPSEC and interface is None and own.mark is None,
        ends_on=of_addresses((*(gate if here else ()), *((there,) if there is not None else ()))),
    )


def _carried(end: ChannelEnd) -> Networks:
    """An end of WireGuard has an address of its own inside the tunnel."""
    tunnel_address = () if end.tunnel_address is None else of_addresses([end.tunnel_address.ip]).members
    return tidy((*end.networks.members, *tunnel_address))


def _segment(table: schema.SegmentTable, document: Document, known: dict[str, Site]) -> Segment:
    management = table.management
    return Segment(
        name=table.name,
        networks=Networks.of(table.networks),
        dicom=table.dicom,
        dicom_to=tuple(_target(target, document) for target in table.dicom_to),
        management=(
            Management()
            if management is None
            else Management(Networks.of(management.networks), tuple(sorted({*management.ports})))
        ),
        other_traffic=table.other_traffic,
        site=table.site,
        remote=table.site is not None and not known[table.site].own,
    )


def _target(table: schema.TargetTable, document: Document) -> Target:
    if table.segment is not None:
        return Target(TargetKind.SEGMENT, table.segment, tuple(table.ports or ()))
    if table.peer is not None:
        ports = [
            peer.table.address.port for peer in document.peers if peer.table.name == table.peer and peer.table.address
        ]
        return Target(TargetKind.PEER, table.peer, tuple(table.ports or ports))
    name = table.archive or ""
    ports = [
        place.port for archive in document.archives if archive.table.name == name for place in archive.table.address
    ]
    return Target(TargetKind.ARCHIVE, name, tuple(sorted({*(table.ports or ports)})))
