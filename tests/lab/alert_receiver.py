"""A local HTTP receiver of alerts. In: what apprise posts; out: titles and bodies. It can also hang, or refuse."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from lab.process import LOOPBACK


class AlertReceiver:
    """`hang` set: a request is taken and not answered until it is cleared. `status` is the answer to give."""

    def __init__(self, port: int = 0) -> None:
        self.messages: list[tuple[str, str]] = []
        self.attempts = 0
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.attempts += 1
                receiver.go_on.wait()
                if receiver.status == 200:
                    receiver.messages.append((body["title"], body["message"]))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="alert receiver")
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, in apprise's words."""
        return f"json://{LOOPBACK}:{self._server.server_address[1]}/alerts"

    def __enter__(self) -> AlertReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
