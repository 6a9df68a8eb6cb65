"""LDAP messages: what the standard's bytes mean, and that no bytes do anything else than be refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomgate.iam import ber
from dicomgate.iam.ber import Element, NotBerError
from dicomgate.iam.ldap import filters, messages
from dicomgate.iam.ldap.messages import (
    BindResponse,
    ExtendedResponse,
    Result,
    Scope,
    SearchDone,
    SearchEntry,
    SearchReference,
    decode,
)


def response(tag: int, *parts: bytes, number: int = 7, after: bytes = b"") -> bytes:
    return ber.integer(number) + ber.encode(tag, *parts) + after


def result(code: int, text: str = "") -> tuple[bytes, ...]:
    return ber.integer(code, ber.ENUMERATED), ber.octets(""), ber.octets(text)


def policy_control(*value: bytes) -> bytes:
    control = ber.encode(ber.SEQUENCE, ber.octets(messages.PASSWORD_POLICY), *value)
    return ber.encode(0xA0, control)


def test_a_bind_is_a_simple_one_of_version_3() -> None:
    """RFC 4511 4.2: [APPLICATION 0], version, name, [0] passcode; beside it the password policy's control."""
    wire = messages.bind(1, "cn=a", b"\x00pw")
    (whole,) = ber.elements(wire)
    number, operation, controls = ber.elements(whole.expect(ber.SEQUENCE))
    assert (number.number(), operation.tag) == (1, 0x60)
    assert [part.contents for part in ber.elements(operation.contents)] == [b"\x03", b"cn=a", b"\x00pw"]
    assert ber.encode(controls.tag, controls.contents) == policy_control()


def test_a_search_asks_for_names_only_below_a_base() -> None:
    """RFC 4511 4.5.1, with the limits that were asked for."""
    query = filters.encode(filters.parse("(uid={user})"), {"user": "a"})
    (whole,) = ber.elements(messages.search(300, "dc=x", Scope.SUBTREE, query, ["1.1"], 2, 5))
    number, operation = ber.elements(whole.contents)
    assert number.number() == 300
    base, scope, aliases, size, time, types_only, found, attributes = ber.elements(operation.expect(0x63))
    assert (base.text(), scope.number(ber.ENUMERATED), aliases.number(ber.ENUMERATED)) == ("dc=x", 2, 0)
    assert (size.number(), time.number(), types_only.contents) == (2, 5, b"\x00")
    assert ber.encode(found.tag, found.contents) == query
    assert [name.text() for name in ber.elements(attributes.contents)] == ["1.1"]


def test_start_tls_and_unbind() -> None:
    assert messages.start_tls(1).hex() == "301d02010177188016312e332e362e312e342e312e313436362e3230303337"
    assert messages.unbind(2).hex() == "30050201024200"


def test_responses() -> None:
    assert decode(response(0x61, *result(0))) == (7, BindResponse(Result(0)))
    assert decode(response(0x61, *result(49, "no"))) == (7, BindResponse(Result(49, "no")))
    assert decode(response(0x78, *result(52), number=0)) == (0, ExtendedResponse(Result(52)))
    assert decode(response(0x65, *result(4))) == (7, SearchDone(Result(4)))
    assert decode(response(0x73, ber.octets("ldap://other"))) == (7, SearchReference())


def test_an_entry_keeps_values_as_bytes_and_names_in_lower_case() -> None:
    values = ber.encode(ber.SET, ber.octets("one"), ber.octets(b"\xff"))
    attribute = ber.encode(ber.SEQUENCE, ber.octets("memberOf"), values)
    _, entry = decode(response(0x64, ber.octets("cn=a"), ber.encode(ber.SEQUENCE, attribute)))
    assert entry == SearchEntry("cn=a", {"memberof": (b"one", b"\xff")})
    assert isinstance(entry, SearchEntry)
    assert entry.texts("MEMBEROF") == ("one",)
    assert entry.text("memberOf") == "one"
    assert entry.text("cn") is None


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ((), None),
        ((ber.octets(ber.encode(ber.SEQUENCE)),), None),
        ((ber.octets(ber.encode(ber.SEQUENCE, bytes.fromhex("810101"))),), 1),
        ((ber.octets(ber.encode(ber.SEQUENCE, bytes.fromhex("a003800164810102"))),), 2),
        ((ber.boolean(False), ber.octets(ber.encode(ber.SEQUENCE, bytes.fromhex("810100")))), 0),
    ],
)
def test_the_password_policy_s_opinion(value: tuple[bytes, ...], error: int | None) -> None:
    _, found = decode(response(0x61, *result(49), after=policy_control(*value)))
    assert found == BindResponse(Result(49, policy_error=error))


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\x02\x01\x01",
        response(0x30),
        response(0x60, *result(0)),
        response(0x61, *result(0)[:2]),
        response(0x61, ber.octets("0"), *result(0)[1:]),
        response(0x61, ber.integer(2**70, ber.ENUMERATED), *result(0)[1:]),
        response(0x64, ber.octets(b"\xff"), ber.encode(ber.SEQUENCE)),
        response(0x64, ber.octets("cn=a"), ber.encode(ber.SEQUENCE, ber.octets("no attribute"))),
        bytes.fromhex("0201016180"),
        bytes.fromhex("02010161850000000001"),
        bytes.fromhex("0201017f2000"),
        bytes.fromhex("02010161ff"),
    ],
)
def test_what_is_no_response_is_said_so(contents: bytes) -> None:
    with pytest.raises(NotBerError, match=r"expected|ends|longer"):
        decode(contents)


@given(st.binary(max_size=200))
@example(b"\x02\x00\x61\x00")
def test_any_bytes_are_a_response_or_are_refused(contents: bytes) -> None:
    try:
        number, _ = decode(contents)
    except NotBerError:
        return
    assert isinstance(number, int)


@given(st.binary(max_size=60), st.data())
def test_a_changed_response_is_a_response_or_is_refused(text: bytes, data: st.DataObject) -> None:
    values = ber.encode(ber.SET, ber.octets(text))
    attributes = ber.encode(ber.SEQUENCE, ber.encode(ber.SEQUENCE, ber.octets("a"), values))
    contents = bytearray(response(0x64, ber.octets("cn=a"), attributes))
    place = data.draw(st.integers(0, len(contents) - 1))
    contents[place] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(contents[: data.draw(st.integers(0, len(contents)))]))
    except NotBerError:
        return


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_there_and_back(value: int) -> None:
    (found,) = ber.elements(ber.integer(value))
    assert found.number() == value


@given(st.integers(0, 255).filter(lambda tag: tag & 0x1F != 0x1F), st.binary(max_size=70_000))
def test_elements_there_and_back(tag: int, contents: bytes) -> None:
    assert list(ber.elements(ber.encode(tag, contents) * 2)) == [Element(tag, contents)] * 2


def test_a_diagnostic_stays_short_and_out_of_sight() -> None:
    _, found = decode(response(0x61, *result(49, "secret" * 9000)))
    assert isinstance(found, BindResponse)
    assert len(found.result.diagnostic) == messages.LONGEST_DIAGNOSTIC
    assert "secret" not in repr(found)
    assert found.result.words == "49 invalid credentials"
    assert Result(4711).words == "code 4711"
