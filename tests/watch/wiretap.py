"""Frames made by hand: TCP segments as a capture would hold them, and capture files around them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from dicomgate.watch.packets import ACK, FIN, SYN

CLIENT, SERVER = ("10.1.2.31", 50000), ("10.1.1.20", 11112)


def frame(
    source: tuple[str, int],
    destination: tuple[str, int],
    sequence: int,
    flags: int,
    payload: bytes = b"",
    *,
    tag: int = 0,
    acknowledged: int = 0,
) -> bytes:
    """An Ethernet frame with one TCP segment; with `tag`, in that VLAN."""
    numbers = (sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF)
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], *numbers, 5 << 4, flags, 65535, 0, 0)
    one, other = ip_address(source[0]).packed, ip_address(destination[0]).packed
    if len(one) == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0, 64, 6, 0) + one + other
        kind = b"\x08\x00"
    else:
        head = struct.pack(">IHBB", 6 << 28, len(tcp) + len(payload), 6, 64) + one + other
        kind = b"\x86\xdd"
    vlan = b"\x81\x00" + tag.to_bytes(2, "big") if tag else b""
    return bytes(12) + vlan + kind + head + tcp + payload


@dataclass
class Call:
    """One TCP connection being told as frames."""

    client: tuple[str, int] = CLIENT
    server: tuple[str, int] = SERVER
    start: int = 0xFFFF_FF00  # so that numbers wrap on the way
    frames: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._at = {True: self.start, False: 7}

    def opens(self) -> Call:
        self._add(True, SYN)
        self._add(False, SYN | ACK)
        return self

    def says(self, *payloads: bytes, client: bool = True, size: int = 1400) -> Call:
        for payload in payloads:
            for place in range(0, len(payload), size):
                self._add(client, ACK, payload[place : place + size])
        return self

    def answers(self, *payloads: bytes, size: int = 1400) -> Call:
        return self.says(*payloads, client=False, size=size)

    def ends(self) -> Call:
        self._add(True, FIN | ACK)
        self._add(False, FIN | ACK)
        return self

    def _add(self, client: bool, flags: int, payload: bytes = b"") -> None:
        ends = (self.client, self.server) if client else (self.server, self.client)
        self.frames.append(frame(*ends, self._at[client], flags, payload, acknowledged=self._at[not client]))
        self._at[client] += len(payload) + bool(flags & (SYN | FIN))


def pcap(frames: Iterable[bytes], *, order: str = "<", nanoseconds: bool = False, snap: int = 1 << 18) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, 1)]
    for number, each in enumerate(frames):
        kept = each[:snap]
        parts.append(struct.pack(f"{order}IIII", 1700000000 + number, 0, len(kept), len(each)) + kept)
    return b"".join(parts)


def pcapng(frames: Iterable[bytes], *, order: str = "<") -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = struct.pack(f"{order}I", len(body) + 12)
        return struct.pack(f"{order}I", kind) + length + body + length

    parts = [block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))]
    parts.append(block(1, struct.pack(f"{order}HHI", 1, 0, 0) + struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0)))
    for number, each in enumerate(frames):
        at = (1700000000 + number) * 10**9
        head = struct.pack(f"{order}IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(each), len(each))
        parts.append(block(6, head + each))
    parts.append(block(5, b"statistics.."))
    return b"".join(parts)
