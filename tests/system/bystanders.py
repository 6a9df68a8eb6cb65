"""Those who do nothing wrong: an archive that answers, and a client whose association must never be disturbed."""

from __future__ import annotations

import selectors
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType

from dicomgate.association.messages import CommandReceived, MessageReader
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import CommandField, ContextResult, PduType
from dicomgate.wire.command import Command
from dicomgate.wire.framer import CommandFragment, ControlPdu, DataRun, Framer
from dicomgate.wire.pdu import AssociateAccept, AssociateRequest, ContextAnswer, UserInformation
from lab.process import LOOPBACK, Address, wait_until
from system.raw_archive import RELEASE_RP, RELEASE_RQ, SECONDS, Wire, associate_rq, dial, echo_rq, echo_rsp, response

ANSWERS = {
    CommandField.C_STORE_RQ: CommandField.C_STORE_RSP,
    CommandField.C_FIND_RQ: CommandField.C_FIND_RSP,
}
INNOCENT_PAUSE = 0.005


@dataclass(slots=True)
class _Guest:
    """One connection to the honest archive."""

    sock: socket.socket
    framer: Framer = field(default_factory=lambda: Framer(1 << 20, 1 << 20))
    reader: MessageReader = field(default_factory=lambda: MessageReader(1 << 16))
    owed: bytes = b""
    """The response that is due when the data set has come."""
    aborted: bool = False


class HonestArchive:
    """Accepts every association and answers C-ECHO, C-STORE and C-FIND with success, all in one thread.

    `seen` holds the calling AE title of every A-ASSOCIATE-RQ, in order.
    """

    def __init__(self, host: str = LOOPBACK) -> None:
        self._server = socket.create_server((host, 0), backlog=1024)
        self.address = Address(*self._server.getsockname()[:2])
        self.seen: list[str] = []
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="honest archive")
        self._thread.start()

    def __enter__(self) -> HonestArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._wake.close()
        self._thread.join()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector, self._server, self._woken:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            guests: dict[int, _Guest] = {}
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        for guest in guests.values():
                            guest.sock.close()
                        return
                    if key.fileobj is self._server:
                        sock, _ = self._server.accept()
                        guests[sock.fileno()] = _Guest(sock)
                        selector.register(sock, selectors.EVENT_READ)
                    elif not self._heard(guests[key.fd]):
                        selector.unregister(key.fd)
                        guests.pop(key.fd).sock.close()

    def _heard(self, guest: _Guest) -> bool:
        try:
            came = guest.sock.recv(65536)
            answer = b"".join(self._answer(guest, frame) for frame in guest.framer.feed(memoryview(came)))
            guest.sock.sendall(answer)
        except ConnectionError:
            return False
        return came != b"" and not guest.aborted

    def _answer(self, guest: _Guest, frame: object) -> bytes:
        match frame:
            case ControlPdu(PduType.ASSOCIATE_RQ, body):
                request = decode(PduType.ASSOCIATE_RQ, body)
                assert isinstance(request, AssociateRequest)
                self.seen.append(request.calling_ae_title.decode().strip())
                guest.reader.contexts = frozenset(c.context_id for c in request.presentation_contexts)
                return encode(_acceptance(request))
            case ControlPdu(PduType.RELEASE_RQ, _):
                return RELEASE_RP
            case ControlPdu(PduType.ABORT, _):
                guest.aborted = True
                return b""
            case CommandFragment():
                message = guest.reader.fragment(frame)
                return self._response(guest, message.context_id, message.command) if _whole(message) else b""
            case DataRun() if guest.reader.run(frame) is None and frame.last:
                return guest.owed
            case _:
                return b""

    @staticmethod
    def _response(guest: _Guest, context_id: int, request: Command) -> bytes:
        if request.command_field is CommandField.C_ECHO_RQ:
            return echo_rsp(request.message_id or 0, context_id)
        field = ANSWERS[request.command_field]
        guest.owed = response(context_id, field, request.message_id or 0, 0, sop_class=request.sop_class_uid)
        return b""


def _whole(message: object) -> bool:
    return isinstance(message, CommandReceived)


def _acceptance(request: AssociateRequest) -> AssociateAccept:
    return AssociateAccept(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        presentation_contexts=tuple(
            ContextAnswer(context.context_id, ContextResult.ACCEPTANCE, context.transfer_syntaxes[0])
            for context in request.presentation_contexts
        ),
        user_information=UserInformation(16384, "2.25.2", role_selections=request.user_information.role_selections),
    )


def call(to: Address, calling: str = "CT1", called: str = "HONEST", source: str | None = None) -> Wire:
    """An association with an archive that answers by itself."""
    wire = dial(to, source)
    wire.say(associate_rq(calling=calling, called=called))
    wire.expect(PduType.ASSOCIATE_AC)
    return wire


def echoes(wire: Wire, message_id: int = 1) -> bool:
    """Is a C-ECHO on this association answered with success?"""
    wire.say(echo_rq(message_id))
    return wire.pdu() == echo_rsp(message_id)


def release(wire: Wire) -> None:
    """A-RELEASE, and what belongs to it."""
    wire.say(RELEASE_RQ)
    wire.expect(PduType.RELEASE_RP)
    wire.close()


class Innocent:
    """A client that sends one C-ECHO after another on one association, and notes the first thing that goes wrong."""

    def __init__(self, to: Address) -> None:
        self.answered = 0
        self.trouble: str | None = None
        self._wire = call(to, "INNOCENT", "HONEST")
        self._leave = threading.Event()
        self._left = False
        self._thread = threading.Thread(target=self._ask, name="innocent")
        self._thread.start()

    def __enter__(self) -> Innocent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave.set()
        self._thread.join()
        self._wire.close()

    def leave(self) -> None:
        """Release the association; there was no trouble up to now."""
        self.is_undisturbed()
        self._leave.set()
        self._thread.join()
        release(self._wire)
        self._left = True

    def is_undisturbed(self) -> None:
        """Fails unless a C-ECHO that is sent from now on is answered as all before; nothing once it has left."""
        if self._left:
            return
        enough = self.answered + 2  # the first may have been on its way already
        wait_until(lambda: self.trouble is not None or self.answered >= enough, SECONDS, "the innocent's C-ECHO")
        assert self.trouble is None

    def _ask(self) -> None:
        while not self._leave.wait(INNOCENT_PAUSE):
            number = self.answered % 65535 + 1
            try:
                self._wire.say(echo_rq(number))
                came = self._wire.pdu()
            except OSError as error:
                self.trouble = f"after {self.answered} answers: {error!r}"
                return
            if came != echo_rsp(number):
                self.trouble = f"after {self.answered} answers came {came.hex(' ') or 'the end'}"
                return
            self.answered += 1
