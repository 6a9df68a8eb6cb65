"""A local mail server for alerts (RFC 5321, no TLS, no login). In: what a client sends; out: subjects and bodies."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from types import TracebackType

from lab.process import LOOPBACK

_GREETING, _GO_ON, _OK, _BYE = b"220 lab ESMTP\r\n", b"354 go on\r\n", b"250 OK\r\n", b"221 bye\r\n"


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.wfile.write(_GREETING)
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"QUIT":
                self.wfile.write(_BYE)
                return
            if verb == b"DATA":
                self.wfile.write(_GO_ON)
                self._take_message()
            self.wfile.write(_OK)

    def _take_message(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        body = message.get_body(("plain", "html"))
        self.server.messages.append((str(message["Subject"]), "" if body is None else body.get_content()))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        super().__init__((LOOPBACK, 0), _Session)


class MailReceiver:
    """`messages` holds subject and body of each mail."""

    def __init__(self) -> None:
        self._server = _Server()
        self.messages = self._server.messages
        self._thread = threading.Thread(target=self._server.serve_forever, name="mail receiver")
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, in apprise's words."""
        host, port = self._server.server_address[:2]
        return f"mailto://{host!s}:{port}?from=gate@clinic.example&to=on-call@clinic.example&mode=insecure&format=text"

    def __enter__(self) -> MailReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
