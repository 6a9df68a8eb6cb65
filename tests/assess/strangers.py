"""Things that listen where an archive was expected. In: how to answer; out: an endpoint, and how much was sent.

Each runs on threads of the test's own process, on loopback, and ends with its block.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dicomgate.assess.line import Endpoint
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import CommandField, ContextResult, PduType, Reject
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.framer import ControlPdu, Framer, p_data_pdus
from dicomgate.wire.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextAnswer,
    ReleaseReply,
    UserInformation,
)

NAME = b"PLANTED^SECRET^NAME"
"""A patient's name that must appear nowhere."""


@dataclass(slots=True)
class Stranger:
    """A listener and what it has noticed."""

    endpoint: Endpoint
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        with self.lock:
            self.sent += len(data)


Behaviour = Callable[[Stranger, socket.socket], None]


@contextmanager
def listening(behave: Behaviour, address: str = "127.0.0.1", host: str = "127.0.0.1") -> Iterator[Stranger]:
    """Accept until the block ends; `behave` gets each connection on a thread of its own."""
    with socket.create_server((address, 0), backlog=512) as server:
        stranger = Stranger(Endpoint(host, server.getsockname()[1]))
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with stranger.lock:
                stranger.connections += 1
                stranger.at_once += 1
                stranger.most_at_once = max(stranger.most_at_once, stranger.at_once)
            try:
                with connection, suppress(OSError):
                    connection.settimeout(20)
                    behave(stranger, connection)
            finally:
                with stranger.lock:
                    stranger.at_once -= 1

        def accept() -> None:
            with suppress(OSError):
                while not stranger.ended.is_set():
                    connection, _ = server.accept()
                    thread = threading.Thread(target=serve, args=(connection,))
                    thread.start()
                    threads.append(thread)

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield stranger
        finally:
            stranger.ended.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def request_of(connection: socket.socket) -> AssociateRequest:
    """The A-ASSOCIATE-RQ that comes; OSError when none comes."""
    framer = Framer(1 << 20, 1 << 20)
    while data := connection.recv(65536):
        for frame in framer.feed(memoryview(data)):
            if isinstance(frame, ControlPdu) and frame.kind is PduType.ASSOCIATE_RQ:
                request = decode(frame.kind, frame.body)
                if isinstance(request, AssociateRequest):
                    return request
    raise OSError("closed before a request came")


def accept_of(request: AssociateRequest) -> AssociateAccept:
    """An answer that accepts everything."""
    contexts = tuple(
        ContextAnswer(context.context_id, ContextResult.ACCEPTANCE, context.transfer_syntaxes[0])
        for context in request.presentation_contexts
    )
    return AssociateAccept(
        request.called_ae_title,
        request.calling_ae_title,
        contexts,
        UserInformation(16384, "2.25.3"),
        request.application_context_name,
    )


def web(stranger: Stranger, connection: socket.socket) -> None:
    connection.recv(65536)
    stranger.send(connection, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def shell(stranger: Stranger, connection: socket.socket) -> None:
    stranger.send(connection, b"SSH-2.0-OpenSSH_9.2p1\r\n")
    connection.recv(65536)


def silent(stranger: Stranger, connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def tarpit(stranger: Stranger, connection: socket.socket) -> None:
    """A byte of an A-ASSOCIATE-AC every 50 ms."""
    for byte in struct.pack(">BBI", PduType.ASSOCIATE_AC, 0, 200) + bytes(194):
        if stranger.ended.wait(0.05):
            return
        stranger.send(connection, bytes([byte]))


def resetting(stranger: Stranger, connection: socket.socket) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closing(stranger: Stranger, connection: socket.socket) -> None:
    """Ends every connection without a word."""


def liar(stranger: Stranger, connection: socket.socket) -> None:
    """An A-ASSOCIATE-AC of 4 GiB, as fast as it goes."""
    connection.recv(65536)
    stranger.send(connection, struct.pack(">BBI", PduType.ASSOCIATE_AC, 0, 0xFFFFFFFF))
    while not stranger.ended.is_set():
        stranger.send(connection, bytes(65536))


def garbage(stranger: Stranger, connection: socket.socket) -> None:
    request = request_of(connection)
    answer = bytearray(encode(accept_of(request)))
    answer[80:90] = b"\xff" * 10
    stranger.send(connection, bytes(answer))
    connection.recv(65536)


def unasked(stranger: Stranger, connection: socket.socket) -> None:
    """Answers a presentation context that nobody proposed."""
    request = request_of(connection)
    accept = accept_of(request)
    extra = ContextAnswer(255, ContextResult.ACCEPTANCE, "1.2.840.10008.1.2")
    stranger.send(
        connection,
        encode(
            AssociateAccept(
                accept.called_ae_title,
                accept.calling_ae_title,
                (*accept.presentation_contexts, extra),
                accept.user_information,
            )
        ),
    )
    connection.recv(65536)


def rejecting(stranger: Stranger, connection: socket.socket) -> None:
    """Knows nobody."""
    request_of(connection)
    stranger.send(connection, encode(AssociateReject(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)))
    connection.recv(65536)


def decoy(stranger: Stranger, connection: socket.socket) -> None:
    """Accepts whatever comes, also what does not exist, and finds a patient for every query."""
    _serve(stranger, connection, lambda request: True, endless=False)


def endless(stranger: Stranger, connection: socket.socket) -> None:
    """An archive but for its C-FIND, which never ends."""
    _serve(
        stranger, connection, lambda request: request.application_context_name == "1.2.840.10008.3.1.1.1", endless=True
    )


def forgetful(stranger: Stranger, connection: socket.socket) -> None:
    """Accepts the first request of its life, and never answers again."""
    if stranger.connections == 1:
        decoy(stranger, connection)
    else:
        silent(stranger, connection)


def _serve(
    stranger: Stranger,
    connection: socket.socket,
    accepts: Callable[[AssociateRequest], bool],
    *,
    endless: bool,
) -> None:
    request = request_of(connection)
    if not accepts(request):
        stranger.send(connection, encode(AssociateReject(Reject.APPLICATION_CONTEXT_NOT_SUPPORTED)))
        connection.recv(65536)
        return
    accept = accept_of(request)
    if endless:  # a context that nobody has defined is refused
        known = [
            answer
            if proposed.abstract_syntax.startswith("1.2.840.10008.")
            else ContextAnswer(answer.context_id, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED)
            for proposed, answer in zip(request.presentation_contexts, accept.presentation_contexts, strict=True)
        ]
        accept = AssociateAccept(accept.called_ae_title, accept.calling_ae_title, tuple(known), accept.user_information)
    stranger.send(connection, encode(accept))
    data = connection.recv(65536)
    while data:
        if data[0] == PduType.RELEASE_RQ:
            stranger.send(connection, encode(ReleaseReply()))
        elif data[0] == PduType.P_DATA_TF and b"\x00\x00\x00\x01\x02\x00\x00\x00\x20\x00" in data:
            _find(stranger, connection, data[10], endless)
        elif data[0] == PduType.P_DATA_TF and b"\x00\x00\x00\x01\x02\x00\x00\x00\x30\x00" in data:
            _respond(stranger, connection, data[10], CommandField.C_ECHO_RSP)
        data = connection.recv(65536)


def _respond(stranger: Stranger, connection: socket.socket, context_id: int, field: CommandField) -> None:
    done = Command(field, False, message_id_being_responded_to=1, status=0)
    stranger.send(connection, p_data_pdus(context_id, encode_command(done), 16384))


def _find(stranger: Stranger, connection: socket.socket, context_id: int, endless: bool) -> None:
    pending = Command(CommandField.C_FIND_RSP, True, message_id_being_responded_to=1, status=0xFF00)
    value = NAME + b" " * (len(NAME) % 2)
    data_set = struct.pack("<HHI", 0x0010, 0x0010, len(value)) + value
    body = struct.pack(">IBB", len(data_set) + 2, context_id, 2) + data_set
    match = p_data_pdus(context_id, encode_command(pending), 16384) + struct.pack(">BBI", 4, 0, len(body)) + body
    stranger.send(connection, match)
    while endless and not stranger.ended.is_set():
        stranger.send(connection, match * 50)
    _respond(stranger, connection, context_id, CommandField.C_FIND_RSP)
