"""A directory that answers as it is told, or does not: a script for each connection in; what was asked of it out."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomgate.iam import ber
from dicomgate.iam.ber import Element, NotBerError
from dicomgate.iam.ldap.settings import LdapSettings, Server, ServiceAccount
from dicomgate.iam.secret import SecretSource

BIND, UNBIND, SEARCH, EXTENDED = 0x60, 0x42, 0x63, 0x77
BASE = "ou=people,dc=x"
ALICE = f"cn=alice,{BASE}"
GATE = "cn=gate,dc=x"


class GoneError(Exception):
    """The other side has closed."""


@dataclass(frozen=True)
class Request:
    """One request as the directory sees it."""

    number: int
    operation: Element

    @property
    def parts(self) -> list[Element]:
        return list(ber.elements(self.operation.contents))

    @property
    def dn(self) -> str:
        """Of a bind: who; of a search: below what."""
        return self.parts[1 if self.operation.tag == BIND else 0].text()

    @property
    def passcode(self) -> bytes:
        return self.parts[2].contents

    @property
    def query(self) -> bytes:
        """The filter of a search."""
        found = self.parts[6]
        return ber.encode(found.tag, found.contents)


@dataclass
class Wire:
    """One connection, from the directory's side."""

    socket: socket.socket

    def request(self) -> Request:
        data = self.socket.recv(65536)
        while True:
            if not data:
                raise GoneError
            try:
                (whole,) = ber.elements(data)
                number, operation, *_ = ber.elements(whole.contents)
                return Request(number.number(), operation)
            except NotBerError:
                more = self.socket.recv(65536)
                if not more:
                    raise GoneError from None
                data += more

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, asked: Request, tag: int, code: int = 0, text: str = "", *, number: int | None = None) -> None:
        self.send(result(asked.number if number is None else number, tag, code, text))

    def entry(self, asked: Request, dn: str, **attributes: Sequence[str]) -> None:
        self.send(entry(asked.number, dn, **attributes))


Script = Callable[[Wire], None]


@dataclass
class Directory:
    """Where it listens, and what came."""

    address: tuple[str, int]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    def server(self, *, tls_at_once: bool = False) -> Server:
        return Server(*self.address, tls_at_once=tls_at_once)

    def binds(self) -> list[str]:
        return [request.dn for request in self.requests if request.operation.tag == BIND]


@contextlib.contextmanager
def directory(script: Script, *, backlog: int = 16) -> Iterator[Directory]:
    """Run the script for each connection, in a thread of its own; all end with the block."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    made = Directory(listener.getsockname())
    opened: list[Wire] = []
    threads: list[threading.Thread] = []

    def serve(wire: Wire) -> None:
        with contextlib.suppress(GoneError, OSError):
            script(wire)
        wire.socket.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            made.connections += 1
            opened.append(Wire(connection))
            threads.append(threading.Thread(target=serve, args=(opened[-1],), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield made
    finally:
        for each in [listener, *(wire.socket for wire in opened)]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        accepting.join(5)
        for thread in threads:
            thread.join(5)


def result(number: int, tag: int, code: int = 0, text: str = "") -> bytes:
    """A response that ends an operation: 0x61 bind, 0x65 search, 0x78 extended."""
    operation = ber.encode(tag, ber.integer(code, ber.ENUMERATED), ber.octets(""), ber.octets(text))
    return ber.encode(ber.SEQUENCE, ber.integer(number), operation)


def entry(number: int, dn: str, **attributes: Sequence[str]) -> bytes:
    found = [
        ber.encode(ber.SEQUENCE, ber.octets(name), ber.encode(ber.SET, *(ber.octets(value) for value in values)))
        for name, values in attributes.items()
    ]
    operation = ber.encode(0x64, ber.octets(dn), ber.encode(ber.SEQUENCE, *found))
    return ber.encode(ber.SEQUENCE, ber.integer(number), operation)


def conversation(answer: Callable[[Wire, Request], None], log: list[Request] | None = None) -> Script:
    """A script that answers requests one after the other until the client leaves."""

    def script(wire: Wire) -> None:
        while True:
            asked = wire.request()
            if log is not None:
                log.append(asked)
            if asked.operation.tag == UNBIND:
                return
            answer(wire, asked)

    return script


def honest(wire: Wire, asked: Request) -> None:
    """Knows alice, her passcode and the service account's; alice is in two groups."""
    match asked.operation.tag:
        case tag if tag == BIND:
            right = (asked.dn, asked.passcode) in {(ALICE, b"alice secret"), (GATE, b"gate secret")}
            wire.answer(asked, 0x61, 0 if right else 49)
        case _:
            if b"alice" in asked.query:
                wire.entry(asked, ALICE, uid=["alice"], memberOf=["cn=one,dc=x", "cn=two,dc=x"])
            wire.answer(asked, 0x65)


def encrypted(wire: Wire, certificate: Path, key: Path) -> Wire:
    """The same connection under TLS, from here on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    wire.socket = context.wrap_socket(wire.socket, server_side=True)
    return wire


def settings(passcode: Path, *servers: Server, **more: object) -> LdapSettings:
    """Short waits and no TLS, unless told otherwise. `passcode` becomes the file with the service account's."""
    passcode.write_text("gate secret\n", encoding="utf-8")
    chosen: dict[str, object] = {
        "ca": None,
        "service": ServiceAccount(GATE, SecretSource(passcode)),
        "connect_timeout": 1.0,
        "operation_timeout": 0.4,
        "total_timeout": 5.0,
    } | more
    return LdapSettings("staff", servers, user_base=BASE, group_base="ou=groups,dc=x", **chosen)  # type: ignore[arg-type]
