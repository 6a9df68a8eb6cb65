"""An archive that lies is aborted; its client gets a retryable rejection or an abort, and never the lie."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomgate.wire.codec import decode
from dicomgate.wire.codes import CommandField, PduType, Status
from dicomgate.wire.pdu import AssociateAccept
from system.house import House
from system.raw_archive import (
    ANSWERED,
    APPLICATION_CONTEXT,
    BOTH_ROLES,
    COMMAND,
    CT,
    EXPLICIT,
    FIND,
    GET,
    HEADER,
    IMPLICIT,
    LAST,
    ON_CT,
    ON_ECHO,
    ON_FIND,
    ON_GET,
    PENDING,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    Wire,
    abort,
    answered,
    associate,
    associate_ac,
    associate_rq,
    command,
    command_of,
    data_set,
    echo_rq,
    echo_rsp,
    element,
    item,
    p_data,
    pdu,
    pdv,
    query_rq,
    reject,
    response,
    role,
    store_rq,
    user_information,
)

pytestmark = pytest.mark.system
CONGESTION = reject(2, 3, 1)
GONE = abort(2, 0)
UNKNOWN, UNEXPECTED, PARAMETER, INVALID = (abort(2, reason) for reason in (1, 2, 5, 6))
MR = "1.2.840.10008.5.1.4.1.1.4"


def asked(door: House) -> tuple[Wire, Wire]:
    """A client whose request has reached the archive, which owes the answer."""
    client = door.dial()
    client.say(associate_rq())
    archive = door.archive.meet()
    archive.expect(PduType.ASSOCIATE_RQ)
    return client, archive


# -- instead of an answer ------------------------------------------------------------------------------------

LYING_ANSWERS: dict[str, tuple[Callable[[], bytes], bytes]] = {
    "a context that was not proposed": (lambda: associate_ac(ANSWERED + answered(99, IMPLICIT)), PARAMETER),
    "a transfer syntax that was not offered": (lambda: associate_ac(answered(ON_ECHO, EXPLICIT)), PARAMETER),
    "a role that was not proposed": (lambda: associate_ac(user=user_information(role(MR, 1, 1))), PARAMETER),
    "the same context twice": (lambda: associate_ac(answered(1, IMPLICIT) * 2), PARAMETER),
    "an even context": (lambda: associate_ac(answered(2, IMPLICIT)), INVALID),
    "a result of 9": (lambda: associate_ac(answered(1, IMPLICIT, result=9)), INVALID),
    "a path for a transfer syntax": (lambda: associate_ac(answered(1, "../../x")), INVALID),
    "no contexts": (lambda: associate_ac(b""), INVALID),
    "no user information": (lambda: associate(PduType.ASSOCIATE_AC, APPLICATION_CONTEXT + ANSWERED), INVALID),
    "two maximum lengths": (lambda: associate_ac(user=user_information(item(0x51, bytes(4)))), PARAMETER),
    "no items": (lambda: associate(PduType.ASSOCIATE_AC, b""), INVALID),
    "an accept of 4 GiB": (lambda: pdu(2, bytes(1000), 0xFFFFFFFF), INVALID),
    "a reject of 4 GiB": (lambda: pdu(3, bytes(4), 0xFFFFFFFF), INVALID),
    "a release reply": (lambda: RELEASE_RP, UNEXPECTED),
    "a release request": (lambda: RELEASE_RQ, UNEXPECTED),
    "a request": (associate_rq, UNEXPECTED),
    "data": (echo_rsp, UNEXPECTED),
    "P-DATA of 4 GiB": (lambda: pdu(4, bytes(100), 0xFFFFFFFF), INVALID),
    "HTTP": (lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", UNKNOWN),
    "TLS alert": (lambda: b"\x15\x03\x01\x00\x02\x02\x46", UNKNOWN),
}


@pytest.mark.parametrize(("bytes_of", "answer"), LYING_ANSWERS.values(), ids=LYING_ANSWERS.keys())
def test_an_answer_that_lies_is_a_transient_rejection(
    door: House, bytes_of: Callable[[], bytes], answer: bytes
) -> None:
    client, archive = asked(door)
    with client, archive:
        archive.say(bytes_of())
        assert archive.pdu() == answer
        assert client.pdu() == CONGESTION
    record = door.refusal_of(client, event="association_ended")
    assert (record.outcome, record.archive, record.status) == ("failure", "main", "2/3/1")


REJECTIONS = [(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 7), (1, 2, 1), (1, 2, 2), (2, 1, 1), (2, 3, 1), (2, 3, 2)]


@pytest.mark.parametrize("rejection", REJECTIONS, ids=["/".join(map(str, one)) for one in REJECTIONS])
def test_the_archives_own_rejection_is_passed_on(door: House, rejection: tuple[int, int, int]) -> None:
    client, archive = asked(door)
    with client, archive:
        archive.say(reject(*rejection))
        assert client.pdu() == reject(*rejection)
        assert archive.pdu() == b""
    assert door.record_of(client, event="association_ended").status == "/".join(map(str, rejection))


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.half_close, lambda wire: wire.say(GONE)])
@pytest.mark.parametrize("before", [b"", associate_ac()[:3], associate_ac()[:-1]], ids=["nothing", "3 bytes", "most"])
def test_an_archive_that_leaves_before_it_has_answered(
    door: House, leave: Callable[[Wire], None], before: bytes
) -> None:
    client, archive = asked(door)
    if before and leave not in (Wire.close, Wire.reset, Wire.half_close):
        before = b""  # an abort in the middle of another PDU would be part of it
    with client, archive:
        archive.say(before)
        leave(archive)
        assert client.pdu() == CONGESTION
    assert door.refusal_of(client, event="association_ended").outcome == "failure"


def test_what_was_not_proposed_is_not_passed_on(door: House) -> None:
    """Extended negotiation, an asynchronous window, an identity response and unknown items nobody asked for."""
    extras = (
        item(0x53, bytes(4)),
        item(0x56, b"\0\x19" + CT.encode() + b"\1\1"),
        item(0x59, b"\0\2hi"),
        item(0x99, b"?"),
        item(0x55, b"ARCHIVE_1"),
        BOTH_ROLES,
    )
    client, archive = asked(door)
    with client, archive:
        archive.say(associate_ac(user=user_information(*extras, maximum_length=0)))
        accept = decode(PduType.ASSOCIATE_AC, client.expect(PduType.ASSOCIATE_AC)[HEADER:])
        assert isinstance(accept, AssociateAccept)
        told = accept.user_information
        assert told.asynchronous_operations_window is None
        assert told.extended_negotiations == ()
        assert told.user_identity_response is None
        assert told.unknown_items == 0
        assert told.implementation_version_name is not None
        assert not told.implementation_version_name.startswith("ARCHIVE")
        assert told.maximum_length == 1024 * 1024


def test_an_answer_that_dribbles_is_an_answer(door: House) -> None:
    client, archive = asked(door)
    with client, archive:
        archive.dribble(associate_ac())
        client.expect(PduType.ASSOCIATE_AC)
        client.dribble(echo_rq())
        assert archive.pdu() == echo_rq()
        archive.dribble(echo_rsp())
        assert client.pdu() == echo_rsp()


# -- inside the association ----------------------------------------------------------------------------------


def long_command_set() -> bytes:
    piece = element(0x0120, b"\1\0") + element(0x0902, bytes(9900))
    return p_data(pdv(ON_ECHO, COMMAND, piece)) + p_data(pdv(ON_ECHO, COMMAND, bytes(10_000))) * 6


VIOLATIONS: dict[str, tuple[Callable[[], bytes], bytes]] = {
    "a response to nothing": (lambda: echo_rsp(8), PARAMETER),
    "a response on another context": (lambda: echo_rsp(context_id=ON_CT), PARAMETER),
    "a response of another service": (
        lambda: response(ON_ECHO, CommandField.C_STORE_RSP, 1, 0, sop_class=CT),
        PARAMETER,
    ),
    "two responses to one request": (lambda: echo_rsp() + echo_rsp(), PARAMETER),
    "an instance that is a path": (
        lambda: response(ON_ECHO, CommandField.C_ECHO_RSP, 1, 0, instance="../../x"),
        INVALID,
    ),
    "a SOP class that is a path": (
        lambda: response(ON_ECHO, CommandField.C_ECHO_RSP, 1, 0, sop_class="../../x"),
        INVALID,
    ),
    "a requested instance that is a path beside a good one": (
        lambda: command(
            ON_ECHO,
            CommandField.C_ECHO_RSP,
            message_id_being_responded_to=1,
            status=0,
            affected_sop_instance_uid="1.2.3",
            requested_sop_instance_uid="../../x",
        ),
        INVALID,
    ),
    "a PDU of an unknown type": (lambda: b"\x09\0\0\0\0\4\0\0\0\0", UNKNOWN),
    "HTTP": (lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", UNKNOWN),
    "a second accept": (associate_ac, UNEXPECTED),
    "a late reject": (lambda: reject(1, 1, 1), UNEXPECTED),
    "a request": (associate_rq, UNEXPECTED),
    "a release reply": (lambda: RELEASE_RP, UNEXPECTED),
    "P-DATA of 4 GiB": (lambda: pdu(4, bytes(100), 0xFFFFFFFF), INVALID),
    "P-DATA longer than the client takes": (lambda: pdu(4, bytes(100), 16385), INVALID),
    "a PDV longer than its PDU": (lambda: p_data(pdv(ON_ECHO, 3, bytes(10), length=13)), INVALID),
    "an even context": (lambda: echo_rsp(context_id=2), INVALID),
    "a context that was not accepted": (lambda: echo_rsp(context_id=99), PARAMETER),
    "a data set on a context that was not accepted": (lambda: data_set(99), PARAMETER),
    "a data set without a command": (lambda: data_set(ON_FIND), PARAMETER),
    "a command amid a command": (
        lambda: p_data(pdv(ON_ECHO, COMMAND, bytes(8))) + echo_rsp(context_id=ON_CT),
        PARAMETER,
    ),
    "a command set of 70,000 bytes": (long_command_set, PARAMETER),
    "a command set of rubbish": (lambda: p_data(pdv(ON_ECHO, COMMAND | LAST, b"\xff" * 60)), INVALID),
}


@pytest.mark.parametrize(("bytes_of", "answer"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_lie_inside_the_association_ends_it(door: House, bytes_of: Callable[[], bytes], answer: bytes) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(echo_rq())
        assert archive.pdu() == echo_rq()
        archive.say(bytes_of())
        assert archive.pdu() == answer
        heard = client.pdu()
        if heard == echo_rsp():  # the true one, before the lie
            heard = client.pdu()
        assert heard == GONE
    record = door.refusal_of(client, event="association_ended")
    assert (record.outcome, record.rule, record.status) == ("failure", "malformed", f"abort 2/{answer[9]}")


def report(instance: str = "1.2.3") -> bytes:
    return command(
        ON_CT,
        CommandField.N_EVENT_REPORT_RQ,
        message_id=1,
        affected_sop_class_uid=CT,
        affected_sop_instance_uid=instance,
        event_type_id=1,
    )


def ask_for(field: CommandField, context_id: int, sop_class: str) -> bytes:
    asked = command(context_id, field, data_set=True, message_id=1, affected_sop_class_uid=sop_class, priority=0)
    return asked + data_set(context_id)


UNSOLICITED: dict[str, tuple[Callable[[], bytes], int]] = {
    "C-STORE without a C-GET": (lambda: store_rq() + data_set(ON_CT), Status.NOT_AUTHORIZED),
    "C-STORE with a path for an instance": (
        lambda: store_rq(instance="../../x") + data_set(ON_CT),
        Status.INVALID_SOP_INSTANCE,
    ),
    "C-FIND": (lambda: ask_for(CommandField.C_FIND_RQ, ON_FIND, FIND), 0xC000),
    "C-GET": (lambda: ask_for(CommandField.C_GET_RQ, ON_GET, GET), Status.NOT_AUTHORIZED),
    "C-ECHO": (echo_rq, Status.SOP_CLASS_NOT_SUPPORTED),
    "N-EVENT-REPORT on a storage context": (report, Status.NO_SUCH_SOP_CLASS),
}


@pytest.mark.parametrize(("bytes_of", "status"), UNSOLICITED.values(), ids=UNSOLICITED.keys())
def test_what_the_archive_asks_unasked_is_refused_and_the_association_goes_on(
    door: House, bytes_of: Callable[[], bytes], status: int
) -> None:
    client, archive = door.association()
    with client, archive:
        archive.say(bytes_of())
        refused = command_of(archive.pdu())
        assert refused.status == status
        client.say(echo_rq(2))
        assert archive.pdu() == echo_rq(2)
        archive.say(echo_rsp(2))
        assert client.pdu() == echo_rsp(2)  # and nothing before it
    record = door.refusal_of(client, event="operation_refused")
    assert record.status == f"{status:04X}"
    assert record.refusal_id is not None
    assert record.refusal_id in (refused.error_comment or "")


def test_sub_operations_come_through_only_while_their_c_get_runs(door: House) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(query_rq(CommandField.C_GET_RQ))
        for _ in range(2):
            archive.expect(PduType.P_DATA_TF)
        archive.say(store_rq(5), data_set(ON_CT))
        assert command_of(client.pdu()).command_field is CommandField.C_STORE_RQ
        assert client.pdu() == data_set(ON_CT)
        client.say(response(ON_CT, CommandField.C_STORE_RSP, 5, 0, sop_class=CT))
        assert command_of(archive.pdu()).status == 0
        archive.say(store_rq(6, instance="../../x"), data_set(ON_CT))
        assert command_of(archive.pdu()).status == Status.INVALID_SOP_INSTANCE
        archive.say(response(ON_GET, CommandField.C_GET_RSP, 1, 0, sop_class=GET))
        assert command_of(client.pdu()).command_field is CommandField.C_GET_RSP
        archive.say(store_rq(7), data_set(ON_CT))
        assert command_of(archive.pdu()).status == Status.NOT_AUTHORIZED
        client.say(echo_rq(9))
        assert archive.pdu() == echo_rq(9)


def test_matches_that_interleave_end_the_association(door: House) -> None:
    client, archive = door.association()
    match = response(ON_FIND, CommandField.C_FIND_RSP, 1, PENDING, sop_class=FIND, data_set=True)
    with client, archive:
        client.say(query_rq())
        for _ in range(2):
            archive.expect(PduType.P_DATA_TF)
        archive.say(match, data_set(ON_FIND), match, match)
        assert archive.pdu() == PARAMETER
        assert client.pdu() == match
        assert client.pdu() == data_set(ON_FIND)
        assert client.pdu() == match
        assert client.pdu() == GONE
    operation = door.record_of(client, event="operation")
    assert (operation.outcome, operation.status, operation.verb) == ("failure", None, "find")


@pytest.mark.parametrize(("source", "reason"), [(0, 0), (2, 0), (2, 1), (2, 2), (2, 4), (2, 5), (2, 6)])
def test_an_abort_of_the_archive_is_passed_on_as_it_is(door: House, source: int, reason: int) -> None:
    client, archive = door.association()
    with client, archive:
        archive.say(abort(source, reason))
        assert client.pdu() == abort(source, reason)
        assert archive.pdu() == b""
    assert "aborted by the acceptor" in (door.record_of(client, event="association_ended").reason or "")


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset, Wire.half_close])
@pytest.mark.parametrize("amid", [b"", echo_rsp()[:4], echo_rsp()[:20]], ids=["between", "header", "command"])
def test_an_archive_that_leaves_ends_the_association(door: House, leave: Callable[[Wire], None], amid: bytes) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(echo_rq())
        assert archive.pdu() == echo_rq()
        archive.say(amid)
        leave(archive)
        assert client.pdu() == GONE
    operation = door.record_of(client, event="operation")
    assert (operation.outcome, operation.verb) == ("failure", "echo")
    assert "went away" in (door.record_of(client, event="association_ended").reason or "")


def test_context_of_verification_is_the_clients(door: House) -> None:
    """The lies above would prove nothing if a good answer did not come through the same door."""
    client, archive = door.association()
    with client, archive:
        client.say(echo_rq(11))
        assert command_of(archive.pdu()).affected_sop_class_uid == VERIFICATION
        archive.say(echo_rsp(11))
        assert client.pdu() == echo_rsp(11)
        client.say(RELEASE_RQ)
        assert archive.pdu() == RELEASE_RQ
        archive.say(RELEASE_RP)
        assert client.pdu() == RELEASE_RP
    assert door.record_of(client, event="association_ended").outcome == "success"
