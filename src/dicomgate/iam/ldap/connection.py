"""One connection to one server: TCP, TLS, then bind and search, each before a deadline. Requests in, values out.

Whatever a server does that is not an answer is a ServerError: late, half, garbage, a closed connection, a certificate
of somebody else's. Nothing here blocks longer than its deadline, but for the name service of the machine.
"""

import math
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dicomgate.iam import ber
from dicomgate.iam.ber import NotBerError
from dicomgate.iam.ldap import filters, messages
from dicomgate.iam.ldap.filters import Filter
from dicomgate.iam.ldap.messages import (
    BindResponse,
    ExtendedResponse,
    Response,
    Result,
    ResultCode,
    Scope,
    SearchDone,
    SearchEntry,
    SearchReference,
)
from dicomgate.iam.ldap.settings import Server

LONGEST_MESSAGE = 4 * 1024**2
"""Bytes: an entry that is in ten thousand groups fits."""
LONGEST_ANSWER = 16 * 1024**2
"""Bytes of one search, all entries together."""
_CHUNK = 65536


class DirectoryError(Exception):
    """Nobody could be asked. The text is for the administrator; it holds no user's name and no secret."""


class ServerError(DirectoryError):
    """This server did not answer as it should; another one may."""


class Deadline:
    """A moment of the monotonic clock."""

    def __init__(self, seconds: float, outer: "Deadline | None" = None) -> None:
        """`seconds` from now, but not after `outer`."""
        at = time.monotonic() + seconds
        self.at: float = at if outer is None else min(at, outer.at)

    def left(self) -> float:
        """Seconds until then; TimeoutError when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def tls_context(ca: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with a certificate that these authorities vouch for and that names the host.

    OSError or ssl.SSLError when the file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    return context


class Connection:
    """Not for two threads at once."""

    def __init__(self, server: Server, context: ssl.SSLContext | None, timeout: float, deadline: Deadline) -> None:
        """Connect and begin TLS; ServerError. No `context`: no TLS. `timeout`: seconds for each bind or search."""
        self.server = server
        self.used = False
        self.idle_since = 0.0
        self._timeout = timeout
        self._number = 0
        self._buffer = bytearray()
        try:
            self._socket = socket.create_connection((server.host, server.port), timeout=deadline.left())
        except OSError as error:
            raise ServerError(f"{server}: {_words(error)}") from None
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self._secure(context, deadline)
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise ServerError(f"{server}: {_words(error)}") from None
            raise

    def _secure(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        if not self.server.tls_at_once:
            match self._ask(messages.start_tls(self._next()), deadline):
                case ExtendedResponse(Result(ResultCode.SUCCESS)):
                    pass
                case ExtendedResponse(result):
                    raise ServerError(f"{self.server}: it refuses StartTLS ({result.words})")
                case _:
                    raise ServerError(f"{self.server}: it answers StartTLS with something else")
            if self._buffer:
                # Sent in the clear by whoever is on the way, to be taken for something said under TLS.
                raise ServerError(f"{self.server}: it sends data between StartTLS and TLS")
        self._socket.settimeout(deadline.left())
        self._socket = context.wrap_socket(self._socket, server_hostname=self.server.host)

    def bind(self, dn: str, passcode: bytes, deadline: Deadline) -> Result:
        """Is this the passcode of this entry? ServerError when there is no answer to that."""
        if not passcode:
            raise ValueError("an empty passcode would be an anonymous bind, which succeeds for everybody")
        deadline = Deadline(self._timeout, deadline)
        match self._ask(messages.bind(self._next(), dn, passcode), deadline):
            case BindResponse(result):
                return result
            case _:
                raise ServerError(f"{self.server}: it answers a bind with something else")

    def search(
        self,
        base: str,
        query: Filter,
        values: dict[str, str],
        attributes: Sequence[str],
        deadline: Deadline,
        *,
        scope: Scope = Scope.SUBTREE,
        most: int,
    ) -> list[SearchEntry]:
        """At most `most` entries. DirectoryError when there are more, or when the server refuses to search."""
        deadline = Deadline(self._timeout, deadline)
        encoded, seconds = filters.encode(query, values), math.ceil(self._timeout)
        self._send(messages.search(self._next(), base, scope, encoded, attributes, most, seconds), deadline)
        entries: list[SearchEntry] = []
        for response in self._responses(deadline):
            match response:
                case SearchEntry():
                    entries.append(response)
                    if len(entries) > most:
                        raise ServerError(f"{self.server}: it sends more entries than it was asked for")
                case SearchReference():
                    pass
                case SearchDone(Result(ResultCode.SUCCESS)):
                    return entries
                case SearchDone(Result(ResultCode.NO_SUCH_OBJECT)) if scope is Scope.BASE:
                    return []  # the entry is gone
                case SearchDone(Result(ResultCode.SIZE_LIMIT_EXCEEDED)) if len(entries) == most:
                    return entries
                case SearchDone(result):
                    raise DirectoryError(f"{self.server}: the search below {base} ended with {result.words}")
                case _:
                    raise ServerError(f"{self.server}: it answers a search with something else")
        raise AssertionError("responses end with an answer or an exception")

    def close(self) -> None:
        """Say good-bye, if that needs no waiting, and close."""
        with suppress(OSError):
            self._socket.settimeout(0)
            self._socket.send(messages.unbind(self._next()))
        with suppress(OSError):
            self._socket.close()

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _ask(self, request: bytes, deadline: Deadline) -> Response:
        self._send(request, deadline)
        return next(self._responses(deadline))

    def _send(self, request: bytes, deadline: Deadline) -> None:
        try:
            self._socket.settimeout(deadline.left())
            self._socket.sendall(request)
        except OSError as error:
            raise ServerError(f"{self.server}: {_words(error)}") from None

    def _responses(self, deadline: Deadline) -> Iterator[Response]:
        """What answers the latest request, without end."""
        total = 0
        while True:
            contents = self._receive(deadline)
            total += len(contents)
            if total > LONGEST_ANSWER:
                raise ServerError(f"{self.server}: its answer is longer than {LONGEST_ANSWER} bytes")
            try:
                number, response = messages.decode(contents)
            except NotBerError as error:
                raise ServerError(f"{self.server}: it does not speak LDAP: {error}") from None
            if number == 0:
                raise ServerError(f"{self.server}: it is about to close")
            if number != self._number:
                raise ServerError(f"{self.server}: it answers what was not asked")
            yield response

    def _receive(self, deadline: Deadline) -> bytes:
        """The contents of the next LDAPMessage."""
        try:
            while True:
                header = ber.header_of(bytes(self._buffer[:6]))
                if self._buffer and self._buffer[0] != ber.SEQUENCE:
                    raise NotBerError("a message begins with another tag")
                if header is not None:
                    size, length = header
                    if length > LONGEST_MESSAGE:
                        raise NotBerError(f"a message of {length} bytes, expected at most {LONGEST_MESSAGE}")
                    if len(self._buffer) >= size + length:
                        contents = bytes(self._buffer[size : size + length])
                        del self._buffer[: size + length]
                        return contents
                self._socket.settimeout(deadline.left())
                came = self._socket.recv(_CHUNK)
                if not came:
                    raise ServerError(f"{self.server}: it closed the connection")
                self._buffer += came
        except NotBerError as error:
            raise ServerError(f"{self.server}: it does not speak LDAP: {error}") from None
        except OSError as error:
            raise ServerError(f"{self.server}: {_words(error)}") from None


def _words(error: OSError) -> str:
    """An error of a socket or of TLS for people, without what the other side may have put into it."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or 'the handshake was broken off'}"
        case socket.gaierror():
            return "its name has no address"
        case _:
            return (error.strerror or type(error).__name__).lower()
