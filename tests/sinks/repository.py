"""A small FHIR server that takes AuditEvents, validates them, and can be told to misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from audit.test_fhir import problems


class FhirServer:
    """`events` are those taken, in order. `refuses` says of an event whether it is answered with 422.

    `behaviour`: `good`, `down` (503), `slow` (no answer), `half` (half an answer), `garbage` (not FHIR), `moved` (302),
    `strict` (401 without the token `secret`).
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.behaviour = "good"
        self.events: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.refuses: Callable[[dict[str, Any]], bool] = lambda event: False
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}/fhir"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> FhirServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def instances(self) -> list[str]:
        """The SOP instances in the events taken, in order."""
        details = (each for event in self.events for entity in event["entity"] for each in entity.get("detail", ()))
        return [each["valueString"] for each in details if each["type"] == "sop_instance_uid"]

    def take(self, event: dict[str, Any]) -> int:
        if problems(event) or self.refuses(event):
            return 422
        self.events.append(event)
        return 201


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: FhirServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A gate that gave up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner.paths.append(self.path)
        match owner.behaviour:
            case "down":
                self._answer(503, b"{}")
            case "moved":
                self._answer(302, b"", Location=f"http://127.0.0.1:{owner.port}/elsewhere")
            case "garbage":
                self._answer(200, b'{"entry": "none"}')
            case "slow":
                owner.released.wait(20)
                time.sleep(0.01)
            case "half":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"resourceType": "Bun')
                self.close_connection = True
            case "strict" if self.headers.get("Authorization") != "Bearer secret":
                self._answer(401, b"")
            case _ if self.path == "/fhir/AuditEvent":
                self._answer(owner.take(body), b"")
            case _ if self.path == "/fhir" and body["type"] == "batch":
                statuses = [owner.take(entry["resource"]) for entry in body["entry"]]
                entries = [{"response": {"status": f"{status} whatever"}} for status in statuses]
                answer = {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
                self._answer(200, json.dumps(answer).encode())
            case _:
                self._answer(404, b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """The tests look at `events`."""


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
