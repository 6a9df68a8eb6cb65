"""`--dry-run`: a dialer that opens nothing. In: what checks send; out: every PDU in words and hexadecimal.

An imagined target answers, so that the run goes as far as a real one could: it accepts everything but called AE titles
that are not the target's, finds what it is asked for, and takes what it is sent.
"""

from collections.abc import Callable

from dicomgate.assess.line import Ending, Endpoint, Line, LineError, Tls
from dicomgate.association.messages import CommandReceived, MessageReader
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import CommandField, ContextResult, PduType, Reject
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.framer import Broken, CommandFragment, ControlPdu, DataRun, Framer, p_data_pdus
from dicomgate.wire.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextAnswer,
    ReleaseReply,
    ReleaseRequest,
    RoleSelection,
    UserInformation,
)
from dicomgate.wire.text import trim_ae_title

_LIMIT = 16 * 1024 * 1024
_MATCHES = 501
"""One more than any check waits for (AZ-04)."""
_ROW = 32


class RehearsalClock:
    """Time that only passes while somebody waits."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


class RehearsalDialer:
    """Opens imagined lines to a target that is called `called_ae_title`; `over_tls`: it speaks DICOM over TLS only."""

    def __init__(self, called_ae_title: str, say: Callable[[str], None], *, over_tls: bool = False) -> None:
        self._called = called_ae_title
        self._say = say
        self._over_tls = over_tls

    def open(self, endpoint: Endpoint, tls: Tls | None, deadline: float) -> Line:
        self._say(f"connect to {endpoint}")
        if tls is not None:
            shown = "without a client certificate" if tls.client is None else "with a client certificate"
            self._say(f"  TLS handshake {shown}")
        return RehearsalLine(self._called, self._say, silent=self._over_tls and tls is None)


class RehearsalLine:
    """Prints what is sent, and answers."""

    certificate: bytes | None = None
    tls_version: str | None = None

    def __init__(self, called_ae_title: str, say: Callable[[str], None], *, silent: bool) -> None:
        self._called = called_ae_title
        self._say = say
        self._silent = silent
        self._framer = Framer(_LIMIT, _LIMIT)
        self._reader = MessageReader(_LIMIT)
        self._pending: Command | None = None
        self._context = 0
        self._answers = bytearray()

    def send(self, data: bytes, deadline: float) -> None:
        if not data:
            return
        words = [self._take(frame) for frame in self._framer.feed(memoryview(data))]
        rows = [data[start : start + _ROW].hex(" ") for start in range(0, len(data), _ROW)]
        self._say(f"  send {len(data)} bytes: {'; '.join(word for word in words if word) or 'no whole PDU'}")
        for row in rows:
            self._say(f"    {row}")

    def receive(self, deadline: float) -> bytes:
        if not self._answers:
            raise LineError(Ending.CLOSED)
        answers, self._answers = bytes(self._answers), bytearray()
        return answers

    def close(self) -> None:
        self._say("  close")

    def _take(self, frame: ControlPdu | CommandFragment | DataRun | Broken) -> str:
        match frame:
            case ControlPdu(kind, body):
                return self._take_control(kind, body)
            case CommandFragment():
                received = self._reader.fragment(frame)
                if not isinstance(received, CommandReceived):
                    return ""
                self._context, self._pending = received.context_id, received.command
                if not received.command.has_data_set:
                    self._respond()
                return received.command.command_field.name.replace("_", "-")
            case DataRun(size=size, last=last):
                self._reader.run(frame)
                if last:
                    self._respond()
                return f"data set, {size} bytes"
            case Broken(why):
                return f"malformed on purpose: {why}"

    def _take_control(self, kind: PduType, body: bytes) -> str:
        match decode(kind, body):
            case AssociateRequest() as request:
                return self._take_request(request)
            case ReleaseRequest():
                self._answer(encode(ReleaseReply()))
                return "A-RELEASE-RQ"
            case Abort():
                return "A-ABORT"
            case _:
                return f"malformed {kind.name}, on purpose"

    def _take_request(self, request: AssociateRequest) -> str:
        called, calling = trim_ae_title(request.called_ae_title), trim_ae_title(request.calling_ae_title)
        identity = request.user_information.user_identity
        words = f'A-ASSOCIATE-RQ from "{calling}" to "{called}", {len(request.presentation_contexts)} contexts'
        if identity is not None:
            words += f", made-up user identity of type {identity.identity_type:d}"
        if called != self._called:
            self._answer(encode(AssociateReject(Reject.CALLED_AE_TITLE_NOT_RECOGNIZED)))
            return words
        accepted = tuple(
            ContextAnswer(context.context_id, ContextResult.ACCEPTANCE, context.transfer_syntaxes[0])
            for context in request.presentation_contexts
        )
        if request.application_context_name == "2.25.1":  # or everything would be taken for a decoy
            accepted = accepted[:1]
        self._reader.contexts = frozenset(context.context_id for context in accepted)
        roles = tuple(
            RoleSelection(role.sop_class_uid, True, True) for role in request.user_information.role_selections
        )
        information = UserInformation(16384, "2.25.2", role_selections=roles)
        self._answer(encode(AssociateAccept(request.called_ae_title, request.calling_ae_title, accepted, information)))
        return words

    def _respond(self) -> None:
        """Success, after as many matches as anybody could wait for."""
        command, self._pending = self._pending, None
        if command is None or command.command_field is CommandField.C_CANCEL_RQ:
            return
        response = Command(
            command.command_field.response,
            False,
            affected_sop_class_uid=command.sop_class_uid,
            message_id_being_responded_to=command.message_id,
            status=0,
        )
        if command.command_field is CommandField.C_FIND_RQ:
            match = Command(
                CommandField.C_FIND_RSP, True, message_id_being_responded_to=command.message_id, status=0xFF00
            )
            one = p_data_pdus(self._context, encode_command(match), 16384)
            self._answer((one + _empty_data_set(self._context)) * _MATCHES)
        self._answer(p_data_pdus(self._context, encode_command(response), 16384))

    def _answer(self, data: bytes) -> None:
        if not self._silent:
            self._answers += data


def _empty_data_set(context_id: int) -> bytes:
    """A P-DATA-TF whose one PDV ends a data set of no bytes (PS3.8 9.3.5)."""
    return bytes([PduType.P_DATA_TF, 0, 0, 0, 0, 6, 0, 0, 0, 2, context_id, 2])
