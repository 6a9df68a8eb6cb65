"""PROXY headers: HAProxy's own bytes, the grammar's edges, any cut and any damage."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.wire.pdu import Malformed
from dicomgate.wire.proxy_protocol import (
    LONGEST_V1,
    LONGEST_V2,
    Incomplete,
    ProxyHeader,
    SocketAddress,
    crc32c,
    parse,
)
from wire import strategies
from wire.vector_files import corpus, seeds, vector, vectors

V4 = ProxyHeader(
    SocketAddress(IPv4Address("192.0.2.10"), 40000), SocketAddress(IPv4Address("198.51.100.1"), 104), consumed=0
)
V6 = ProxyHeader(
    SocketAddress(IPv6Address("2001:db8::1"), 40000), SocketAddress(IPv6Address("2001:db8::2"), 104), consumed=0
)
NOBODY = ProxyHeader(None, None, consumed=0)


def addresses(header: Incomplete | ProxyHeader | Malformed) -> ProxyHeader:
    """The header without its size."""
    assert isinstance(header, ProxyHeader)
    return ProxyHeader(header.source, header.destination, consumed=0)


@pytest.mark.parametrize("case", vectors("proxy_header"), ids=lambda case: case.name)
def test_vector(case):
    header = parse(case.data)
    if case.expect == "ok":
        assert isinstance(header, ProxyHeader)
        assert header.consumed == len(case.data)
    else:
        assert isinstance(header, Malformed)
        assert case.why in header.why


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("proxy-v1-tcp4", V4),
        ("proxy-v1-tcp6", V6),
        ("proxy-v1-unknown", NOBODY),
        ("proxy-v1-longest", NOBODY),
        ("proxy-v2-tcp4", V4),
        ("proxy-v2-tcp6", V6),
        ("proxy-v2-checksum", V4),
        ("proxy-v2-local", NOBODY),
        ("proxy-v2-unspec", NOBODY),
    ],
)
def test_addresses(name, expected):
    assert addresses(parse(vector(name))) == expected


@pytest.mark.parametrize("name", corpus("proxy_header"))
def test_headers_of_haproxy(name):
    sample = corpus("proxy_header")[name]
    header = parse(sample)
    assert isinstance(header, ProxyHeader)
    assert header.consumed == len(sample)
    loopback = IPv6Address("::1") if "tcp6" in name else IPv4Address("127.0.0.1")
    if "local" in name:
        assert header.source is header.destination is None
    else:
        assert header.source.address == header.destination.address == loopback
        assert header.source.port > 1023


VALID = [v.data for v in vectors("proxy_header") if v.expect == "ok"] + list(corpus("proxy_header").values())


@pytest.mark.parametrize("data", VALID)
def test_every_cut_of_a_valid_header_waits_for_more(data):
    for end in range(len(data)):
        assert parse(data[:end]) == Incomplete()


@pytest.mark.parametrize("data", VALID)
def test_what_follows_belongs_to_the_next_protocol(data):
    header = parse(data)
    assert header.consumed == len(data)
    assert parse(data + b"\x01\0\0\0\0\x44") == header
    assert parse(memoryview(data + b"\r\n")) == header


@pytest.mark.parametrize(
    "data", [b"\x01\0", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"proxy TCP4", b"PROXX", b"\r\n\r\nX", b"\0"]
)
def test_other_protocols_are_refused_at_the_first_wrong_byte(data):
    assert isinstance(parse(data), Malformed)


def test_no_header_is_waited_for_longer_than_its_limit():
    assert parse(b"PROXY TCP4 ".ljust(LONGEST_V1 - 1, b"1")) == Incomplete()
    assert isinstance(parse(b"PROXY TCP4 ".ljust(LONGEST_V1, b"1")), Malformed)
    longest = vector("proxy-v2-tcp4")[:14] + (LONGEST_V2 - 16).to_bytes(2, "big") + vector("proxy-v2-tcp4")[16:]
    assert parse(longest) == Incomplete()
    filler = LONGEST_V2 - len(longest)
    assert parse(longest + b"\x04" + (filler - 3).to_bytes(2, "big") + bytes(filler - 3)).consumed == LONGEST_V2
    over = longest[:14] + (LONGEST_V2 - 15).to_bytes(2, "big")
    assert isinstance(parse(over), Malformed)


@pytest.mark.parametrize(
    "line",
    [
        "PROXY TCP4 192.0.2.10 198.51.100.1 40000\r\n",
        "PROXY TCP4 192.0.2.10 198.51.100.1 40000 104 \r\n",
        "PROXY TCP4 192.0.2.10 198.51.100.1 40000 104 9\r\n",
        "PROXY TCP4 192.0.2.10 198.51.100.1 +40000 104\r\n",
        "PROXY TCP4 192.0.2.10 198.51.100.1 40000 \r\n",
        "PROXY TCP4 192.0.2.010 198.51.100.1 40000 104\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 40000 104\r\n",
        "PROXY TCP4 192.0.2.10\t198.51.100.1 40000 104\r\n",
        "PROXY tcp4 192.0.2.10 198.51.100.1 40000 104\r\n",
        "PROXY TCP6 192.0.2.10 198.51.100.1 40000 104\r\n",
        "PROXY TCP6 2001:db8:::1 2001:db8::2 40000 104\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.10 198.51.100.1 4000\u0660 104\r\n",
    ],
)
def test_lines_outside_the_grammar_are_refused(line):
    assert isinstance(parse(line.encode()), Malformed)


def test_the_checksum_is_castagnolis():
    assert crc32c(b"") == 0
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize("position", [16, 27, 31, 42, -4, -1])
def test_a_flipped_bit_does_not_pass_the_checksum(position):
    data = bytearray(vector("proxy-v2-checksum"))
    data[position] ^= 0x10
    assert parse(bytes(data)) == Malformed("PROXY v2: expected the CRC32c of the header, found another checksum")


@settings(derandomize=True, deadline=None, max_examples=400)
@given(strategies.damaged(st.sampled_from(seeds("proxy_header"))))
def test_damaged_headers_are_parsed_or_refused(data):
    assert_parsed_or_refused(data)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", vector("proxy-v2-tcp4")[:12]]), st.binary(max_size=120))
def test_random_bytes_are_parsed_or_refused(start, noise):
    assert_parsed_or_refused(start + noise)


@pytest.mark.parametrize("sample", corpus().values(), ids=corpus())
def test_every_sample_of_any_protocol_is_parsed_or_refused(sample):
    assert_parsed_or_refused(sample)


def assert_parsed_or_refused(data: bytes) -> None:
    """The invariant of the parser: one of its values, no header beyond the bytes, the same for any longer stream."""
    header = parse(data)
    assert isinstance(header, Incomplete | ProxyHeader | Malformed)
    if isinstance(header, ProxyHeader):
        assert 0 < header.consumed <= len(data)
        assert (header.source is None) is (header.destination is None)
    if not isinstance(header, Incomplete):
        assert parse(data + b"\r\n") == header
