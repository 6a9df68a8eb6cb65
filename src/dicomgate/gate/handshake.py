"""TLS handshakes without blocking anybody: of those who came through a door, and of the gate with an archive.

In: a connected socket and a context. Out: an encrypted socket and what the other side proved, or the reason why not.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

from dicomgate.facts import Origin, TlsFacts
from dicomgate.gate.certificates import facts_of
from dicomgate.gate.host import Entrance, Host
from dicomgate.gate.peek import peek, wake_beyond
from dicomgate.gate.poller import Poller
from dicomgate.gate.tls import ALPN, reason
from dicomgate.wire.client_hello import LONGEST, ClientHello, MoreNeeded, PlaintextDicom, parse_client_hello
from dicomgate.wire.pdu import Malformed

_NO_APPLICATION_PROTOCOL = bytes([0x15, 3, 1, 0, 2, 2, 120])
"""A fatal alert (RFC 7301 3.2). Python's server would go on without a protocol instead."""
_UNREAD = 64 * 1024


class Handshake:
    """One handshake driven by readiness. `done` is told once: None, or why it failed. It does not close."""

    __slots__ = ("_done", "_poller", "_sock")

    def __init__(self, sock: ssl.SSLSocket, poller: Poller, done: Callable[[str | None], None]) -> None:
        self._sock = sock
        self._poller = poller
        self._done = done

    def step(self) -> None:
        """Go on as far as the bytes that are there allow."""
        fd = self._sock.fileno()
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._poller.watch(fd, self.step, None)
        except ssl.SSLWantWriteError:
            self._poller.watch(fd, None, self.step)
        except (OSError, ValueError) as error:  # ValueError: a name in the certificate that cannot be read
            self._poller.watch(fd, None, None)
            self._done(reason(error) if isinstance(error, OSError) else "certificate refused: malformed")
        else:
            self._poller.watch(fd, None, None)
            self._done(None)


class TlsArrival:
    """A connection to a TLS listener until it is encrypted. It counts as half-open, and gives way like any other."""

    __slots__ = ("_door", "_gate", "_gone", "_known", "_sock", "deadline", "origin")

    def __init__(self, door: Entrance, gate: Host, sock: socket.socket, origin: Origin) -> None:
        self._door = door
        self._gate = gate
        self._sock = sock
        self._known = 0
        self._gone = False
        self.origin = origin
        self.deadline = gate.now() + gate.settings.session.tls_handshake

    def read(self) -> None:
        """Look at the ClientHello; go on to the handshake when it is whole and offers what is spoken here."""
        try:
            data = peek(self._sock, LONGEST, self._known)
        except BlockingIOError:
            self._gate.poller.watch(self._sock.fileno(), self.read, None)
            return
        except OSError:
            data = b""
        if not data:
            if self._known:  # who leaves without a byte is a health check
                self._door.refuse(self.origin, self._door.tls_rule, "left amid its ClientHello")
            self.drop()
            return
        match parse_client_hello(data):
            case MoreNeeded():
                self._known = len(data)
                wake_beyond(self._sock, self._known)
                self._gate.poller.watch(self._sock.fileno(), self.read, None)
            case PlaintextDicom():
                self._refuse("plaintext DICOM on a TLS listener")
            case Malformed(why):
                self._refuse(f"not TLS: {why}")
            case ClientHello(protocols):
                if protocols is not None and ALPN.encode() not in protocols:
                    self._refuse(f"none of the application protocols offered is {ALPN}", _NO_APPLICATION_PROTOCOL)
                    return
                self._encrypt()
            case impossible:
                assert_never(impossible)

    def _encrypt(self) -> None:
        context = self._gate.credentials.of_listener(self.origin.listener)
        if context is None:
            self._refuse("the listener speaks no TLS any more")  # a reload came in between
            return
        self._gate.poller.watch(self._sock.fileno(), None, None)
        if self._known:
            wake_beyond(self._sock, 0)
        try:
            secured = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        except OSError as error:  # it was reset meanwhile
            self._refuse(reason(error))
            return
        self._sock = secured
        Handshake(secured, self._gate.poller, self._shaken).step()

    def _shaken(self, failure: str | None) -> None:
        if failure is not None or not isinstance(self._sock, ssl.SSLSocket):
            self._refuse(failure or "no handshake")
            return
        sock = self._sock
        der = sock.getpeercert(binary_form=True)
        try:
            certificate = None if der is None else facts_of(der)
        except ValueError:
            self._refuse("certificate refused: malformed")
            return
        cipher = sock.cipher()
        self.origin = replace(self.origin, tls=TlsFacts(sock.version() or "", cipher[0] if cipher else "", certificate))
        settings = self._door.settings.tls
        if der is None or settings is None or not settings.ocsp:
            self._come_in()
        elif self._gate.revocations is None:
            self._refuse("certificate refused: nobody can be asked whether it has been revoked")
        else:
            self._gate.revocations.ask(der, settings, self._asked)

    def _asked(self, revoked: str | None) -> None:
        """The authority has answered; meanwhile the client may have run out of time or given way."""
        if self._gone:
            return
        if revoked is None:
            self._come_in()
        else:
            self._refuse(f"certificate refused: {revoked}")

    def _come_in(self) -> None:
        self._leave()
        self._gate.admit(self._sock, self.origin)

    def late(self) -> None:
        """Its deadline has passed."""
        seconds = self._gate.settings.session.tls_handshake
        self._refuse(f"no TLS handshake within {seconds:g} s")

    def give_way(self) -> None:
        """Its place is needed for a newer connection."""
        self._door.refuse(self.origin, "gate", "gave way to a newer connection")
        self.drop()

    def _refuse(self, why: str, alert: bytes = b"") -> None:
        self._door.refuse(self.origin, self._door.tls_rule, why)
        if self._sock.fileno() >= 0:
            self._gate.poller.forget(self._sock.fileno())
            self._sock = socket.socket(fileno=self._sock.detach())
            # An error means that nobody is left to tell. What lies unread would turn our alert into a reset.
            with suppress(OSError):
                if alert:
                    self._sock.send(alert)
                self._sock.recv(_UNREAD)
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        if self._sock.fileno() >= 0:
            self._gate.poller.forget(self._sock.fileno())
        self._leave()
        self._sock.close()

    def _leave(self) -> None:
        self._gone = True
        self._gate.half_open.leave(self.origin.address, self)
        self._door.arrived(self)
