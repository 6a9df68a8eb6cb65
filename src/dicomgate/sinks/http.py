"""A small HTTP server in threads of its own, for what a gate says of itself. Routes in; GET and HEAD out.

It has no authentication: it belongs on the loopback or a management network, and serves nothing secret.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from dicomgate.policy.model import Endpoint

MOST_AT_ONCE = 16
"""Requests served at the same time; further connections wait in the kernel."""
PATIENCE = 5.0
"""Seconds for a client to send its request, and to take more of the answer."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Request = socket.socket | tuple[bytes, socket.socket]
"""As the base class types it."""

_BREATH = 0.5

Routes = Mapping[str, Callable[[], Page]]
"""By path. Called on a thread of the server, for each request."""


class HttpServer:
    """Listens from the start. OSError when the address cannot be had."""

    def __init__(self, bind: Endpoint, routes: Routes, report: Callable[[str], None]) -> None:
        self.bind = bind
        self._server = _Server(bind, routes, report)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, name="http", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, with the port it got."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def close(self) -> None:
        """Stop listening, within a second; does not wait for it."""
        threading.Thread(target=self._end, name="http-end", daemon=True).start()

    def _end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, bind: Endpoint, routes: Routes, report: Callable[[str], None]) -> None:
        self.routes = routes
        self.report = report
        self.places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self.address_family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
        super().__init__((bind.host, bind.port), _Handler)

    def server_bind(self) -> None:
        """Without the base class's question to a name server about our own name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "dicomgate", self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(_BREATH)  # no descriptor left: the connection stays ready to be accepted, again and again
            raise

    def process_request(self, request: Request, client_address: Any) -> None:
        if self.places.acquire(timeout=PATIENCE):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Request, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Request, client_address: Any) -> None:
        """A client that went away, or a bug; neither is worth a traceback on stderr, which is a log of JSON lines."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.report(type(error).__name__)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version = "dicomgate"
    sys_version = ""
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        route = self.server.routes.get(urlsplit(self.path).path)
        page = Page(b"not found\n", status=HTTPStatus.NOT_FOUND) if route is None else route()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(page.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""
