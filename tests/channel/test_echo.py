"""A C-ECHO against a party that answers as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from dicomgate.channel.echo import VERIFICATION, Echo, EchoTarget, echo
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import CommandField, ContextResult, Reject
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.framer import p_data_pdus
from dicomgate.wire.pdu import AssociateAccept, AssociateReject, ContextAnswer, ReleaseReply, UserInformation

Answer = Callable[[socket.socket], None]


def accept(result: ContextResult = ContextResult.ACCEPTANCE) -> bytes:
    context = ContextAnswer(1, result, "1.2.840.10008.1.2")
    return encode(AssociateAccept(b"ARCHIVE".ljust(16), b"ME".ljust(16), (context,), UserInformation(0, "1.2.3")))


RESPONSE = Command(
    CommandField.C_ECHO_RSP,
    has_data_set=False,
    affected_sop_class_uid=VERIFICATION,
    message_id_being_responded_to=1,
    status=0,
)


def asked(*answers: bytes) -> Echo:
    """Each answer is sent after something was received; then the connection is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            caller, _ = listening.accept()
            with caller:
                for answer in answers:
                    caller.recv(65536)
                    caller.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = echo(EchoTarget("127.0.0.1", listening.getsockname()[1], "ARCHIVE", "ME"))
        thread.join(10)
        return found


def test_an_answer() -> None:
    found = asked(accept(), p_data_pdus(1, encode_command(RESPONSE), 16384), encode(ReleaseReply()))
    assert found.answered
    assert found.text.endswith("answered with status 0000")


def test_a_refusal_is_an_answer_too() -> None:
    found = asked(encode(AssociateReject(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)))
    assert found.answered
    assert found.text.endswith("A-ASSOCIATE-RJ 1/1/3")
    assert asked(accept(ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED)).answered


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (b"\2\0\xff\xff\xff\xff",),
        (accept(),),
        (accept(), b"\7\0\0\0\0\4\0\0\0\0"),
    ],
    ids=str,
)
def test_garbage_is_none(answers: tuple[bytes, ...]) -> None:
    assert not asked(*answers).answered


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "cannot be reached" in echo(EchoTarget("127.0.0.1", port, "ARCHIVE", "ME")).text
