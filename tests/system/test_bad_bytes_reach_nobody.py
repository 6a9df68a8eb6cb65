"""Whatever comes instead of a good A-ASSOCIATE-RQ is aborted, rejected or closed, recorded, and reaches nobody."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from dicomgate.wire.codes import PduType
from system.house import House
from system.raw_archive import (
    APPLICATION_CONTEXT,
    EXPLICIT,
    IMPLICIT,
    PROPOSED,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    abort,
    associate,
    associate_ac,
    associate_rq,
    echo_rq,
    item,
    pdu,
    proposed,
    reject,
    user_information,
)

pytestmark = pytest.mark.system
CLOSED = b""
UNEXPECTED, PARAMETER, INVALID = abort(2, 2), abort(2, 5), abort(2, 6)
CT2, LONG_UID = "1.2.840.10008.5.1.4.1.1.4", "1." + "2" * 64


def client_hello() -> bytes:
    """What a TLS client really sends first."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="archive.example")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def identity(name: bytes) -> bytes:
    return item(0x58, b"\x01\x00" + len(name).to_bytes(2, "big") + name + b"\0\0")


def request_of(items: bytes) -> bytes:
    return associate(PduType.ASSOCIATE_RQ, items)


def nested_lie() -> bytes:
    """The 20H says 4 bytes more than its parent has left."""
    context = item(0x20, bytes((1, 0, 0, 0)) + item(0x30, VERIFICATION.encode()), 65000)
    return request_of(APPLICATION_CONTEXT + context + user_information())


MALFORMED: dict[str, tuple[Callable[[], bytes], bytes]] = {
    "HTTP": (lambda: b"GET / HTTP/1.1\r\nHost: archive.example\r\n\r\n", CLOSED),
    "TLS": (client_hello, CLOSED),
    "SSH": (lambda: b"SSH-2.0-OpenSSH_9.2\r\n", CLOSED),
    "SMTP": (lambda: b"EHLO client.example\r\n", CLOSED),
    "zeros": (lambda: bytes(100), CLOSED),
    "one byte that no PDU begins with": (lambda: b"\x08", CLOSED),
    "a PROXY header that nobody asked for": (
        lambda: b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 104\r\n" + associate_rq(),
        CLOSED,
    ),
    "abort": (lambda: abort(0, 0), CLOSED),
    "request of 4 GiB": (lambda: pdu(1, bytes(1000), 0xFFFFFFFF), INVALID),
    "request a byte over the limit": (lambda: pdu(1, bytes(1000), 1024 * 1024 + 1), INVALID),
    "request shorter than its fixed fields": (lambda: pdu(1, bytes(67)), INVALID),
    "P-DATA of 4 GiB": (lambda: pdu(4, bytes(1000), 0xFFFFFFFF), INVALID),
    "abort of 4 GiB": (lambda: pdu(7, bytes(1000), 0xFFFFFFFF), INVALID),
    "C-ECHO before a request": (echo_rq, UNEXPECTED),
    "accept": (associate_ac, UNEXPECTED),
    "reject": (lambda: reject(1, 1, 1), UNEXPECTED),
    "release request": (lambda: RELEASE_RQ, UNEXPECTED),
    "release reply": (lambda: RELEASE_RP, UNEXPECTED),
    "request without items": (lambda: request_of(b""), INVALID),
    "request without a context": (lambda: associate_rq(b""), INVALID),
    "request without user information": (lambda: request_of(APPLICATION_CONTEXT + PROPOSED), INVALID),
    "request without a maximum length": (lambda: associate_rq(user=item(0x50, item(0x52, b"2.25.1"))), INVALID),
    "request without an application context": (lambda: associate_rq(application_context=b""), INVALID),
    "two application contexts": (lambda: associate_rq(application_context=APPLICATION_CONTEXT * 2), PARAMETER),
    "two items of user information": (lambda: associate_rq(user=user_information() * 2), PARAMETER),
    "two maximum lengths": (lambda: associate_rq(user=user_information(item(0x51, bytes(4)))), PARAMETER),
    "two user identities": (
        lambda: associate_rq(user=user_information(identity(b"alice"), identity(b"mallory"))),
        PARAMETER,
    ),
    "identity of an unknown type": (
        lambda: associate_rq(user=user_information(item(0x58, b"\x09\x00\x00\x01x\0\0"))),
        INVALID,
    ),
    "identity with a length that lies": (
        lambda: associate_rq(user=user_information(item(0x58, b"\x01\x00\xff\xffx"))),
        INVALID,
    ),
    "the same context twice": (
        lambda: associate_rq(proposed(1, VERIFICATION, IMPLICIT) + proposed(1, CT2, IMPLICIT)),
        PARAMETER,
    ),
    "an even context": (lambda: associate_rq(proposed(2, VERIFICATION, IMPLICIT)), INVALID),
    "129 contexts": (
        lambda: associate_rq(b"".join(proposed(n % 256, VERIFICATION, IMPLICIT) for n in range(1, 259, 2))),
        PARAMETER,
    ),
    "1,100 items": (lambda: associate_rq(PROPOSED + item(0x99, b"") * 1100), INVALID),
    "200 transfer syntaxes in a context": (lambda: associate_rq(proposed(1, VERIFICATION, *[IMPLICIT] * 200)), INVALID),
    "a context without a transfer syntax": (lambda: associate_rq(proposed(1, VERIFICATION)), INVALID),
    "two abstract syntaxes in a context": (
        lambda: associate_rq(
            item(0x20, b"\1\0\0\0" + item(0x30, b"1.2") + item(0x30, b"1.3") + item(0x40, IMPLICIT.encode()))
        ),
        PARAMETER,
    ),
    "a UID of 66 characters": (lambda: associate_rq(proposed(1, LONG_UID, EXPLICIT)), INVALID),
    "a path for a UID": (lambda: associate_rq(proposed(1, "../../etc", EXPLICIT)), INVALID),
    "an item longer than its parent": (nested_lie, INVALID),
    "half an item header at the end": (lambda: request_of(APPLICATION_CONTEXT + PROPOSED + b"\x50\0"), INVALID),
    "version 2 only": (lambda: associate_rq(version=2), reject(1, 2, 2)),
    "another application context": (
        lambda: associate_rq(application_context=item(0x10, b"1.2.840.10008.3.1.1.9")),
        reject(1, 1, 2),
    ),
    "control characters in the calling title": (lambda: associate_rq(calling="CT1\n"), reject(1, 1, 3)),
    "backslash in the calling title": (lambda: associate_rq(calling="CT1\\CT1"), reject(1, 1, 3)),
    "umlaut in the called title": (lambda: associate_rq(called="ÄRCHIVE"), reject(1, 1, 7)),
    "a blank calling title": (lambda: associate_rq(calling=""), reject(1, 1, 3)),
}


@pytest.mark.parametrize(("bytes_of", "answer"), MALFORMED.values(), ids=MALFORMED.keys())
def test_it_is_refused_and_recorded(door: House, bytes_of: Callable[[], bytes], answer: bytes) -> None:
    before = door.archive.connections
    with door.dial() as client:
        client.say(bytes_of())
        assert client.pdu() == answer
    record = door.refusal_of(client, outcome="refused")
    if answer == CLOSED:
        assert (record.event, record.rule, record.status) == ("connection_refused", "malformed", None)
    elif answer[0] == PduType.ABORT:
        assert (record.event, record.rule, record.status) == (
            "association_refused",
            "malformed",
            f"abort 2/{answer[9]}",
        )
    else:
        assert (record.event, record.status) == ("association_refused", "/".join(map(str, answer[7:10])))
    assert door.archive.connections == before


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 73, 74, 100, len(associate_rq()) - 1])
@pytest.mark.parametrize("leave", ["close", "half_close", "reset"])
def test_a_request_that_is_cut_is_recorded_too(door: House, cut: int, leave: str) -> None:
    before = door.archive.connections
    with door.dial() as client:
        client.say(associate_rq()[:cut])
        {"close": client.close, "half_close": client.half_close, "reset": client.reset}[leave]()
        if leave == "half_close":
            assert client.pdu() == CLOSED
    record = door.refusal_of(client, event="connection_refused")
    assert record.rule == "malformed"
    assert door.archive.connections == before


def test_a_request_that_dribbles_is_a_request(door: House) -> None:
    with door.dial() as client:
        client.dribble(associate_rq())
        with door.archive.meet() as upstream:
            assert upstream.pdu()[:1] == b"\x01"


def test_random_bytes_with_every_first_byte_and_several_cuts(door: House) -> None:
    before = door.archive.connections
    source = random.Random(20)
    clients = []
    for number in range(256):
        client = door.dial()
        noise = bytes((number,)) + source.randbytes(source.choice((5, 9, 100, 3000)))
        middle = source.randrange(len(noise))
        client.say(noise[:middle])
        client.say(noise[middle:])
        clients.append(client)
    for number, client in enumerate(clients):
        with client:
            answer = client.pdu()
            assert answer == CLOSED or answer[:9] == abort(2, 0)[:9], f"first byte {number:02X}H"
    for client in clients:
        assert door.refusal_of(client, outcome="refused").rule == "malformed"
    assert door.archive.connections == before


@pytest.mark.parametrize("kind", [PduType.ASSOCIATE_RQ, PduType.P_DATA_TF, PduType.ABORT])
def test_a_declared_length_of_4_gib_takes_no_memory(door: House, kind: PduType) -> None:
    before = door.memory()
    clients = []
    for _ in range(150):
        client = door.dial()
        client.say(pdu(kind, bytes(30_000), 0xFFFFFFFF))
        clients.append(client)
    for client in clients:
        assert client.pdu() == INVALID
        client.close()
    assert door.memory() - before < 4 * 1024 * 1024
