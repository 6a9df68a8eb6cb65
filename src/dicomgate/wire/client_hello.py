"""The first message of a TLS client (RFC 8446 4.1.2, RFC 5246 7.4.1.2): peeked bytes in, what it offers out.

Only what has to be known before the handshake is read: the application protocols (ALPN, RFC 7301) and the server
name (SNI, RFC 6066 3). OpenSSL reads the same bytes again and judges all the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dicomgate.wire.pdu import Malformed

LONGEST = 16 * 1024
"""Bytes of records that a ClientHello may take. Real ones have 200 to 2,000; RFC 8446 allows more than 128 KiB."""
MOST_PROTOCOLS = 64
"""Application protocols offered; browsers offer two or three."""

_RECORD_HEADER, _MESSAGE_HEADER = 5, 4
_HANDSHAKE_RECORD, _CLIENT_HELLO = 0x16, 0x01
_LONGEST_RECORD = 1 << 14
_SERVER_NAME, _ALPN = 0, 16
_HOST_NAME = 0


@dataclass(frozen=True, slots=True)
class ClientHello:
    """`protocols` is None when the client offers no ALPN at all; `server_name` is None when it names none."""

    protocols: tuple[bytes, ...] | None
    server_name: str | None


@dataclass(frozen=True, slots=True)
class PlaintextDicom:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2) without any TLS around it."""


@dataclass(frozen=True, slots=True)
class MoreNeeded:
    """All bytes so far could begin a ClientHello."""


def parse_client_hello(data: bytes | memoryview) -> MoreNeeded | ClientHello | PlaintextDicom | Malformed:
    """What stands at the start of a connection. `data` may hold more than it. Never raises.

    Reads at most LONGEST bytes, so MoreNeeded ends by itself. Malformed: no TLS handshake record, another message
    than a ClientHello, a length that does not fit into what holds it, more than LONGEST bytes.
    """
    head = bytes(data[:LONGEST])
    if head[:2] == b"\x01\x00":
        return PlaintextDicom()
    if head == b"\x01":
        return MoreNeeded()
    try:
        message = _message(head)
        if message is None:
            if len(head) >= LONGEST:
                return Malformed(f"expected a ClientHello of at most {LONGEST} bytes, found a longer one")
            return MoreNeeded()
        return _client_hello(message)
    except _WrongError as wrong:
        return Malformed(wrong.why)


class _WrongError(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _message(head: bytes) -> bytes | None:
    """The first handshake message, put together from its records; None while it is incomplete."""
    found = b""
    position = 0
    while True:
        record = head[position : position + _RECORD_HEADER]
        if record and record[0] != _HANDSHAKE_RECORD:
            raise _WrongError(f"expected a TLS handshake record, found {record[0]:02X}H")
        if len(record) > 1 and record[1] != 3:
            raise _WrongError(f"expected a record of TLS, found version {record[1]:02X}H")
        if len(record) < _RECORD_HEADER:
            return None
        length = int.from_bytes(record[3:], "big")
        if not 0 < length <= _LONGEST_RECORD:
            raise _WrongError(f"expected a record of 1 to {_LONGEST_RECORD} bytes, found {length}")
        position += _RECORD_HEADER
        found += head[position : position + length]
        position += length
        if found and found[0] != _CLIENT_HELLO:
            raise _WrongError(f"expected a ClientHello, found handshake message {found[0]:02X}H")
        if len(found) >= _MESSAGE_HEADER:
            end = _MESSAGE_HEADER + int.from_bytes(found[1:4], "big")
            if end > LONGEST:
                raise _WrongError(f"expected a ClientHello of at most {LONGEST} bytes, found one of {end}")
            if len(found) >= end:
                return found[_MESSAGE_HEADER:end]
        if position > len(head):
            return None


def _client_hello(body: bytes) -> ClientHello:
    fields = _Reader(body)
    fields.take(2 + 32)  # legacy_version, random
    fields.vector(1)  # legacy_session_id
    fields.vector(2)  # cipher_suites
    fields.vector(1)  # legacy_compression_methods
    protocols: tuple[bytes, ...] | None = None
    server_name: str | None = None
    seen: set[int] = set()
    for kind, value in _extensions(fields):
        if kind in seen:
            raise _WrongError(f"expected each extension once, found {kind} twice")
        seen.add(kind)
        if kind == _ALPN:
            protocols = _protocols(value)
        elif kind == _SERVER_NAME:
            server_name = _server_name(value)
    return ClientHello(protocols, server_name)


def _extensions(fields: "_Reader") -> Iterator[tuple[int, bytes]]:
    if fields.at_end:
        return  # TLS 1.2 allows a ClientHello without any
    extensions = _Reader(fields.vector(2))
    if not fields.at_end:
        raise _WrongError("expected the end of the ClientHello after its extensions, found more")
    while not extensions.at_end:
        kind = extensions.number(2)
        yield kind, extensions.vector(2)


def _protocols(value: bytes) -> tuple[bytes, ...]:
    outer = _Reader(value)
    names = _Reader(outer.vector(2))
    found: list[bytes] = []
    while not names.at_end:
        name = names.vector(1)
        if not name or len(found) >= MOST_PROTOCOLS:
            raise _WrongError(f"expected 1 to {MOST_PROTOCOLS} application protocols with names, found others")
        found.append(name)
    if not found or not outer.at_end:
        raise _WrongError("expected a list of application protocols, found another form")
    return tuple(found)


def _server_name(value: bytes) -> str | None:
    names = _Reader(_Reader(value).vector(2))
    while not names.at_end:
        kind = names.number(1)
        name = names.vector(2)
        if kind == _HOST_NAME:
            if not name or not all(0x21 <= byte < 0x7F for byte in name):
                raise _WrongError("expected a host name in printable ASCII, found other bytes")
            return name.decode("ascii")
    return None


class _Reader:
    """Numbers and vectors with a length in front (RFC 8446 3.4), never beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._data):
            raise _WrongError(f"expected {size} bytes in the ClientHello, found {len(self._data) - self._position}")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, length_size: int) -> bytes:
        return self.take(self.number(length_size))
