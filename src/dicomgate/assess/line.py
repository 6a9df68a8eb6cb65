"""Connections to a target: an endpoint in, bytes or a named ending out; every wait has a deadline.

`Line` and `Dialer` are all that checks ever see of a network, so that `--dry-run` and tests can stand in for it.
TLS runs over memory buffers, because a handshake on a socket has a timeout per read and a tarpit sends a byte a second.
"""

import errno
import socket
import ssl
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

CHUNK = 64 * 1024
"""Bytes read at once."""
VERDICT_SECONDS = 0.3
MOST_HANDSHAKE = 256 * 1024
"""Bytes a server may send before its handshake is done; a long chain has 10 KiB."""


class Ending(StrEnum):
    """How a connection ended, or why there was none."""

    REFUSED = "connection refused"
    UNREACHABLE = "no route to the address"
    TIMED_OUT = "no answer in time"
    CLOSED = "closed"
    RESET = "reset"
    TLS_REFUSED = "refused in the TLS handshake"
    NOT_TLS = "no TLS"


class LineError(Exception):
    """There is no connection, or no longer. `why` is safe to print."""

    def __init__(self, ending: Ending, why: str = "") -> None:
        super().__init__(why or ending.value)
        self.ending = ending
        self.why = why
        self.certificate: bytes | None = None
        """The server's (DER), where the handshake came far enough to show it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address, never a name: what was resolved and checked against the scope is what is called."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A client certificate with what stands above it, and its key (PEM files)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Tls:
    """How to open TLS. The server's certificate is looked at, never trusted."""

    client: KeyPair | None = None
    web: bool = False
    """Offer `http/1.1` instead of `dicom` (RFC 7301)."""


class Line(Protocol):
    """One open connection."""

    certificate: bytes | None
    """The server's certificate (DER), with TLS."""
    tls_version: str | None

    def send(self, data: bytes, deadline: float) -> None:
        """All of it, or LineError. `deadline` is a time.monotonic() value, as everywhere here."""

    def receive(self, deadline: float) -> bytes:
        """What has come, at most CHUNK; b"" when the other side has closed. LineError TIMED_OUT or RESET."""

    def close(self) -> None:
        """At once, without waiting for anything."""


class Dialer(Protocol):
    """Opens lines."""

    def open(self, endpoint: Endpoint, tls: Tls | None, deadline: float) -> Line:
        """LineError when there is no connection, or the handshake fails."""


class SocketDialer:
    """The real one."""

    def open(self, endpoint: Endpoint, tls: Tls | None, deadline: float) -> Line:
        try:
            connected = socket.create_connection((endpoint.address, endpoint.port), timeout=_left(deadline))
        except OSError as error:
            raise LineError(_ending(error)) from None
        line = SocketLine(connected)
        if tls is None:
            return line
        try:
            return TlsLine(line, client_context(tls), deadline)
        except BaseException:
            line.close()
            raise


class SocketLine:
    """TCP."""

    certificate: bytes | None = None
    tls_version: str | None = None

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        try:
            while view:
                self._socket.settimeout(_left(deadline))
                view = view[self._socket.send(view[:CHUNK]) :]
        except OSError as error:
            raise LineError(_ending(error)) from None

    def receive(self, deadline: float) -> bytes:
        try:
            self._socket.settimeout(_left(deadline))
            return self._socket.recv(CHUNK)
        except OSError as error:
            raise LineError(_ending(error)) from None

    def close(self) -> None:
        self._socket.close()


class TlsLine:
    """TLS over a line, pumped by hand so that its deadline holds."""

    def __init__(self, line: SocketLine, context: ssl.SSLContext, deadline: float) -> None:
        self._line = line
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        self._held = b""
        self._shake_hands(deadline)
        self.certificate = self._tls.getpeercert(binary_form=True)
        self.tls_version = self._tls.version()
        try:
            self._await_verdict(deadline)
        except LineError as error:
            error.certificate = self.certificate
            raise

    def _shake_hands(self, deadline: float) -> None:
        received = 0
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush(deadline)
            except ssl.SSLError as error:
                raise _refusal(error, received) from None
            else:
                self._flush(deadline)
                return
            data = self._line.receive(deadline)
            received += len(data)
            if not data:
                raise LineError(Ending.TLS_REFUSED if received else Ending.NOT_TLS, "closed during the handshake")
            if received > MOST_HANDSHAKE:
                raise LineError(Ending.NOT_TLS, f"a handshake of more than {MOST_HANDSHAKE} bytes")
            self._in.write(data)

    def _await_verdict(self, deadline: float) -> None:
        """Give a TLS 1.3 server the moment in which it refuses the client's certificate.

        To the client the handshake is done before the server has looked at the certificate. Whoever sends at once
        gets a reset that swallows the alert. A server that is content mostly sends a session ticket here.
        """
        if self._tls.version() != "TLSv1.3":
            return
        try:
            data = self._line.receive(min(deadline, time.monotonic() + VERDICT_SECONDS))
            if not data:
                raise LineError(Ending.TLS_REFUSED, "closed right after the handshake")
            self._in.write(data)
            self._held = self._tls.read(CHUNK)
        except LineError as error:
            if error.ending is Ending.RESET:
                raise LineError(Ending.TLS_REFUSED, "reset right after the handshake") from None
            if error.ending is not Ending.TIMED_OUT:
                raise
        except ssl.SSLWantReadError:
            pass  # a session ticket, and nothing behind it
        except ssl.SSLError as error:
            raise _refusal(error, 1) from None

    def send(self, data: bytes, deadline: float) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise _refusal(error, 1) from None
        self._flush(deadline)

    def receive(self, deadline: float) -> bytes:
        if self._held:
            held, self._held = self._held, b""
            return held
        while True:
            try:
                return self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                self._flush(deadline)
                data = self._line.receive(deadline)
                if not data:
                    return b""
                self._in.write(data)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                # TLS 1.3 tells of a refused client certificate only here, at the first read.
                raise _refusal(error, 1) from None

    def close(self) -> None:
        self._line.close()

    def _flush(self, deadline: float) -> None:
        if data := self._out.read():
            self._line.send(data, deadline)


def client_context(tls: Tls) -> ssl.SSLContext:
    """A client that talks to every server, however weak: it is here to look, and nothing it sends is a secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["http/1.1" if tls.web else "dicom"])  # DCMTK 3.6.8 closes on any other than its own
    if tls.client is not None:
        context.load_cert_chain(tls.client.certificate, tls.client.key)
    return context


def _refusal(error: ssl.SSLError, received: int) -> LineError:
    reason = (error.reason or "a TLS error").lower().replace("_", " ")
    if not received or error.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return LineError(Ending.NOT_TLS, reason)
    return LineError(Ending.TLS_REFUSED, reason)


def _left(deadline: float) -> float:
    """Seconds until the deadline; TimeoutError when it has passed, since 0 would mean "do not wait" to a socket."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _ending(error: OSError) -> Ending:
    if isinstance(error, TimeoutError):
        return Ending.TIMED_OUT
    if isinstance(error, ConnectionRefusedError):
        return Ending.REFUSED
    if isinstance(error, ConnectionError):
        return Ending.RESET
    return Ending.UNREACHABLE if error.errno in _NO_WAY else Ending.RESET


_NO_WAY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
