"""Frames from a file or an interface: pcap and pcapng in, (link type, frame, time) out; and what the kernel dropped.

Formats: the pcap and pcapng drafts of the IETF (draft-ietf-opsawg-pcap, -pcapng). Nothing is written anywhere.
"""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dicomgate.watch.packets import LinkType

Frame = tuple[int, memoryview, float]

LARGEST_FRAME = 4 * 1024 * 1024
"""Bytes. Offloading makes frames of 64 KiB; whoever claims more is not believed."""
_MAGIC = {b"\xa1\xb2\xc3\xd4": (">", 1e-6), b"\xd4\xc3\xb2\xa1": ("<", 1e-6)} | {
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_RESOLUTION = 9
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_LOOPBACK_KIND, _TUNNEL_KIND = 772, 65534
_ADD_MEMBERSHIP, _PROMISCUOUS = 1, 1
_IGNORE_OUTGOING = 23
_BUFFER = 64 * 1024 * 1024
_RCVBUFFORCE = 33
_LAST = 1.0


class CaptureError(Exception):
    """A file or an interface that cannot be read; the text says what was expected and what came."""


def read_file(path: Path) -> Iterator[Frame]:
    """The frames of a capture file. CaptureError when it is none, or is cut off amid a frame (after what was whole)."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            if magic in _MAGIC:
                yield from _pcap(file, path, *_MAGIC[magic])
            elif magic == _SECTION.to_bytes(4, "big"):
                yield from _pcapng(file, path)
            else:
                raise CaptureError(f"{path}: expected a capture (pcap or pcapng), came something else")
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror}") from None


def _pcap(file: BinaryIO, path: Path, order: str, unit: float) -> Iterator[Frame]:
    head = _exactly(file, 20, path)
    link = int(struct.unpack(f"{order}HHiIII", head)[5]) & 0x0FFF_FFFF
    record = struct.Struct(f"{order}IIII")
    while header := file.read(record.size):
        if len(header) < record.size:
            raise CaptureError(f"{path}: cut off in the middle of a frame")
        seconds, fraction, captured, _ = record.unpack(header)
        if captured > LARGEST_FRAME:
            raise CaptureError(f"{path}: expected frames of at most {LARGEST_FRAME} bytes, came {captured}")
        yield link, memoryview(_exactly(file, captured, path)), seconds + fraction * unit


def _pcapng(file: BinaryIO, path: Path) -> Iterator[Frame]:
    order = "<"
    interfaces: list[tuple[int, float]] = []
    kind_bytes = _SECTION.to_bytes(4, "big")
    while kind_bytes:
        if len(kind_bytes) < 4:
            raise CaptureError(f"{path}: cut off in the middle of a block")
        length_bytes = _exactly(file, 4, path)
        if kind_bytes == _SECTION.to_bytes(4, "big"):  # a palindrome: the same in both orders
            magic = _exactly(file, 4, path)
            order = ">" if magic == b"\x1a\x2b\x3c\x4d" else "<"
            interfaces = []
            taken = 12
        else:
            taken = 8
        (length,) = struct.unpack(f"{order}I", length_bytes)
        if length % 4 or not taken + 4 <= length <= LARGEST_FRAME + 64:
            raise CaptureError(f"{path}: expected the length of a block, came {length}")
        body = _exactly(file, length - taken, path)[:-4]
        match struct.unpack(f"{order}I", kind_bytes)[0]:
            case 1 if len(body) >= 8:
                interfaces.append((struct.unpack_from(f"{order}H", body)[0], _unit(body[8:], order)))
            case 6 if len(body) >= 20:
                number, high, low, captured, _ = struct.unpack_from(f"{order}IIIII", body)
                if number < len(interfaces) and captured <= len(body) - 20:
                    link, unit = interfaces[number]
                    yield link, memoryview(body)[20 : 20 + captured], ((high << 32) | low) * unit
            case 3 if len(body) >= 4 and interfaces:
                yield interfaces[0][0], memoryview(body)[4:], 0.0
            case _:
                pass  # names, statistics, and what later versions add
        kind_bytes = file.read(4)


def _unit(options: bytes, order: str) -> float:
    """The resolution of an interface's clock (if_tsresol), a microsecond unless it says otherwise."""
    place = 0
    while place + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}HH", options, place)
        if code == 0:
            break
        if code == _RESOLUTION and length == 1 and place + 4 < len(options):
            value = options[place + 4]
            return float(2.0 ** -(value & 0x7F) if value & 0x80 else 10.0**-value)
        place += 4 + (length + 3) // 4 * 4
    return 1e-6


def _exactly(file: BinaryIO, size: int, path: Path) -> bytes:
    found = file.read(size)
    if len(found) < size:
        raise CaptureError(f"{path}: cut off in the middle of a frame")
    return found


class Interface:
    """Listens on a network interface; needs the right to (root, or CAP_NET_RAW). Sends nothing.

    What a mirror port shows is addressed to others, so the interface is asked for all of it (promiscuous).
    """

    def __init__(self, name: str) -> None:
        try:
            self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise CaptureError("listening on an interface needs root or CAP_NET_RAW") from None
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
        try:
            self._sock.bind((name, _ETH_P_ALL))
        except OSError as error:
            self._sock.close()
            raise CaptureError(f"interface {name}: {error.strerror}") from None
        everything = struct.pack("iHH8s", socket.if_nametoindex(name), _PROMISCUOUS, 0, b"")
        with suppress(OSError):  # loopback and tunnels have no such mode, and show all they have
            self._sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, everything)
        # Not settimeout(): that asks the kernel before each frame whether there is one.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 500_000))
        self._buffer = bytearray(LARGEST_FRAME)
        kind = self._sock.getsockname()[3]
        self._link = LinkType.RAW if kind == _TUNNEL_KIND else LinkType.ETHERNET
        if kind == _LOOPBACK_KIND:
            # The loopback interface shows each frame twice, going out and coming in.
            self._sock.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        self._stopped = False
        self.dropped = 0
        """Frames that the kernel had no room for, so far."""

    def stop(self) -> None:
        """Listen no longer. May be called in a handler of a signal."""
        self._stopped = True

    def frames(self, until: float | None = None) -> Iterator[Frame | None]:
        """Frames as they come, None when nothing came for half a second. `until` is a moment of time.monotonic.

        In the end also what had come before it was stopped, and the kernel still holds: a second's reading at most.
        """
        view = memoryview(self._buffer)
        last: float | None = None
        while last is None or time.monotonic() < last:
            if last is None and (self._stopped or (until is not None and time.monotonic() >= until)):
                last = time.monotonic() + _LAST
            try:
                size = self._sock.recv_into(self._buffer, 0, 0 if last is None else socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._count()
                if last is not None:
                    return
                yield None
                continue
            yield self._link, view[:size], time.time()
        self._count()

    def close(self) -> None:
        self._count()
        self._sock.close()

    def _count(self) -> None:
        """Reading the kernel's counter resets it."""
        told = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self.dropped += struct.unpack("II", told)[1]
