"""A client that leaves the protocol inside an association is aborted, and the archive gets nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomgate.wire.codes import CommandField, PduType, Status
from system.house import House
from system.raw_archive import (
    COMMAND,
    CT,
    LAST,
    ON_CT,
    ON_ECHO,
    ON_FIND,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    Wire,
    abort,
    associate_ac,
    associate_rq,
    command,
    command_of,
    data_set,
    echo_rq,
    echo_rsp,
    element,
    p_data,
    pdu,
    pdv,
    query_rq,
    reject,
    response,
    store_rq,
)

pytestmark = pytest.mark.system
GONE = abort(2, 0)
"""What the archive is told."""
UNKNOWN, UNEXPECTED, PARAMETER, INVALID = (abort(2, reason) for reason in (1, 2, 5, 6))


def ending_in(context_id: int, command_set: bytes) -> bytes:
    return p_data(pdv(context_id, COMMAND | LAST, command_set))


def long_command_set() -> bytes:
    """70,000 bytes of a command that never ends, each PDU within its limit."""
    piece = element(0x0002, VERIFICATION.encode() + b"\0") + element(0x0902, bytes(9900))
    return p_data(pdv(ON_ECHO, COMMAND, piece)) + p_data(pdv(ON_ECHO, COMMAND, bytes(10_000))) * 6


def crowded_command_set() -> bytes:
    """Thousands of elements, the last of them in another group."""
    many = b"".join(element(number, b"") for number in range(1, 1500))
    return ending_in(ON_ECHO, many + element(0x0010, b"", group=0x0008))


def sequence() -> bytes:
    """A sequence within a sequence where no command has one: the outer length covers the inner, which has none."""
    inner = element(0xE000, bytes.fromhex("08001011ffffffff"), group=0xFFFE)
    return ending_in(ON_ECHO, element(0x0002, b"1.2\0") + element(0x1111, inner, group=0x0008))


VIOLATIONS: dict[str, tuple[Callable[[], bytes], bytes]] = {
    "a PDU of an unknown type": (lambda: b"\x09\0\0\0\0\4\0\0\0\0", UNKNOWN),
    "HTTP": (lambda: b"GET / HTTP/1.1\r\n\r\n", UNKNOWN),
    "a second request": (associate_rq, UNEXPECTED),
    "an accept": (associate_ac, UNEXPECTED),
    "a reject": (lambda: reject(1, 1, 1), UNEXPECTED),
    "a release reply": (lambda: RELEASE_RP, UNEXPECTED),
    "a release inside a command": (lambda: p_data(pdv(ON_ECHO, COMMAND, bytes(8))) + RELEASE_RQ, UNEXPECTED),
    "P-DATA of 4 GiB": (lambda: pdu(4, bytes(100), 0xFFFFFFFF), INVALID),
    "P-DATA longer than negotiated": (lambda: pdu(4, bytes(100), 16385), INVALID),
    "P-DATA without a PDV": (lambda: pdu(4, b""), INVALID),
    "a PDV longer than its PDU": (lambda: p_data(pdv(ON_ECHO, 3, bytes(10), length=13)), INVALID),
    "a PDV of 4 GiB": (lambda: p_data(pdv(ON_ECHO, 3, bytes(10), length=0xFFFFFFFF)), INVALID),
    "a PDV of length 1": (lambda: p_data(pdv(ON_ECHO, 3, b"", length=1)), INVALID),
    "bytes behind the last PDV": (lambda: p_data(pdv(ON_ECHO, COMMAND, bytes(8)), b"xxx"), INVALID),
    "an even context": (lambda: echo_rq(context_id=2), INVALID),
    "context 0": (lambda: echo_rq(context_id=0), INVALID),
    "a context that was not accepted": (lambda: echo_rq(context_id=99), PARAMETER),
    "a data set on a context that was not accepted": (lambda: data_set(99), PARAMETER),
    "a data set without a command": (lambda: data_set(ON_CT), PARAMETER),
    "a data set after a command without one": (lambda: echo_rq() + data_set(ON_ECHO), PARAMETER),
    "a command on another context amid a command": (
        lambda: p_data(pdv(ON_ECHO, COMMAND, bytes(8))) + echo_rq(context_id=ON_CT),
        PARAMETER,
    ),
    "a data set amid a command": (lambda: p_data(pdv(ON_CT, COMMAND, bytes(8))) + data_set(ON_CT), PARAMETER),
    "a command set of 70,000 bytes": (long_command_set, PARAMETER),
    "a command set of 1,500 elements": (crowded_command_set, INVALID),
    "a sequence in a command set": (sequence, INVALID),
    "an element longer than the command set": (
        lambda: ending_in(ON_ECHO, element(0x0002, b"1.2\0") + b"\0\0\0\1\xff\xff\xff\xff\x30\0"),
        INVALID,
    ),
    "an empty command set": (lambda: ending_in(ON_ECHO, b""), INVALID),
    "a command set that ends amid an element": (lambda: ending_in(ON_ECHO, b"\0\0\2\0"), INVALID),
    "an unknown command": (
        lambda: ending_in(ON_ECHO, element(0x0100, b"\x99\x09") + element(0x0800, b"\1\1")),
        INVALID,
    ),
    "descending elements": (
        lambda: ending_in(ON_ECHO, element(0x0100, b"\x30\0") + element(0x0002, b"1.2\0")),
        INVALID,
    ),
    "a group length that lies": (lambda: ending_in(ON_ECHO, element(0, b"\xff\xff\0\0") + bytes(2)), INVALID),
    "a C-STORE without an instance": (
        lambda: command(ON_CT, CommandField.C_STORE_RQ, data_set=True, message_id=1, affected_sop_class_uid=CT),
        INVALID,
    ),
    "a response to nothing": (echo_rsp, PARAMETER),
    "a final C-STORE response to nothing": (
        lambda: response(ON_CT, CommandField.C_STORE_RSP, 1, 0, sop_class=CT),
        PARAMETER,
    ),
}


@pytest.mark.parametrize(("bytes_of", "answer"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
@pytest.mark.parametrize("cut", ["whole", "dribbled"])
def test_both_sides_are_aborted(door: House, bytes_of: Callable[[], bytes], answer: bytes, cut: str) -> None:
    client, archive = door.association()
    with client, archive:
        came = bytes_of()
        if cut == "whole":
            client.say(came)
        else:
            client.dribble(came[:400])
            client.say(came[400:])
        assert client.pdu() == answer
        if came.startswith(echo_rq()):  # that was before the violation
            assert archive.pdu() == echo_rq()
        assert archive.pdu() == GONE
    record = door.refusal_of(client, event="association_ended")
    assert (record.outcome, record.rule, record.status) == ("failure", "malformed", f"abort 2/{answer[9]}")


@pytest.mark.parametrize(
    ("amid", "reason"),
    [
        (echo_rq(), 5),
        (store_rq(2), 5),
        (p_data(pdv(ON_FIND, LAST, bytes(64))), 5),
        (RELEASE_RQ, 2),
        (associate_rq(), 2),
        (pdu(4, bytes(8), 0xFFFFFFFF), 6),
    ],
    ids=["command", "another C-STORE", "another context", "release", "request", "4 GiB"],
)
def test_a_message_that_is_interrupted_never_looks_whole_to_the_archive(door: House, amid: bytes, reason: int) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(store_rq(), p_data(pdv(ON_CT, 0, bytes(1000))))
        archive.expect(PduType.P_DATA_TF)
        assert archive.pdu() == p_data(pdv(ON_CT, 0, bytes(1000)))
        client.say(amid)
        assert client.pdu() == abort(2, reason)
        assert archive.pdu() == GONE
    operation = door.record_of(client, event="operation")
    assert (operation.outcome, operation.status, operation.bytes) == ("failure", None, 1000)
    assert door.refusal_of(client, event="association_ended").status == f"abort 2/{reason}"


def test_an_abort_is_never_said_inside_a_pdu(door: House) -> None:
    """The archive would take its ten bytes for image data."""
    client, archive = door.association()
    with client, archive:
        client.say(store_rq(), p_data(pdv(ON_CT, LAST, bytes(1000)))[:500])
        archive.expect(PduType.P_DATA_TF)
        client.reset()
        assert archive.rest() == p_data(pdv(ON_CT, LAST, bytes(1000)))[:500]
        assert archive.was_reset
    assert door.record_of(client, event="association_ended").outcome == "failure"


LEAVING = {
    "between messages": b"",
    "inside a PDU header": echo_rq()[:4],
    "inside a PDV header": echo_rq()[:9],
    "inside a command": echo_rq()[:40],
    "between the fragments of a command": p_data(pdv(ON_ECHO, COMMAND, bytes(8))),
}


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.half_close])
@pytest.mark.parametrize("amid", LEAVING.values(), ids=LEAVING.keys())
def test_a_client_that_leaves_is_told_to_the_archive(door: House, amid: bytes, leave: Callable[[Wire], None]) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(amid)
        leave(client)
        assert archive.pdu() == GONE
    record = door.record_of(client, event="association_ended")
    assert (record.outcome, "went away" in (record.reason or "")) == ("failure", True)


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, lambda wire: wire.say(abort(0, 0))])
def test_a_client_that_leaves_before_the_archive_has_answered(door: House, leave: Callable[[Wire], None]) -> None:
    with door.dial() as client:
        client.say(associate_rq())
        with door.archive.meet() as archive:
            archive.expect(PduType.ASSOCIATE_RQ)
            leave(client)
            assert archive.pdu()[:1] == bytes((PduType.ABORT,))
    assert door.record_of(client, event="association_ended").outcome == "failure"


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
def test_a_client_that_leaves_amid_a_release(door: House, leave: Callable[[Wire], None]) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(RELEASE_RQ)
        assert archive.pdu() == RELEASE_RQ
        leave(client)
        assert archive.pdu() == GONE
    assert door.record_of(client, event="association_ended").outcome == "failure"


def test_more_operations_than_allowed_at_once_end_the_association(door: House) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(*(echo_rq(number) for number in range(1, 66)))
        assert client.pdu() == GONE
        assert [archive.pdu() for _ in range(64)] == [echo_rq(number) for number in range(1, 65)]
        assert archive.pdu() == GONE
    assert "64 operations" in (door.refusal_of(client, event="association_ended").reason or "")


def test_a_message_id_in_use_is_refused_and_the_first_operation_goes_on(door: House) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(echo_rq(7), query_rq(message_id=7))
        assert archive.pdu() == echo_rq(7)
        assert command_of(client.pdu()).status == Status.DUPLICATE_INVOCATION
        archive.say(echo_rsp(7))
        assert client.pdu() == echo_rsp(7)
    record = door.refusal_of(client, event="operation_refused")
    assert (record.rule, record.status) == ("message-id", "0210")


def test_a_cancel_of_nothing_is_void(door: House) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(command(ON_FIND, CommandField.C_CANCEL_RQ, message_id_being_responded_to=3), echo_rq())
        assert archive.pdu() == echo_rq()
