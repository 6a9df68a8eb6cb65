"""ClientHello: what OpenSSL itself sends, the edges of the format, any cut and any damage."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.wire.client_hello import (
    LONGEST,
    MOST_PROTOCOLS,
    ClientHello,
    MoreNeeded,
    PlaintextDicom,
    parse_client_hello,
)
from dicomgate.wire.pdu import Malformed


def openssl(protocols: tuple[str, ...] = (), name: str | None = None, **versions: ssl.TLSVersion) -> bytes:
    """What an OpenSSL client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    for key, version in versions.items():
        setattr(context, key, version)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def extension(kind: int, content: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, content)


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


def server_name(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def hello(*extensions: bytes, tail: bytes = b"", bare: bool = False) -> bytes:
    """A ClientHello message by hand, without its record."""
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    body += b"" if bare else vector(2, b"".join(extensions))
    return b"\x01" + vector(3, body + tail)


def records(message: bytes, size: int = 1 << 14) -> bytes:
    """The message in records of at most `size` bytes."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


REAL = {
    "plain": openssl(),
    "alpn": openssl(("dicom",)),
    "http": openssl(("h2", "http/1.1"), "gate.example"),
    "tls12": openssl(("dicom",), "gate.example", maximum_version=ssl.TLSVersion.TLSv1_2),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", ClientHello(None, None)),
        ("alpn", ClientHello((b"dicom",), None)),
        ("http", ClientHello((b"h2", b"http/1.1"), "gate.example")),
        ("tls12", ClientHello((b"dicom",), "gate.example")),
    ],
)
def test_what_openssl_says(name: str, expected: ClientHello) -> None:
    assert parse_client_hello(REAL[name]) == expected


@pytest.mark.parametrize("name", REAL)
def test_every_cut_wants_more(name: str) -> None:
    whole = REAL[name]
    assert [parse_client_hello(whole[:size]) for size in range(len(whole))] == [MoreNeeded()] * len(whole)
    assert parse_client_hello(whole + b"more") == parse_client_hello(whole)


@pytest.mark.parametrize("size", [1, 3, 5, 17])
def test_a_message_in_many_records(size: int) -> None:
    message = hello(alpn(b"dicom"), server_name(b"gate"))
    whole = records(message, size)
    assert parse_client_hello(whole) == ClientHello((b"dicom",), "gate")
    assert parse_client_hello(whole[:-1]) == MoreNeeded()


def test_without_extensions() -> None:
    assert parse_client_hello(records(hello(bare=True))) == ClientHello(None, None)


def test_a_server_name_of_another_kind_is_none() -> None:
    assert parse_client_hello(records(hello(server_name(b"x", kind=7)))) == ClientHello(None, None)


def test_plaintext_dicom() -> None:
    assert parse_client_hello(b"\x01") == MoreNeeded()
    assert parse_client_hello(b"\x01\x00\x00\x00\x00\xcd") == PlaintextDicom()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "handshake record, found 47H"),
        (b"\x01\x01", "handshake record, found 01H"),
        (b"\x16\x02", "version 02H"),
        (b"\x16\x03\x01\x00\x00", "found 0"),
        (b"\x16\x03\x01\xff\xff", "found 65535"),
        (b"\x16\x03\x01\x00\x04\x02", "handshake message 02H"),
        (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "found one of 16777219"),
        (records(hello(tail=b"x")), "the end of the ClientHello"),
        (records(hello(alpn(b"dicom"), alpn(b"dicom"))), "found 16 twice"),
        (records(hello(alpn())), "list of application protocols"),
        (records(hello(alpn(b""))), "with names"),
        (records(hello(alpn(*[b"x"] * (MOST_PROTOCOLS + 1)))), "with names"),
        (records(hello(extension(16, vector(2, vector(1, b"dicom")) + b"x"))), "another form"),
        (records(hello(extension(16, b"\0\x09\x05dicom"))), "expected 9 bytes"),
        (records(hello(server_name(b""))), "host name"),
        (records(hello(server_name(b"a b"))), "host name"),
        (records(hello(b"\0\x10\0")), "expected 2 bytes"),
        (records(hello()[:-2] + b"\0\x05"), "expected 5 bytes"),
    ],
)
def test_refused(data: bytes, why: str) -> None:
    found = parse_client_hello(data)
    assert isinstance(found, Malformed)
    assert why in found.why


def test_waiting_ends_at_the_limit() -> None:
    dribble = records(b"\x01\x00\x3f\x00" + bytes(LONGEST), 1)
    assert parse_client_hello(dribble[: LONGEST - 1]) == MoreNeeded()
    assert isinstance(parse_client_hello(dribble[:LONGEST]), Malformed)


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(data: bytes) -> None:
    parse_client_hello(data)


@given(st.sampled_from(sorted(REAL)), st.data())
def test_any_damage_is_judged(name: str, data: st.DataObject) -> None:
    damaged = bytearray(REAL[name])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    whole = parse_client_hello(bytes(damaged))
    if not isinstance(part := parse_client_hello(bytes(damaged[:cut])), MoreNeeded):
        assert part == whole
