"""An in-process gate on a loop of its own, raw parties around it, and a sink that does as it is told.

The test's thread plays client and archive with blocking sockets, step by step; only the gate runs beside it. So the
order of events is the test's own, and nothing sleeps: every wait ends with what is waited for or with a failure.
"""

from __future__ import annotations

import asyncio
import io
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from dicomgate.audit.record import Event, Record
from dicomgate.audit.sink import Recorded
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.gate.settings import GateSettings, ListenerSettings
from dicomgate.policy.model import AeTitlePattern, Archive, Assurance, Endpoint, Listener, Networks, Peer, Rules, Verb
from dicomgate.session.events import Ordered
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import CommandField, ContextResult, PduType
from dicomgate.wire.command import Command, decode_command, encode_command
from dicomgate.wire.framer import p_data_pdus
from dicomgate.wire.pdu import AssociateAccept, AssociateReject, AssociateRequest, ContextAnswer, Pdu, UserInformation
from policy.scene import CT, VERIFICATION, request

Value = TypeVar("Value")
SECONDS = 10.0
"""Until a wait is a failure; nothing normal takes a hundredth of it."""
LOOPBACK = Networks.of(["127.0.0.0/8", "::1"])
RESET = b"\1\0\0\0\0\0\0\0"


def until(what: Callable[[], Value], said: str = "the condition") -> Value:
    """Poll until it is true; returns it."""
    deadline = time.monotonic() + SECONDS
    while not (found := what()):
        if time.monotonic() > deadline:
            pytest.fail(f"{said} did not come about within {SECONDS:g} s")
        time.sleep(0.005)
    return found


class Sink:
    """Keeps records in a list. `answer` is what a durable submission is told; None keeps it waiting."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.answer: bool | None = True
        self.waiting: list[Recorded] = []
        self.failing: str | None = None
        self.call_soon: Callable[..., object] = print

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        if done is None or self.answer is not False:
            self.records.extend(records)
        if done is not None and self.answer is None:
            self.waiting.append(done)
        elif done is not None:
            self.call_soon(done, self.answer)

    def of(self, event: Event) -> list[Record]:
        return [record for record in tuple(self.records) if record.event is event]


class Party:
    """One end of a DICOM connection, read and written by hand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(SECONDS)

    def send(self, *parts: bytes | Pdu) -> None:
        self.sock.sendall(b"".join(part if isinstance(part, bytes) else encode(part) for part in parts))

    def exactly(self, size: int) -> bytes:
        """So many bytes, or fewer at the end of the stream."""
        got = bytearray()
        while len(got) < size and (more := self.sock.recv(min(size - len(got), 1 << 20))):
            got += more
        return bytes(got)

    def raw_pdu(self) -> tuple[int, bytes]:
        header = self.exactly(6)
        assert len(header) == 6, f"expected a PDU, came {header!r} and the end"
        return header[0], self.exactly(int.from_bytes(header[2:], "big"))

    def pdu(self) -> Any:
        kind, body = self.raw_pdu()
        return decode(PduType(kind), body)

    def command(self) -> Command:
        """The next message's command set, which fits into one PDU here."""
        kind, body = self.raw_pdu()
        assert kind == PduType.P_DATA_TF, (kind, body)
        assert body[5] == 3, "expected a whole command"
        command = decode_command(body[6:])
        assert isinstance(command, Command), command
        return command

    def data(self) -> bytes:
        """The rest of a data set, up to its last fragment."""
        found = bytearray()
        while True:
            kind, body = self.raw_pdu()
            assert kind == PduType.P_DATA_TF, (kind, body)
            found += body[6:]
            if body[5] & 2:
                return bytes(found)

    def ends(self) -> bytes:
        """What still comes until the other side has closed or reset."""
        got = bytearray()
        with suppress(ConnectionResetError):
            while more := self.sock.recv(65536):
                got += more
        return bytes(got)

    def last_words(self) -> bytes:
        """What still comes until an A-ABORT, or the end if none comes."""
        got = bytearray()
        with suppress(ConnectionResetError):
            while got[-10:-4] != b"\7\0\0\0\0\4" and (more := self.sock.recv(65536)):
                got += more
        return bytes(got)

    def reset(self) -> None:
        with suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class House:
    """The gate, the archive's listening socket, and everything opened on the way."""

    def __init__(self, settings: GateSettings, archive: socket.socket) -> None:
        self.sink = Sink()
        self.log = io.StringIO()
        self.bugs: list[dict[str, Any]] = []
        self.archive = archive
        self.addresses: dict[str, tuple[str, int]] = {}
        self._parties: list[Party] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.bugs.append(context))
        self.sink.call_soon = self.loop.call_soon
        self._journal = Journal(self.log)
        self.gate = Gate(settings, self.sink, self._journal, self.loop)
        self._thread = threading.Thread(target=self.loop.run_forever, name="gate")

    def start(self) -> None:
        opened = self.gate.start()
        self._note(opened)
        self._thread.start()

    def _note(self, opened: list[tuple[str, str]]) -> None:
        for name, address in opened:
            host, _, port = address.rpartition(":")
            self.addresses[name] = (host.strip("[]"), int(port))

    def call(self, function: Callable[[], Value]) -> Value:
        """Run on the gate's loop, and wait for what it returns."""
        answer: Future[Value] = Future()

        def run() -> None:
            try:
                answer.set_result(function())
            except BaseException as error:
                answer.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return answer.result(SECONDS)

    def reload(self, settings: GateSettings) -> None:
        self._note(self.call(lambda: self.gate.reload(settings)))

    def keep(self, party: Party) -> Party:
        self._parties.append(party)
        return party

    def client(self, listener: str = "inside", source: str = "127.0.0.1") -> Party:
        """A connection to a listener."""
        return self.keep(Party(socket.create_connection(self.addresses[listener], SECONDS, (source, 0))))

    def accept(self, archive: socket.socket | None = None) -> Party:
        """The gate's connection to the archive."""
        listening = archive or self.archive
        listening.settimeout(SECONDS)
        return self.keep(Party(listening.accept()[0]))

    def nobody_called(self) -> bool:
        """True when no connection waits at the archive. Ask after the gate has answered."""
        return not select.select([self.archive], [], [], 0)[0]

    def association(
        self, rq: AssociateRequest | None = None, *, listener: str = "inside", source: str = "127.0.0.1"
    ) -> tuple[Party, Party]:
        """An established association: the client's end and the archive's end."""
        client = self.client(listener, source)
        client.send(rq or asking())
        archive = self.accept()
        archive.send(accepting(archive.pdu()))
        answer = client.pdu()
        assert isinstance(answer, AssociateAccept), answer
        return client, archive

    def open_connections(self) -> int:
        return self.call(lambda: len(self.gate._connections))

    def settle(self) -> None:
        """Every connection has ended."""
        until(lambda: self.open_connections() == 0, "the end of every connection")

    def await_record(self, event: Event, number: int = 1) -> Record:
        """The last of so many records of this kind, once they are there."""
        return until(lambda: len(found := self.sink.of(event)) >= number and found[-1], f"{number} {event}")

    def journal(self) -> list[dict[str, Any]]:
        """The complete lines of the log so far."""
        text = self.log.getvalue()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def close(self) -> None:
        for party in self._parties:
            party.close()

        def end() -> None:
            for door in self.gate._doors.values():
                door.close()
            for connection in tuple(self.gate._connections):
                connection.handle(Ordered("the test has ended"))
                connection._finish()
            self.gate.poller.close()

        try:
            self.call(end)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(SECONDS)
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self._journal.close()
        assert not self.bugs, self.bugs


@contextmanager
def house(change: Callable[[GateSettings], GateSettings] = lambda settings: settings) -> Iterator[House]:
    """A running gate in front of a listening archive. `change` edits its settings before it starts."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as archive:
        # What the archive's kernel takes for it is kept small, or megabytes would pass for having been read.
        archive.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        running = House(change(settings_for(archive.getsockname()[1])), archive)
        running.start()
        try:
            yield running
        finally:
            running.close()


def settings_for(archive_port: int) -> GateSettings:
    """CT1 and CT2 may do everything on ARCHIVE, through the listener `inside`."""
    peer = Peer(
        name="ct-1",
        ae_titles=(AeTitlePattern("CT1"),),
        networks=LOOPBACK,
        assurance=Assurance.ADDRESS,
        may=frozenset(Verb),
        move_to=("self",),
        archives=("main",),
    )
    rules = Rules(
        listeners=(Listener("inside", LOOPBACK),),
        archives=(Archive("main", "ARCHIVE", (Endpoint("127.0.0.1", archive_port),), LOOPBACK, ("ARCHIVE",)),),
        peers=(peer, replace(peer, name="ct-2", ae_titles=(AeTitlePattern("CT2"),))),
    )
    listeners = (ListenerSettings("inside", Endpoint("127.0.0.1", 0)),)
    return GateSettings("test", listeners, rules, session=SessionLimits(close=0.5))


def asking(
    *proposed: tuple[str, ...], calling: str = "CT1", called: str = "ARCHIVE", maximum_length: int = 65536
) -> AssociateRequest:
    """An A-ASSOCIATE-RQ; Verification and CT Image Storage unless other contexts are given."""
    rq = request(*(proposed or ((VERIFICATION,), (CT,))))
    return replace(
        rq,
        calling_ae_title=calling.encode().ljust(16),
        called_ae_title=called.encode().ljust(16),
        user_information=replace(rq.user_information, maximum_length=maximum_length),
    )


def accepting(rq: AssociateRequest, maximum_length: int = 65536) -> AssociateAccept:
    """The answer that accepts every context with its first transfer syntax."""
    return AssociateAccept(
        rq.called_ae_title,
        rq.calling_ae_title,
        tuple(
            ContextAnswer(context.context_id, ContextResult.ACCEPTANCE, context.transfer_syntaxes[0])
            for context in rq.presentation_contexts
        ),
        UserInformation(maximum_length, "1.2.3.4", role_selections=rq.user_information.role_selections),
    )


def message(context_id: int, command: Command, data: bytes = b"", room: int = 16384) -> bytes:
    """A whole DIMSE message as P-DATA-TF PDUs."""
    parts = [p_data_pdus(context_id, encode_command(command), room)]
    for start in range(0, len(data), room):
        piece = data[start : start + room]
        last = 2 if start + room >= len(data) else 0
        header = (len(piece) + 6).to_bytes(4, "big") + (len(piece) + 2).to_bytes(4, "big")
        parts.append(b"\4\0" + header + bytes((context_id, last)) + piece)
    return b"".join(parts)


def echo(message_id: int = 1) -> Command:
    return Command(CommandField.C_ECHO_RQ, False, affected_sop_class_uid=VERIFICATION, message_id=message_id)


def storing(message_id: int = 1, instance: str = "1.2.3.4") -> Command:
    return Command(
        CommandField.C_STORE_RQ,
        True,
        affected_sop_class_uid=CT,
        message_id=message_id,
        priority=0,
        affected_sop_instance_uid=instance,
    )


def answering(asked: Command, status: int = 0, has_data_set: bool = False) -> Command:
    return Command(
        asked.command_field.response,
        has_data_set,
        affected_sop_class_uid=asked.affected_sop_class_uid,
        message_id_being_responded_to=asked.message_id,
        status=status,
    )


def echo_works(client: Party, archive: Party, message_id: int = 1) -> None:
    """A C-ECHO goes all the way and back."""
    client.send(message(1, echo(message_id)))
    asked = archive.command()
    archive.send(message(1, answering(asked)))
    assert client.command().status == 0


def rejected(answer: object) -> str:
    """An A-ASSOCIATE-RJ as 1/1/3."""
    assert isinstance(answer, AssociateReject), answer
    return str(answer.rejection)
