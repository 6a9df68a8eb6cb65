"""DICOM audit messages, or checkpoints, to a repository: syslog (RFC 5424) over TLS (RFC 5425) or, unsafely, TCP.

Syslog knows no acknowledgement, and a write that succeeded proves nothing: TCP has taken the bytes, a receiver that
hangs or has refused the certificate (TLS 1.3 says so only to one who reads) may never. What does prove it is the end
of the connection: the sender says that nothing more will come, and a receiver that ends its side in answer, without
a reset, has read everything before. So a connection is ended in this way now and then; until then its messages count
as unsure, and after any other end they are sent again.
"""

import os
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from dicomgate.audit.dicom_message import AuditMessage, Indicator, xml
from dicomgate.audit.mapping import messages_of
from dicomgate.audit.patient import Reveal, reveal_nobody
from dicomgate.audit.record import Record, iso_time
from dicomgate.policy.model import Endpoint
from dicomgate.sinks.spool import DeliveryError, Sent
from dicomgate.sinks.words import spoken

CONNECT, WRITE, END = 10.0, 30.0, 30.0
"""Seconds: to connect and shake hands, for the receiver to take 64 KiB, and for it to end its side."""

_TOGETHER = 65536
_FACILITY = 10 << 3  # security/authorization messages
_SEVERITIES = {
    Indicator.SUCCESS: 5,
    Indicator.MINOR_FAILURE: 4,
    Indicator.SERIOUS_FAILURE: 3,
    Indicator.MAJOR_FAILURE: 2,
}
_BOM = b"\xef\xbb\xbf"


T = TypeVar("T")


class Syslog(ABC, Generic[T]):
    """`addresses` are tried in this order. `tls` makes a context for each connection; None sends plaintext."""

    patience = 5.0
    overlap = 5.0

    def __init__(
        self,
        addresses: Sequence[Endpoint],
        tls: Callable[[], ssl.SSLContext] | None,
        *,
        message_id: str,
        bom: bool,
    ) -> None:
        self._addresses = tuple(addresses)
        self._tls = tls
        self._bom = _BOM if bom else b""
        host = "".join(letter for letter in socket.gethostname() if "!" <= letter <= "~")[:255]
        self._header = f"{host or '-'} dicomgate {os.getpid()} {message_id} -"
        self._socket: socket.socket | None = None
        self._at = ""

    @abstractmethod
    def frames(self, sequence: int, content: T) -> Iterable[bytes]:
        """What becomes of one record or checkpoint: made by `framed`."""

    def send(self, records: Sequence[tuple[int, T]]) -> Sent:
        frames = [frame for number, each in records for frame in self.frames(number, each)]
        for piece in _pieces(frames):
            # Looked at before each write: a receiver that is gone says so while there is still a way to hear it.
            self.check()
            connection = self._socket or self._connect()
            try:
                connection.settimeout(WRITE)
                connection.sendall(piece)
            except OSError as error:
                raise self._lost(error) from None
        return Sent(records[-1][0])

    def framed(self, severity: int, seconds: float, text: str) -> bytes:
        """One SYSLOG-MSG behind its length in octets (RFC 5425 4.3)."""
        header = f"<{_FACILITY + severity}>1 {iso_time(seconds)} {self._header} "
        line = header.encode("ascii") + self._bom + text.encode()
        return b"%d %s" % (len(line), line)

    def settle(self) -> None:
        connection = self._socket
        if connection is None:
            return  # nothing was worth a message
        self.check()
        deadline = time.monotonic() + END
        try:
            connection.settimeout(END)
            if isinstance(connection, ssl.SSLSocket):
                with suppress(ssl.SSLEOFError):  # it ended TCP and left TLS out: impolite, and yet an end
                    connection.unwrap()
                # The end of TLS is not enough: who closes without having read everything resets TCP behind it.
                connection = self._socket = socket.socket(fileno=connection.detach())
            connection.shutdown(socket.SHUT_WR)
            _read_to_the_end(connection, deadline)
        except TimeoutError:
            text = f"{self._at}: it did not end the connection within {END:g} s, so what was sent is not sure"
            raise DeliveryError(text) from None
        except OSError as error:
            raise self._lost(error) from None
        self.close()

    def check(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            connection.settimeout(0.0)
            while connection.recv(4096):
                pass  # a syslog receiver has nothing to say
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise self._lost(error) from None
        raise DeliveryError(f"{self._at}: it has closed the connection")

    def close(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _connect(self) -> socket.socket:
        failures = []
        for address in self._addresses:
            try:
                self._socket = self._connected(address)
            except OSError as error:
                failures.append(f"{address}: {spoken(error)}")
            else:
                self._at = str(address)
                return self._socket
        raise DeliveryError("; ".join(failures))

    def _connected(self, address: Endpoint) -> socket.socket:
        connection = socket.create_connection((address.host, address.port), CONNECT)
        try:
            # A receiver that vanished without a word is noticed while nothing is sent, too.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._tls is None:
                return connection
            return self._tls().wrap_socket(connection, server_hostname=address.host, suppress_ragged_eofs=False)
        except BaseException:
            connection.close()
            raise

    def _lost(self, error: OSError) -> DeliveryError:
        return DeliveryError(f"{self._at}: {spoken(error)}")


class SyslogOutlet(Syslog[Record]):
    """Each record as the DICOM audit messages that it becomes. `reveal` says whom one is about, in the clear."""

    def __init__(
        self,
        addresses: Sequence[Endpoint],
        tls: Callable[[], ssl.SSLContext] | None,
        gate: str,
        *,
        message_id: str,
        bom: bool,
        reveal: Reveal = reveal_nobody,
    ) -> None:
        super().__init__(addresses, tls, message_id=message_id, bom=bom)
        self._gate = gate
        self._reveal = reveal

    def frames(self, sequence: int, content: Record) -> Iterable[bytes]:
        return [self.frame(message) for message in messages_of(content, self._gate, self._reveal(content))]

    def frame(self, message: AuditMessage) -> bytes:
        return self.framed(_SEVERITIES[message.outcome], message.time, xml(message))


def _read_to_the_end(connection: socket.socket, deadline: float) -> None:
    """TimeoutError when the other side does not end, OSError when it resets."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        if not connection.recv(4096):
            return


def _pieces(frames: Sequence[bytes]) -> Iterator[bytes]:
    """Some frames at a time: a write each would cost a system call and a TLS record each."""
    gathered, size = [], 0
    for frame in frames:
        gathered.append(frame)
        size += len(frame)
        if size >= _TOGETHER:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
