"""The PROXY protocol header of a load balancer, versions 1 and 2: bytes in, one value out.

Whether a header must come, and from whom it is believed, is decided elsewhere: nothing here detects or guesses.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct

from dicomgate.wire.pdu import Malformed

LONGEST_V1 = 107
"""Bytes of a version 1 line, CRLF included."""
LONGEST_V2 = 4096
"""Bytes of a version 2 header. The format allows 65,551; a client certificate among the TLVs still fits."""

_SIGNATURE_V1 = b"PROXY "
_SIGNATURE_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_HEADER_V2 = Struct(">12sBBH")
_TLV = Struct(">BH")
_U32 = Struct(">I")
_CRC32C_TLV = 0x03
_PORT = r"(0|[1-9][0-9]{0,4})"
_LINE_V1 = re.compile(rf"PROXY (TCP4|TCP6) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) {_PORT} {_PORT}", re.ASCII)
_UNKNOWN_V1 = re.compile(rb"PROXY UNKNOWN(?: .*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """One end of the connection that the load balancer accepted."""

    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A whole header of `consumed` bytes; what follows belongs to the next protocol.

    `source` and `destination` are None together when the sender names no client: LOCAL (its own health check),
    UNKNOWN and UNSPEC. The connection's real addresses count then.
    """

    source: SocketAddress | None
    destination: SocketAddress | None
    consumed: int


@dataclass(frozen=True, slots=True)
class Incomplete:
    """All bytes so far could begin a valid header; more are needed."""


def parse(data: bytes | memoryview) -> Incomplete | ProxyHeader | Malformed:
    """The header at the start of `data`, which may hold more than it. Never raises.

    Reads at most LONGEST_V2 bytes, so Incomplete ends by itself. Malformed: no PROXY signature, a line or header
    over its limit, a line outside the version 1 grammar, a version, command, family or transport that version 2
    does not define, addresses that are not TCP over IP, TLVs that do not fit, a wrong CRC32c.
    """
    head = bytes(data[:LONGEST_V2])
    for signature, rest in ((_SIGNATURE_V1, _parse_v1), (_SIGNATURE_V2, _parse_v2)):
        if head.startswith(signature):
            return rest(head)
        if signature.startswith(head):
            return Incomplete()
    return Malformed("expected the signature of a PROXY header, found other bytes")


def _parse_v1(head: bytes) -> Incomplete | ProxyHeader | Malformed:
    end = head.find(b"\r\n", 0, LONGEST_V1)
    if end < 0:
        if len(head) < LONGEST_V1:
            return Incomplete()
        return Malformed(f"PROXY v1: expected CRLF within {LONGEST_V1} bytes, found none")
    consumed = end + 2
    line = head[:end]
    if _UNKNOWN_V1.fullmatch(line):
        return ProxyHeader(None, None, consumed)
    match = _LINE_V1.fullmatch(line.decode("latin-1"))
    if match is None:
        return Malformed("PROXY v1: expected `PROXY TCP4|TCP6 source destination port port`, found another line")
    family: type[IPv4Address] | type[IPv6Address] = IPv4Address if match[1] == "TCP4" else IPv6Address
    try:
        source, destination = family(match[2]), family(match[3])
    except ValueError:
        return Malformed(f"PROXY v1: expected two addresses of {match[1]}, found other text")
    ports = int(match[4]), int(match[5])
    if max(ports) > 65535:
        return Malformed(f"PROXY v1: expected ports up to 65535, found {max(ports)}")
    return ProxyHeader(SocketAddress(source, ports[0]), SocketAddress(destination, ports[1]), consumed)


def _parse_v2(head: bytes) -> Incomplete | ProxyHeader | Malformed:
    if len(head) < _HEADER_V2.size:
        return Incomplete()
    _, version_and_command, family_and_transport, length = _HEADER_V2.unpack_from(head)
    if version_and_command not in (0x20, 0x21):
        return Malformed(f"PROXY v2: expected version 2 with LOCAL or PROXY, found {version_and_command:02X}H")
    consumed = _HEADER_V2.size + length
    if consumed > LONGEST_V2:
        return Malformed(f"PROXY v2: expected at most {LONGEST_V2} bytes, found a header of {consumed}")
    if len(head) < consumed:
        return Incomplete()
    # After LOCAL, and after UNSPEC, the rest is to be skipped unseen.
    if version_and_command == 0x20 or family_and_transport == 0x00:
        return ProxyHeader(None, None, consumed)
    layout = _TCP_ADDRESSES.get(family_and_transport)
    if layout is None:
        return Malformed(f"PROXY v2: expected TCP over IPv4 or IPv6, found family {family_and_transport:02X}H")
    family, addresses = layout
    if length < addresses.size:
        return Malformed(f"PROXY v2: expected {addresses.size} bytes of addresses, found {length}")
    source, destination, source_port, destination_port = addresses.unpack_from(head, _HEADER_V2.size)
    return _wrong_tlv(head[:consumed], _HEADER_V2.size + addresses.size) or ProxyHeader(
        SocketAddress(family(source), source_port), SocketAddress(family(destination), destination_port), consumed
    )


def _wrong_tlv(header: bytes, position: int) -> Malformed | None:
    """None when all TLVs from `position` on fit and the checksum, if there is one, is right."""
    checksum: tuple[int, int] | None = None
    while position < len(header):
        first = position + _TLV.size
        if first > len(header):
            return Malformed(f"PROXY v2: expected a TLV of 3 bytes or more, found {len(header) - position}")
        kind, length = _TLV.unpack_from(header, position)
        position = first + length
        if position > len(header):
            return Malformed(f"PROXY v2: TLV {kind:02X}H says {length} bytes, {len(header) - first} are left")
        if kind == _CRC32C_TLV:
            if checksum is not None or length != _U32.size:
                return Malformed("PROXY v2: expected one CRC32c TLV of 4 bytes, found another form")
            checksum = first, position
    if checksum is not None:
        first, end = checksum
        (claimed,) = _U32.unpack_from(header, first)
        if claimed != crc32c(header[:first] + bytes(_U32.size) + header[end:]):
            return Malformed("PROXY v2: expected the CRC32c of the header, found another checksum")
    return None


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum (RFC 3720 B.4) that a CRC32c TLV holds, as an unsigned 32-bit number."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ _CRC32C[(checksum ^ byte) & 0xFF]
    return checksum ^ 0xFFFFFFFF


def _crc32c_row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC32C = tuple(map(_crc32c_row, range(256)))
_TCP_ADDRESSES: dict[int, tuple[type[IPv4Address] | type[IPv6Address], Struct]] = {
    0x11: (IPv4Address, Struct(">4s4sHH")),
    0x21: (IPv6Address, Struct(">16s16sHH")),
}
