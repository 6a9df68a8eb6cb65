"""One association from the asking side: requests in, answers and counts out, over a line that may be hostile.

Answers are values; nothing a target sends is an exception. Time, bytes and messages are bounded by `Patience`. Data
sets stream past: their bytes are counted, and one's own marker may be looked for; nothing of them is kept.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import assert_never

from dicomgate.assess.line import Ending, Line, LineError
from dicomgate.association.messages import CommandReceived, Incomplete, MessageReader
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import AbortSource, CommandField, ContextResult, PduType, Rejection, is_pending
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.framer import Broken, CommandFragment, ControlPdu, DataRun, Framer, p_data_pdus
from dicomgate.wire.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Malformed,
    ReleaseReply,
    ReleaseRequest,
)

MAXIMUM_LENGTH = 16 * 1024
"""What is offered as the longest P-DATA-TF (PS3.8 D.1)."""
_DATA_PDU = 128 * 1024  # tolerated: old stacks count the header in
_ASSOCIATE_PDU = 256 * 1024
_COMMAND_SET = 64 * 1024
_FIRST_BYTES = {bytes([kind]) for kind in PduType}
_REFUSED_SUB_OPERATION = 0xA700  # PS3.4 B.2.3: out of resources


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how much, before an answer counts as none. Seconds, bytes and messages."""

    connect: float = 5.0
    answer: float = 10.0
    """From a request to its A-ASSOCIATE-AC or -RJ, however many pieces it comes in."""
    operation: float = 20.0
    """From a DIMSE request to its final response."""
    release: float = 3.0
    most_bytes: int = 16 * 1024 * 1024
    """Of responses to one operation."""
    most_messages: int = 5_000


@dataclass(frozen=True, slots=True)
class Accepted:
    """A-ASSOCIATE-AC."""

    accept: AssociateAccept

    @property
    def accepted_contexts(self) -> dict[int, str]:
        """Context ID → transfer syntax, of those that were accepted."""
        return {
            context.context_id: context.transfer_syntax
            for context in self.accept.presentation_contexts
            if context.result is ContextResult.ACCEPTANCE
        }

    def __str__(self) -> str:
        return "accepted"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A-ASSOCIATE-RJ."""

    rejection: Rejection

    def __str__(self) -> str:
        return f"rejected {self.rejection}"


@dataclass(frozen=True, slots=True)
class Aborted:
    """A-ABORT."""

    source: int
    reason: int

    def __str__(self) -> str:
        return f"aborted {self.source}/{self.reason}"


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The connection, if there was one, brought no whole PDU."""

    ending: Ending
    why: str = ""
    connected: bool = True
    """There was a TCP connection."""

    def __str__(self) -> str:
        return f"{self.ending.value} ({self.why})" if self.why else self.ending.value


@dataclass(frozen=True, slots=True)
class NotDicom:
    """What came does not begin like a PDU. `what` is one of `http`, `ssh`, `tls`, `other`."""

    what: str

    def __str__(self) -> str:
        return f"answered, but not in DICOM ({self.what})"


@dataclass(frozen=True, slots=True)
class BrokenDicom:
    """It began like a PDU and left the standard; `why` says where."""

    why: str

    def __str__(self) -> str:
        return f"answered with a broken PDU: {self.why}"


Answer = Accepted | Rejected | Aborted | NoAnswer | NotDicom | BrokenDicom
"""What became of a request for an association."""


def spoke_dicom(answer: Answer) -> bool:
    """Whether a PDU of PS3.8 came back."""
    return isinstance(answer, Accepted | Rejected | Aborted)


@dataclass(frozen=True, slots=True)
class Replies:
    """What became of one DIMSE request. Counts and numbers only."""

    status: int | None = None
    """Of the final response; None when none came."""
    pending: int = 0
    sub_operations: int = 0
    """C-STORE requests that came back (C-GET)."""
    completed: int | None = None
    """Number of completed sub-operations, as the last response that carried it says."""
    failed: int | None = None
    data_bytes: int = 0
    """Of all data sets that streamed past."""
    cancelled_after: int | None = None
    """How many pending responses had come when C-CANCEL was sent."""
    marker_seen: bool = False
    ended: Answer | None = None
    """Why it stopped before a final response; None when it did not."""
    cut_off: str = ""
    """Which bound of `Patience` ended it."""


@dataclass(slots=True)
class _Counts:
    replies: Replies = field(default_factory=Replies)
    tail: bytes = b""

    def note(self, **changes: object) -> None:
        self.replies = replace(self.replies, **changes)  # type: ignore[arg-type]


class Dialogue:
    """One association, from A-ASSOCIATE-RQ to release. Not to be used after `close` or `release`."""

    def __init__(self, line: Line, patience: Patience) -> None:
        self._line = line
        self._patience = patience
        self._framer = Framer(_ASSOCIATE_PDU, _DATA_PDU)
        self._reader = MessageReader(_COMMAND_SET)
        self._frames: list[ControlPdu | CommandFragment | DataRun | Broken] = []
        self._peer_maximum = MAXIMUM_LENGTH
        self._message_id = 0
        self._open = False  # an association stands, and it is for us to release it
        self.broken_off: Answer | None = None
        """How an operation ended that got no final response."""
        self.cut_off = False
        """An operation was ended from this side, since more came than anybody wanted."""

    def request(self, request: AssociateRequest) -> Answer:
        """Send an A-ASSOCIATE-RQ and wait for the answer."""
        return self.send_raw(encode(request), {context.context_id for context in request.presentation_contexts})

    def send_raw(self, data: bytes, proposed: set[int] | None = None, seconds: float | None = None) -> Answer:
        """Send bytes where an A-ASSOCIATE-RQ is due, and wait for an answer."""
        deadline = time.monotonic() + (self._patience.answer if seconds is None else seconds)
        try:
            self._line.send(data, deadline)
        except LineError as error:
            # Whoever refuses before reading has often answered already: look before giving up.
            if error.ending is Ending.TIMED_OUT:
                return NoAnswer(error.ending, error.why)
        return self.await_answer(deadline, proposed)

    def await_answer(self, deadline: float, proposed: set[int] | None = None) -> Answer:
        """The first PDU that comes, as an answer to an A-ASSOCIATE-RQ."""
        first = b""
        while True:
            try:
                data = self._line.receive(deadline)
            except LineError as error:
                if error.ending is Ending.TIMED_OUT and first:
                    return NoAnswer(Ending.TIMED_OUT, "sent a part of an answer, and not the rest in time")
                return NoAnswer(error.ending, error.why)
            if not data:
                return NoAnswer(Ending.CLOSED, "closed in the middle of an answer" if first else "")
            if not first:
                first = data[:8]
            self._frames += self._framer.feed(memoryview(data))
            for position, frame in enumerate(self._frames):
                match frame:
                    case ControlPdu(kind, body):
                        del self._frames[: position + 1]
                        return self._answer(kind, body, proposed)
                    case Broken(why):
                        return _not_dicom(first) or BrokenDicom(why)
                    case CommandFragment() | DataRun():
                        return BrokenDicom("expected an answer to A-ASSOCIATE-RQ, came P-DATA-TF")

    def _answer(self, kind: PduType, body: bytes, proposed: set[int] | None) -> Answer:
        match decode(kind, body):
            case AssociateAccept() as accept:
                self._open = True
                answered = {context.context_id for context in accept.presentation_contexts}
                if proposed is not None and not answered <= proposed:
                    return BrokenDicom("the A-ASSOCIATE-AC answers a presentation context that was not proposed")
                self._peer_maximum = min(accept.user_information.maximum_length or MAXIMUM_LENGTH, MAXIMUM_LENGTH)
                accepted = Accepted(accept)
                self._reader.contexts = frozenset(accepted.accepted_contexts)
                return accepted
            case AssociateReject(rejection):
                return Rejected(rejection)
            case Abort(source, reason):
                return Aborted(source, reason)
            case Malformed(why):
                return BrokenDicom(why)
            case other:
                return BrokenDicom(f"expected an answer to A-ASSOCIATE-RQ, came {type(other).__name__}")

    def ask(
        self,
        context_id: int,
        command: Command,
        data_set: bytes = b"",
        *,
        cancel_after: int | None = None,
        marker: bytes = b"",
    ) -> Replies:
        """Send one request; count what comes until its final response, a bound, or the end.

        The message ID is put in here. `cancel_after` pending responses a C-CANCEL-RQ follows. `marker` is looked for
        in data sets; it is at most 64 bytes that this program made.
        """
        self._message_id += 1
        command = replace(command, message_id=self._message_id)
        deadline = time.monotonic() + self._patience.operation
        counts = _Counts()
        try:
            self._send_message(context_id, command, data_set, deadline)
            while not _finished(counts.replies):
                for frame in self._next_frames(deadline):
                    self._count(frame, counts, context_id, marker, deadline)
                    if _finished(counts.replies):
                        break
                if cancel_after is not None and counts.replies.pending >= cancel_after:
                    self._send_cancel(context_id, deadline)
                    counts.note(cancelled_after=counts.replies.pending)
                    cancel_after = None
                self._bound(counts)
        except LineError as error:
            counts.note(ended=NoAnswer(error.ending, error.why))
        if counts.replies.ended is not None or counts.replies.cut_off:
            self.broken_off, self.cut_off = counts.replies.ended, bool(counts.replies.cut_off)
            self._give_up(counts.replies.ended)
        return counts.replies

    def _send_message(self, context_id: int, command: Command, data_set: bytes, deadline: float) -> None:
        self._line.send(p_data_pdus(context_id, encode_command(command), self._peer_maximum), deadline)
        if data_set:
            self._line.send(data_pdus(context_id, data_set, self._peer_maximum), deadline)

    def _send_cancel(self, context_id: int, deadline: float) -> None:
        cancel = Command(CommandField.C_CANCEL_RQ, False, message_id_being_responded_to=self._message_id)
        self._send_message(context_id, cancel, b"", deadline)

    def _next_frames(self, deadline: float) -> list[ControlPdu | CommandFragment | DataRun | Broken]:
        if self._frames:
            frames, self._frames = self._frames, []
            return frames
        data = self._line.receive(deadline)
        if not data:
            raise LineError(Ending.CLOSED)
        return self._framer.feed(memoryview(data))

    def _count(
        self,
        frame: ControlPdu | CommandFragment | DataRun | Broken,
        counts: _Counts,
        context_id: int,
        marker: bytes,
        deadline: float,
    ) -> None:
        match frame:
            case CommandFragment():
                match self._reader.fragment(frame):
                    case CommandReceived(received_on, command):
                        self._count_message(command, received_on, counts, deadline)
                    case Malformed(why):
                        counts.note(ended=BrokenDicom(why))
                    case Incomplete():
                        pass
            case DataRun(size=size, wire=wire):
                counts.note(data_bytes=counts.replies.data_bytes + size)
                if marker:
                    piece = counts.tail + bytes(wire)
                    counts.note(marker_seen=counts.replies.marker_seen or marker in piece)
                    counts.tail = piece[-len(marker) :]
                if (wrong := self._reader.run(frame)) is not None:
                    counts.note(ended=BrokenDicom(wrong.why))
            case ControlPdu(kind, body):
                counts.note(ended=self._ended(kind, body))
            case Broken(why):
                counts.note(ended=BrokenDicom(why))
            case _:
                assert_never(frame)

    def _count_message(self, command: Command, received_on: int, counts: _Counts, deadline: float) -> None:
        replies = counts.replies
        if command.command_field is CommandField.C_STORE_RQ:
            counts.note(sub_operations=replies.sub_operations + 1)
            self._refuse_sub_operation(command, received_on, deadline)
            return
        if not command.command_field.is_response or command.message_id_being_responded_to != self._message_id:
            counts.note(ended=BrokenDicom(f"expected a response to the request, came {command.command_field.name}"))
            return
        if command.completed_sub_operations is not None:
            counts.note(completed=command.completed_sub_operations)
        if command.failed_sub_operations is not None:
            counts.note(failed=command.failed_sub_operations)
        status = command.status or 0
        if is_pending(status):
            counts.note(pending=replies.pending + 1)
        else:
            counts.note(status=status)

    def _refuse_sub_operation(self, command: Command, received_on: int, deadline: float) -> None:
        """That it came is the proof; the object itself is not wanted, and is not said to be kept."""
        answer = Command(
            CommandField.C_STORE_RSP,
            False,
            affected_sop_class_uid=command.affected_sop_class_uid,
            message_id_being_responded_to=command.message_id,
            status=_REFUSED_SUB_OPERATION,
            affected_sop_instance_uid=command.affected_sop_instance_uid,
        )
        self._send_message(received_on, answer, b"", deadline)

    def _bound(self, counts: _Counts) -> None:
        replies = counts.replies
        if replies.data_bytes > self._patience.most_bytes:
            counts.note(cut_off=f"more than {self._patience.most_bytes} bytes")
        elif replies.pending + replies.sub_operations > self._patience.most_messages:
            counts.note(cut_off=f"more than {self._patience.most_messages} responses")

    def _ended(self, kind: PduType, body: bytes) -> Answer:
        match decode(kind, body):
            case Abort(source, reason):
                self._open = False
                return Aborted(source, reason)
            case ReleaseRequest():
                return NoAnswer(Ending.CLOSED, "released by the target before it answered")
            case Malformed(why):
                return BrokenDicom(why)
            case other:
                return BrokenDicom(f"expected a response, came {type(other).__name__}")

    def _give_up(self, ended: Answer | None) -> None:
        """What is under way cannot be released in order; PS3.8 has A-ABORT for that."""
        if self._open and not isinstance(ended, Aborted | NoAnswer):
            self._abort()
        self._open = False

    def _abort(self) -> None:
        with suppress(LineError):  # gone already: there is nothing left to abort
            self._line.send(encode(Abort(AbortSource.SERVICE_USER, 0)), time.monotonic() + self._patience.release)

    def release(self) -> bool:
        """A-RELEASE if an association stands, then close. True when the target took part, or nothing stood."""
        try:
            return not self._open or self._release()
        except LineError:
            return False
        finally:
            self._open = False
            self._line.close()

    def _release(self) -> bool:
        deadline = time.monotonic() + self._patience.release
        self._line.send(encode(ReleaseRequest()), deadline)
        read = 0
        while read < self._patience.most_bytes:
            data = self._line.receive(deadline)
            if not data:
                return False
            read += len(data)
            for frame in self._framer.feed(memoryview(data)):
                match frame:
                    case ControlPdu(PduType.RELEASE_RP):
                        return True
                    case ControlPdu(PduType.RELEASE_RQ):
                        # Both at once (PS3.8 9.2, Sta9): answer, and wait for the other answer.
                        self._line.send(encode(ReleaseReply()), deadline)
                    case ControlPdu() | Broken():
                        return False
                    case CommandFragment() | DataRun():
                        pass  # responses that were under way
        return False

    def close(self) -> None:
        """Without a word; for checks that look at what an unfinished request does."""
        self._open = False
        self._line.close()


def _finished(replies: Replies) -> bool:
    return replies.status is not None or replies.ended is not None or bool(replies.cut_off)


def data_pdus(context_id: int, data_set: bytes, maximum_length: int) -> bytes:
    """A data set as P-DATA-TF PDUs of one PDV each: p_data_pdus, with the message control header of a data set."""
    pdus = bytearray(p_data_pdus(context_id, data_set, maximum_length))
    position = 0
    while position < len(pdus):
        length = int.from_bytes(pdus[position + 2 : position + 6], "big")
        pdus[position + 11] &= ~0x01  # PS3.8 E.2: bit 0 says command
        position += 6 + length
    return bytes(pdus)


def _not_dicom(first: bytes) -> NotDicom | None:
    """What protocol the first bytes belong to, if not to DICOM."""
    if first.startswith((b"HTTP/", b"<html", b"<!DOC", b"<HTML")):
        return NotDicom("http")
    if first.startswith(b"SSH-"):
        return NotDicom("ssh")
    if first[:1] in (b"\x15", b"\x16") and first[1:2] == b"\x03":
        return NotDicom("tls")
    return None if first[:1] in _FIRST_BYTES else NotDicom("other")
