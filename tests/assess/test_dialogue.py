"""Whatever comes back, a dialogue ends with a value, in time, and keeps nothing of a data set."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.strangers import accept_of
from dicomgate.assess.dialogue import (
    Aborted,
    Accepted,
    BrokenDicom,
    Dialogue,
    NoAnswer,
    NotDicom,
    Patience,
    Rejected,
    data_pdus,
)
from dicomgate.assess.line import Ending, LineError
from dicomgate.assess.proposal import STUDY_ROOT_FIND, Offer, Proposal, identifier, secondary_capture
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import CommandField, Reject
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.framer import p_data_pdus
from dicomgate.wire.pdu import Abort, AssociateReject, ReleaseReply, ReleaseRequest

REQUEST = Proposal((Offer(STUDY_ROOT_FIND),)).request("ARCHIVE")
FIND = Command(CommandField.C_FIND_RQ, True, affected_sop_class_uid=STUDY_ROOT_FIND)
SMALL = Patience(most_bytes=2000, most_messages=50)


class Script:
    """A line on which everything is known beforehand; at its end the other side closes, or stays silent."""

    certificate: bytes | None = None
    tls_version: str | None = None

    def __init__(self, pieces: list[bytes], *, silent: bool = False) -> None:
        self.pieces = pieces
        self.silent = silent
        self.sent = b""
        self.closed = False

    def send(self, data: bytes, deadline: float) -> None:
        self.sent += data

    def receive(self, deadline: float) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.silent:
            raise LineError(Ending.TIMED_OUT)
        return b""

    def close(self) -> None:
        self.closed = True


def response(status: int, *, data_set: bytes = b"", number: int = 1) -> bytes:
    command = Command(CommandField.C_FIND_RSP, bool(data_set), message_id_being_responded_to=number, status=status)
    return p_data_pdus(1, encode_command(command), 16384) + (data_pdus(1, data_set, 16384) if data_set else b"")


ACCEPT = encode(accept_of(REQUEST))
MATCH = response(0xFF00, data_set=identifier({0x00100010: "PLANTED^NAME"}))


@pytest.mark.parametrize(
    ("pieces", "silent", "expected"),
    [
        ([ACCEPT], False, Accepted),
        ([ACCEPT[:9], ACCEPT[9:]], False, Accepted),
        ([encode(AssociateReject(Reject.NO_REASON))], False, Rejected),
        ([encode(Abort())], False, Aborted),
        ([], False, NoAnswer),
        ([], True, NoAnswer),
        ([ACCEPT[:9]], False, NoAnswer),
        ([ACCEPT[:9]], True, NoAnswer),
        ([b"HTTP/1.1 400 Bad Request\r\n"], False, NotDicom),
        ([b"SSH-2.0-OpenSSH\r\n"], False, NotDicom),
        ([b"\x15\x03\x01\x00\x02\x02\x28"], False, NotDicom),
        ([bytes(100)], False, NotDicom),
        ([struct.pack(">BBI", 2, 0, 0xFFFFFFFF)], True, BrokenDicom),
        ([response(0)], False, BrokenDicom),
        ([encode(ReleaseRequest())], False, BrokenDicom),
    ],
)
def test_answers(pieces: list[bytes], silent: bool, expected: type) -> None:
    line = Script(list(pieces), silent=silent)
    dialogue = Dialogue(line, Patience())
    answer = dialogue.request(REQUEST)
    assert isinstance(answer, expected)
    dialogue.release()
    assert line.closed


def find(*pieces: bytes, patience: Patience = SMALL, silent: bool = False, **options: int) -> tuple[Dialogue, Script]:
    line = Script([ACCEPT, *pieces], silent=silent)
    dialogue = Dialogue(line, patience)
    assert isinstance(dialogue.request(REQUEST), Accepted)
    return dialogue, line


def test_responses_are_counted() -> None:
    dialogue, line = find(MATCH, MATCH, response(0), encode(ReleaseReply()))
    replies = dialogue.ask(1, FIND, identifier({0x00080052: "STUDY"}))
    assert (replies.status, replies.pending, replies.ended) == (0, 2, None)
    assert replies.data_bytes == 2 * 20
    assert "PLANTED" not in repr(replies)
    assert dialogue.release()
    assert encode(ReleaseRequest()) in line.sent


def test_cancel_is_sent_once_and_counted() -> None:
    dialogue, line = find(MATCH, MATCH, MATCH, response(0xFE00))
    replies = dialogue.ask(1, FIND, b"\0\0", cancel_after=2)
    assert (replies.status, replies.pending, replies.cancelled_after) == (0xFE00, 3, 2)
    assert line.sent.count(b"\xff\x0f") == 1


@pytest.mark.parametrize(
    ("pieces", "silent", "check"),
    [
        ([MATCH] * 60, False, lambda replies: "responses" in replies.cut_off),
        ([response(0xFF00, data_set=bytes(4000))], True, lambda replies: "bytes" in replies.cut_off),
        ([encode(Abort(0, 0))], False, lambda replies: str(replies.ended) == "aborted 0/0"),
        ([response(0, number=9)], False, lambda replies: "expected a response" in str(replies.ended)),
        ([MATCH], False, lambda replies: replies.pending == 1 and "closed" in str(replies.ended)),
        ([MATCH], True, lambda replies: replies.pending == 1 and "no answer" in str(replies.ended)),
        ([encode(ReleaseRequest())], False, lambda replies: "released" in str(replies.ended)),
        ([ACCEPT], False, lambda replies: "AssociateAccept" in str(replies.ended)),
    ],
)
def test_what_never_ends_or_ends_badly(pieces: list[bytes], silent: bool, check: Callable[..., bool]) -> None:
    patience = SMALL if silent else Patience(most_messages=50)
    dialogue, line = find(*pieces, patience=patience, silent=silent)
    replies = dialogue.ask(1, FIND, b"\0\0")
    assert replies.status is None
    assert check(replies), replies
    dialogue.release()
    assert line.closed


def test_a_marker_is_found_across_pieces_and_nothing_else_is_kept() -> None:
    image = secondary_capture("1.2", "1.3", "1.4", b"0123456789abcdef")
    whole = response(0xFF00, data_set=image) + response(0)
    for cut in range(len(whole) - 60, len(whole), 7):
        dialogue, _ = find(whole[:cut], whole[cut:], patience=Patience())
        assert dialogue.ask(1, FIND, b"\0\0", marker=b"0123456789abcdef").marker_seen
        dialogue, _ = find(whole[:cut], whole[cut:], patience=Patience())
        assert not dialogue.ask(1, FIND, b"\0\0", marker=b"fedcba9876543210").marker_seen


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.booleans())
def test_any_bytes_are_an_answer(pieces: list[bytes], silent: bool) -> None:
    dialogue = Dialogue(Script(pieces, silent=silent), SMALL)
    assert str(dialogue.request(REQUEST))
    dialogue.release()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_mutation_of_responses_is_counted_or_ended(data: st.DataObject) -> None:
    stream = bytearray(MATCH + response(0))
    for _ in range(data.draw(st.integers(0, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(stream)))
    dialogue, _ = find(bytes(stream[:cut]), *([bytes(stream[cut:])] if cut < len(stream) else []))
    replies = dialogue.ask(1, FIND, b"\0\0")
    assert (replies.status is not None) or replies.ended is not None or replies.cut_off
    dialogue.release()
