"""Signed checkpoints to where nobody at the gate can change them: by syslog, to a webhook, or to a file elsewhere.

What arrives is what `dicomgate audit verify --checkpoints` reads: a webhook gets the note as it is, a file one note
after another, and syslog, whose messages are lines, one line with the note in base64 (audit/checkpoint.py).
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dicomgate.audit.checkpoint import in_a_line
from dicomgate.audit.sink import SignedCheckpoint
from dicomgate.policy.model import Endpoint
from dicomgate.sinks.jsonl import AppendedFile
from dicomgate.sinks.spool import DeliveryError, Sent
from dicomgate.sinks.syslog import Syslog
from dicomgate.sinks.words import spoken

CONNECT, ANSWER = 10.0, 20.0
"""Seconds: to connect, and from then until the answer has to be there, however slowly it comes."""

_MESSAGE_ID = "CHECKPOINT"
_NOTICE = 5


class SyslogWitness(Syslog[SignedCheckpoint]):
    """`addresses` and `tls` as for records."""

    def __init__(self, addresses: Sequence[Endpoint], tls: Callable[[], ssl.SSLContext] | None) -> None:
        super().__init__(addresses, tls, message_id=_MESSAGE_ID, bom=False)

    def frames(self, sequence: int, content: SignedCheckpoint) -> Iterable[bytes]:
        return [self.framed(_NOTICE, content.time, in_a_line(content.note))]


class FileWitness(AppendedFile[SignedCheckpoint]):
    """A file on another machine's disk, or on a medium that is written once. Everybody may read it."""

    mode = 0o644

    def lines(self, sequence: int, content: SignedCheckpoint) -> str:
        return f"{content.note}\n"

    def mend(self, last: bytes) -> bytes:
        """Empty lines do no harm between notes, and end half a one."""
        return b"\n\n\n"


class WebhookWitness:
    """POSTs each note to `url`; an answer of 2xx means that it is kept, and any other, or none, that it is not.

    `tls` makes a context for each connection to an https URL. `token_file` holds a bearer token, read anew each time.
    Redirects are not followed, and nothing of the answer but its status is looked at.
    """

    patience = 0.0
    overlap = 0.0

    def __init__(
        self,
        url: str,
        tls: Callable[[], ssl.SSLContext] | None,
        *,
        token_file: Path | None = None,
        answer: float = ANSWER,
    ) -> None:
        self._url = url
        self._tls = tls
        self._token_file = token_file
        self._answer = answer

    def send(self, records: Sequence[tuple[int, SignedCheckpoint]]) -> Sent:
        sent = 0
        for size, checkpoint in records:
            try:
                self._post(checkpoint.note)
            except DeliveryError:
                if not sent:
                    raise
                break  # what is done is done; the next call meets the error again
            sent = size
        return Sent(sent)

    def settle(self) -> None:
        """Each answer has settled what it answers."""

    def check(self) -> None:
        """As above."""

    def close(self) -> None:
        """Each note has a connection of its own: there is one a minute."""

    def _post(self, note: str) -> None:
        try:
            status = self._status(note.encode(), self._headers())
        except UnicodeDecodeError:
            raise DeliveryError(f"{self._token_file}: expected a token in ASCII") from None
        except http.client.HTTPException:
            raise DeliveryError(f"{self._url}: the answer is not HTTP, or was cut off") from None
        except OSError as error:
            raise DeliveryError(f"{error.filename or self._url}: {spoken(error)}") from None
        if not 200 <= status < 300:
            raise DeliveryError(f"{self._url}: expected 2xx, came {status}")

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"
        return headers

    def _status(self, body: bytes, headers: dict[str, str]) -> int:
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or (80 if self._tls is None else 443)
        raw = socket.create_connection((host, port), CONNECT)
        sock = raw
        if self._tls is not None:
            sock = self._tls().wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = sock
        with closing(sock), _cut_off(sock, self._answer):
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request("POST", target, body, headers)
            return connection.getresponse().status


@contextmanager
def _cut_off(sock: socket.socket, seconds: float) -> Iterator[None]:
    """Ends the connection when its time is over: a socket's own timeout begins anew with every byte that drips in."""
    over = threading.Event()

    def end() -> None:
        over.set()
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below TLS, which is not for two threads

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if over.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
