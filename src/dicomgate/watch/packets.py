"""One captured frame in, one TCP segment out. Ethernet (with VLAN tags), Linux cooked, loopback and raw IP; IPv4, IPv6.

Pure. What is no TCP, is cut before the TCP header ends, or leaves its own lengths is None; nothing raises.
"""

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct

Address = IPv4Address | IPv6Address

SYN, FIN, RST, ACK = 0x02, 0x01, 0x04, 0x10
_TCP = 6
_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_MOST_TAGS = 4
_EXTENSIONS = frozenset({0, 43, 60, 135})
"""IPv6 headers that may stand before TCP (RFC 8200 4.1), all with their length in units of eight bytes."""
_MOST_EXTENSIONS = 8
_PORTS = Struct(">HHIIBBH")


class LinkType(IntEnum):
    """The link layers that are understood (the registry of pcap's LINKTYPE values)."""

    NULL = 0
    ETHERNET = 1
    RAW = 101
    LOOP = 108
    LINUX_COOKED = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_COOKED_2 = 276


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment. `missing` counts payload bytes that were sent and not captured (the snapshot length).

    `acknowledged` has a meaning with the flag ACK only.
    """

    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    sequence: int
    acknowledged: int
    flags: int
    payload: memoryview
    missing: int


def address_of(packed: bytes) -> Address:
    """An address as it stands in a segment; IPv4 in IPv6 form counts as what it is."""
    address = ip_address(packed)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def segment_of(link: int, frame: memoryview) -> Segment | None:
    """The TCP segment of a captured frame; None when there is none that can be read."""
    packet = _packet(link, frame)
    if not packet:
        return None
    version = packet[0] >> 4
    if version == 4:
        return _in_ipv4(packet)
    return _in_ipv6(packet) if version == 6 else None


def _packet(link: int, frame: memoryview) -> memoryview | None:
    match link:
        case LinkType.ETHERNET:
            return _in_ethernet(frame, 12)
        case LinkType.LINUX_COOKED:
            return _in_ethernet(frame, 14)
        case LinkType.LINUX_COOKED_2:
            return frame[20:] if _type_at(frame, 0) in (_IPV4, _IPV6) else None
        case LinkType.NULL | LinkType.LOOP:
            return frame[4:]
        case LinkType.RAW | LinkType.IPV4 | LinkType.IPV6:
            return frame
        case _:
            return None


def _type_at(frame: memoryview, place: int) -> int:
    return int.from_bytes(frame[place : place + 2], "big") if len(frame) >= place + 2 else -1


def _in_ethernet(frame: memoryview, place: int) -> memoryview | None:
    for _ in range(_MOST_TAGS):
        kind = _type_at(frame, place)
        if kind in (_IPV4, _IPV6):
            return frame[place + 2 :]
        if kind not in _TAGS:
            return None
        place += 4
    return None


def _in_ipv4(packet: memoryview) -> Segment | None:
    header = (packet[0] & 15) * 4
    if len(packet) < 20 or header < 20 or packet[9] != _TCP:
        return None
    total = int.from_bytes(packet[2:4], "big")
    if int.from_bytes(packet[6:8], "big") & 0x3FFF:
        return None  # a fragment: TCP avoids them, and they can lie about the header
    # Offloading network cards hand up packets whose length no longer fits into the field.
    size = total - header if total else len(packet) - header
    return _in_tcp(bytes(packet[12:16]), bytes(packet[16:20]), packet[header:], size)


def _in_ipv6(packet: memoryview) -> Segment | None:
    if len(packet) < 40:
        return None
    following, place = packet[6], 40
    payload = int.from_bytes(packet[4:6], "big")
    for _ in range(_MOST_EXTENSIONS):
        if following not in _EXTENSIONS:
            break
        if len(packet) < place + 2:
            return None
        following, place = packet[place], place + (packet[place + 1] + 1) * 8
    if following != _TCP:
        return None
    size = payload - (place - 40) if payload else len(packet) - place
    return _in_tcp(bytes(packet[8:24]), bytes(packet[24:40]), packet[place:], size)


def _in_tcp(source: bytes, destination: bytes, tcp: memoryview, size: int) -> Segment | None:
    if len(tcp) < 20:
        return None
    source_port, destination_port, sequence, acknowledged, offset, flags, _ = _PORTS.unpack_from(tcp)
    header = (offset >> 4) * 4
    if header < 20 or size < header:
        return None
    payload = tcp[header:size]  # what lies behind is the padding of a short Ethernet frame
    missing = size - header - len(payload)
    return Segment(
        (source, source_port), (destination, destination_port), sequence, acknowledged, flags, payload, missing
    )
