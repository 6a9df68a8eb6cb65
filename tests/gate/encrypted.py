"""A gate with a TLS listener on a loop of its own, and a throw-away authority. The test's thread plays both parties.

Nothing sleeps for a guessed time: every wait ends with what is waited for, or fails after SECONDS.
"""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from dicomgate.audit.record import Event, Record
from dicomgate.audit.sink import Recorded
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.gate.settings import ClientTls, ConnectionLimits, GateSettings, ListenerSettings, ServerTls
from dicomgate.policy.model import (
    AeTitlePattern,
    Archive,
    Assurance,
    CertificateKind,
    CertificatePattern,
    Endpoint,
    Listener,
    Networks,
    Peer,
    Rules,
    Verb,
)
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import PduType
from dicomgate.wire.command import encode_command
from dicomgate.wire.framer import p_data_pdus
from dicomgate.wire.pdu import AssociateAccept, AssociateRequest, ReleaseReply, ReleaseRequest
from lab.pki import CLIENT, SERVER, Authority, Identity
from session.cast import ON_ECHO, accept, answer, echo, request

Value = TypeVar("Value")
SECONDS = 10.0
HERE = Networks.of(["127.0.0.0/8"])


class Sink:
    """Keeps records in a list and calls each of them durable."""

    failing: str | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.records: list[Record] = []
        self._loop = loop

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        self.records.extend(records)
        if done is not None:
            self._loop.call_soon(done, True)


class Party:
    """One end of a DICOM connection, read and written by hand."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(SECONDS)

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def exactly(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size and (more := self.sock.recv(size - len(got))):
            got += more
        return bytes(got)

    def pdu(self) -> Any:
        kind, body = self.raw_pdu()
        return decode(PduType(kind), body)

    def raw_pdu(self) -> tuple[int, bytes]:
        header = self.exactly(6)
        assert len(header) == 6, f"expected a PDU, came {header!r} and the end"
        return header[0], self.exactly(int.from_bytes(header[2:], "big"))

    def echoes(self) -> None:
        """A whole association with one C-ECHO, as its requestor."""
        self.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
        accepted = self.pdu()
        assert isinstance(accepted, AssociateAccept), accepted
        self.send(p_data_pdus(ON_ECHO, encode_command(echo()), 16384))
        assert self.raw_pdu()[0] == PduType.P_DATA_TF
        self.send(encode(ReleaseRequest()))
        assert isinstance(self.pdu(), ReleaseReply)
        self.sock.close()

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()


class ArchiveThread:
    """Accepts, plays the acceptor of C-ECHOs until the socket is closed. `context` makes it speak TLS.

    With `silent` it reads and says nothing.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.context = context
        self.protocols: list[str | None] = []
        self.problems: list[str] = []
        self.bytes = 0
        self.silent = False
        threading.Thread(target=self._accept, daemon=True, name="archive").start()

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(SECONDS)
            while self.silent and sock.recv(65536):
                pass
            if self.context is not None:
                secured = self.context.wrap_socket(sock, server_side=True)
                self.protocols.append(secured.selected_alpn_protocol())
                sock = secured
            self._answer(Party(sock))
        except (OSError, AssertionError) as problem:
            self.problems.append(str(problem))
        finally:
            sock.close()

    def _answer(self, party: Party) -> None:
        while True:
            kind, body = party.raw_pdu()
            match kind:
                case PduType.ASSOCIATE_RQ:
                    asked = decode(PduType.ASSOCIATE_RQ, body)
                    assert isinstance(asked, AssociateRequest)
                    party.send(encode(accept(*(context.context_id for context in asked.presentation_contexts))))
                case PduType.P_DATA_TF if body[5] & 1 and body[4] == ON_ECHO:
                    party.send(p_data_pdus(ON_ECHO, encode_command(answer(echo())), 16384))
                case PduType.P_DATA_TF:
                    self.bytes += len(body)
                case PduType.RELEASE_RQ:
                    party.send(encode(ReleaseReply()))
                    return
                case _:
                    return

    def close(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class House:
    """The gate, its files, and an archive behind it."""

    archive: ArchiveThread

    def __init__(self, directory: Path) -> None:
        self.ca = Authority(directory / "ca")
        self.gate_identity = self.ca.issue("gate", names=["127.0.0.1", "localhost"], usage=[SERVER, CLIENT])
        self.device = self.ca.issue("ct1")
        self.tls = ServerTls(self.gate_identity.certificate, self.gate_identity.key, self.ca.certificate)
        self.log = io.StringIO()
        self.bugs: list[dict[str, Any]] = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.bugs.append(context))
        self.sink = Sink(self.loop)
        self.journal = Journal(self.log)
        self._parties: list[Party] = []

    def start(self, settings: GateSettings) -> None:
        self.settings = settings
        self.gate = Gate(settings, self.sink, self.journal, self.loop)
        opened = dict(self.gate.start())
        self.port = int(opened["outside"].rpartition(":")[2])
        self._thread = threading.Thread(target=self.loop.run_forever, name="gate")
        self._thread.start()

    def stop(self) -> None:
        for party in self._parties:
            party.close()
        self.call(lambda: self.gate.drain(self.loop.stop))
        self._thread.join(SECONDS)
        self.journal.close()
        self.loop.close()
        assert not self._thread.is_alive()
        assert self.bugs == []

    def call(self, function: Callable[[], Value]) -> Value:
        """Run on the gate's loop."""
        done: Future[Value] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(function()))
        return done.result(SECONDS)

    def plain(self) -> Party:
        return self.keep(Party(socket.create_connection(("127.0.0.1", self.port), SECONDS)))

    def keep(self, party: Party) -> Party:
        """Close it at the end, if nobody did."""
        self._parties.append(party)
        return party

    def client(self, identity: Identity | None = None, context: ssl.SSLContext | None = None) -> Party:
        """An encrypted connection, as the device unless told otherwise. ssl.SSLError or OSError when refused."""
        context = context or (identity or self.device).context(self.ca.certificate)
        party = self.plain()
        return self.keep(Party(context.wrap_socket(party.sock, server_hostname="127.0.0.1")))

    def refused(self, identity: Identity | None = None, context: ssl.SSLContext | None = None) -> Record:
        """Tries to make an association, must not get one, and returns the record of the refusal."""
        before = len(self.of(Event.CONNECTION_REFUSED))
        with suppress(OSError):  # TLS 1.3 tells a client with its first read only
            party = self.client(identity, context)
            party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
            assert party.sock.recv(1) == b""
        return self.until(lambda: self.of(Event.CONNECTION_REFUSED)[before:], "a refusal")[0]

    def of(self, event: Event) -> list[Record]:
        return [record for record in tuple(self.sink.records) if record.event is event]

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for text in self.log.getvalue().splitlines() if (line := json.loads(text))["event"] == event]

    def until(self, what: Callable[[], Value], said: str) -> Value:
        deadline = time.monotonic() + SECONDS
        while not (found := what()):
            if time.monotonic() > deadline:
                pytest.fail(f"{said} did not come about within {SECONDS:g} s; {tuple(self.sink.records)}")
            time.sleep(0.005)
        return found


def settings(
    tls: ServerTls | None,
    port: int,
    *,
    archive_tls: ClientTls | None = None,
    host: str = "127.0.0.1",
    limits: SessionLimits | None = None,
    counts: ConnectionLimits | None = None,
    proxies: Networks | None = None,
    assurance: Assurance = Assurance.DEVICE,
    certificates: tuple[CertificatePattern, ...] | None = (CertificatePattern(CertificateKind.DNS, "CT1.lab.example"),),
) -> GateSettings:
    listener = ListenerSettings("outside", Endpoint("127.0.0.1", 0), tls=tls)
    if proxies is not None:
        listener = replace(listener, proxy_protocol_from=proxies)
    return GateSettings(
        "test",
        (listener,),
        Rules(
            (Listener("outside", HERE),),
            (Archive("main", "ARCHIVE", (Endpoint(host, port),), max_associations=1000),),
            (
                Peer(
                    "ct-1",
                    (AeTitlePattern("CT1"),),
                    HERE,
                    assurance=assurance,
                    may=frozenset({Verb.ECHO, Verb.STORE}),
                    archives=("main",),
                    certificates=certificates,
                ),
            ),
        ),
        session=limits or SessionLimits(),
        connections=counts or ConnectionLimits(),
        archive_tls={} if archive_tls is None else {"main": archive_tls},
    )


@contextmanager
def house(directory: Path, **wanted: Any) -> Iterator[House]:
    """A running gate; `wanted` as for `settings`, and `tls` may be changed by a function of the usual one."""
    made = House(directory)
    context = wanted.pop("archive_context", None)
    tls = wanted.pop("tls", lambda house: house.tls)(made)
    archive = ArchiveThread(context(made) if context else None)
    archive_tls = wanted.pop("archive_tls", lambda house: None)(made)
    made.start(settings(tls, archive.port, archive_tls=archive_tls, **wanted))
    made.archive = archive
    try:
        yield made
    finally:
        made.stop()
        archive.close()
