"""The outer form of a ticket: what is handed to the library, what is refused before, and the reply's dress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.iam import ber
from dicomgate.iam.kerberos.tokens import AP_REP_TOKEN, AP_REQ_TOKEN, KERBEROS, SPNEGO, Presented, presented, reply
from dicomgate.wire.pdu import Malformed

AP_REQ = ber.encode(0x6E, b"\x30\x00")
AP_REP = ber.encode(0x6F, b"\x30\x00")


def gss(*contents: bytes) -> bytes:
    return ber.encode(0x60, *contents)


@pytest.mark.parametrize("size", [0, 100, 130, 300, 60_000])
def test_a_bare_ap_req_is_dressed(size: int) -> None:
    """RFC 4121 4.1: the mechanism, then the kind of token, then the message of RFC 4120."""
    bare = ber.encode(0x6E, bytes(size))
    assert presented(bare) == Presented(gss(KERBEROS, AP_REQ_TOKEN, bare), bare=True)


def test_a_gss_token_is_handed_on() -> None:
    token = gss(KERBEROS, AP_REQ_TOKEN, AP_REQ)
    assert presented(token) == Presented(token, bare=False)


@pytest.mark.parametrize(
    ("ticket", "why"),
    [
        (b"", "begin with 0x00"),
        (b"hunter2", "begin with 0x68"),
        (ber.encode(0x61, b"\x30\x00"), "a ticket alone"),
        (AP_REP, "begin with 0x6f"),
        (ber.encode(0x7E, b"\x30\x00"), "begin with 0x7e"),
        (AP_REQ[:-1], "exactly the length"),
        (AP_REQ + b"\0", "exactly the length"),
        (b"\x6e", "exactly the length"),
        (b"\x6e\x80\x00\x00", "exactly the length"),
        (b"\x60\x85\0\0\0\0\1\0", "exactly the length"),
        (gss(SPNEGO, b"\xa0\x00"), "SPNEGO"),
        (gss(KERBEROS, AP_REP_TOKEN, AP_REP), "another GSS token"),
        (gss(KERBEROS), "another GSS token"),
        (gss(), "another GSS token"),
    ],
)
def test_what_cannot_be_a_client_s_first_word(ticket: bytes, why: str) -> None:
    found = presented(ticket)
    assert isinstance(found, Malformed)
    assert why in found.why


@given(st.binary(max_size=100))
def test_any_bytes_are_handed_on_whole_or_are_refused(ticket: bytes) -> None:
    found = presented(ticket)
    if isinstance(found, Presented):
        assert ticket in found.token


def test_the_reply_comes_in_the_same_dress() -> None:
    token = gss(KERBEROS, AP_REP_TOKEN, AP_REP)
    assert reply(token, Presented(b"", bare=False)) == token
    assert reply(token, Presented(b"", bare=True)) == AP_REP


@pytest.mark.parametrize("token", [b"", b"\x60", gss(KERBEROS, AP_REP_TOKEN), gss(KERBEROS, AP_REQ_TOKEN, AP_REQ)])
def test_a_reply_that_is_none(token: bytes) -> None:
    with pytest.raises(ValueError, match="no AP-REP"):
        reply(token, Presented(b"", bare=True))
