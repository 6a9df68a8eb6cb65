"""Mistakes about segments: networks that meet, rules that would cut what must pass. Document in, errors out."""

from collections.abc import Callable, Iterator
from itertools import combinations

from dicomgate.config import schema
from dicomgate.config.document import Document, Entry
from dicomgate.config.overlap import Span, covers, overlap, spans
from dicomgate.config.problem import Problem, listed, shown
from dicomgate.config.surroundings import dicom_ports, gate_addresses
from dicomgate.config.units import literal
from dicomgate.policy.model import Networks
from dicomgate.segment.model import OtherTraffic

Segment = Entry[schema.SegmentTable]


def _segments_apart(document: Document) -> Iterator[Problem]:
    for one, other in combinations(document.segments, 2):
        if overlap(_spans(one.table.networks), _spans(other.table.networks)):
            yield document.error(
                f"{other.key}.networks",
                f"expected networks that no other segment has, came some that {one.key} has too",
                "what holds for an address must not depend on the order of the segments",
            )


def _segments_within_sites(document: Document) -> Iterator[Problem]:
    for segment in document.segments:
        name = segment.table.site
        if name is not None:
            yield from document.unknown(f"{segment.key}.site", "site", name)
        for site in document.sites:
            if site.table.name != name and not (name is None and site.table.own):
                continue
            if not covers(_spans(site.table.networks), _spans(segment.table.networks)):
                yield document.error(
                    f"{segment.key}.networks",
                    f"expected networks inside those of {site.key}, came others",
                    f"the site has {listed(site.table.networks)}; a segment of another site needs site = …",
                )


def _targets(document: Document) -> Iterator[Problem]:
    listening = {peer.table.name for peer in document.peers if peer.written("address")}
    for segment in document.segments:
        key = f"{segment.key}.dicom_to"
        for target in segment.table.dicom_to:
            named = {"segment": target.segment, "peer": target.peer, "archive": target.archive}
            chosen = [(table, name) for table, name in named.items() if name is not None]
            if len(chosen) != 1:
                yield document.error(
                    key,
                    f"expected one of segment, peer and archive, came {listed(table for table, _ in chosen)}",
                    'write for instance { segment = "workstations", ports = [104] }',
                )
                continue
            table, name = chosen[0]
            yield from document.unknown(key, table, name)
            if target.ports is not None and not target.ports:
                yield document.error(key, "expected at least one port, came none", "list the TCP ports")
            elif target.segment is not None and target.ports is None:
                yield document.error(key, f"expected ports beside segment {shown(name)}", "list the TCP ports")
            elif target.peer in document.names["peer"] and target.peer not in listening:
                yield document.error(
                    key, f"expected a peer with an address, came {shown(name)}", "write address in that [[peer]]"
                )


def _silent_segments(document: Document) -> Iterator[Problem]:
    """`dicom = false` against what the rest of the file needs."""
    for segment in document.segments:
        if segment.table.dicom or "dicom" in segment.broken:
            continue
        if segment.table.dicom_to:
            yield document.error(
                f"{segment.key}.dicom_to", "expected none beside dicom = false, came some", "remove one of them"
            )
        addresses = _spans(segment.table.networks)
        for key, what, needed in _dicom_speakers(document):
            # A wider network, that of a whole site, is meant without the segment.
            if any(covers(addresses, (span,)) for span in needed):
                yield document.error(
                    f"{segment.key}.dicom",
                    f"expected true, because {key} is in this segment: {what}",
                    "take that address out of the segment's networks, or remove dicom = false",
                )


def _dicom_speakers(document: Document) -> Iterator[tuple[str, str, tuple[Span, ...]]]:
    """Who has to speak DICOM by name: key, what would be cut, addresses. `any` names nobody."""
    gate = [str(address) for address in gate_addresses(document)]
    yield "the gate", "it would be cut from everybody", _each(gate)
    for archive in document.archives:
        hosts = [place.host for place in archive.table.address if literal(place.host) is not None]
        yield archive.key, "the gate would be cut from its archive", _each(hosts)
    for peer in document.peers:
        if "any" not in peer.table.networks:
            yield peer.key, "it would be cut from the gate", _each(peer.table.networks)
        if peer.table.address is not None and literal(peer.table.address.host) is not None:
            yield peer.key, "the gate would be cut from it", _each([peer.table.address.host])


def _firewalls_need_addresses(document: Document) -> Iterator[Problem]:
    if not document.segmented:
        return
    if not gate_addresses(document) and not any(listener.broken for listener in document.listeners):
        yield document.error(
            "segmentation.gate",
            "expected the gate host's addresses, because no listener binds one of its own",
            'write [segmentation] and gate = ["10.1.1.5"]; without it the rules would cut the gate from its archive',
        )
    for archive in document.archives:
        named = [place.host for place in archive.table.address if literal(place.host) is None]
        if named and not archive.table.networks:
            yield document.error(
                f"{archive.key}.networks",
                f"expected the archive's networks, because {shown(named[0])} is a host name and firewalls know none",
                'write networks = ["ADDRESS"]; without it the rules would cut the gate from its archive',
            )
    for peer in document.peers:
        place = peer.table.address
        if place is not None and literal(place.host) is None:
            yield document.error(
                f"{peer.key}.address",
                f"expected a literal address, came {shown(place.host)}: firewalls know no host names",
                "write the address, or take segmentation out of this file",
            )


def _administrators_keep_their_way(document: Document) -> Iterator[Problem]:
    ports = set(dicom_ports(document))
    for segment in document.segments:
        management = segment.table.management
        inside = [gate for gate in gate_addresses(document) if gate in Networks.of(segment.table.networks)]
        drops = segment.table.other_traffic is OtherTraffic.DROP
        if inside and drops and management is None and "management" not in segment.broken:
            yield document.error(
                f"{segment.key}.management",
                f"expected from where the gate host ({inside[0]}) is administered, because other_traffic is drop",
                'write management = { networks = ["10.1.9.0/28"], ports = [22] }; else nobody could reach it any more',
            )
        shared = sorted(ports.intersection(management.ports if management else ()))
        if shared:
            yield document.error(
                f"{segment.key}.management.ports",
                f"expected ports that are not for DICOM, came {shared[0]}",
                "management would open DICOM past the rules; use another port, or correct segmentation.dicom_ports",
            )


def _each(networks: list[str]) -> tuple[Span, ...]:
    """One span for each, also where two touch."""
    return tuple(span for network in networks for span in _spans([network]))


def _spans(networks: list[str]) -> tuple[Span, ...]:
    return spans(Networks.of(networks))


CHECKS: tuple[Callable[[Document], Iterator[Problem]], ...] = (
    _segments_apart,
    _segments_within_sites,
    _targets,
    _silent_segments,
    _firewalls_need_addresses,
    _administrators_keep_their_way,
)
