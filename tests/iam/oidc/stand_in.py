"""A provider that does what a test wants: answers as written, late, by halves, or with anything at all, over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

WELL_KNOWN = "/.well-known/openid-configuration"


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """`pause` seconds before each piece of the body; `length` is what is said of it, None for the truth."""

    body: bytes | Mapping[str, Any] = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    pieces: int = 1
    length: int | None = None
    raw: bytes | None = None
    """All that is sent, in place of an HTTP answer."""


Route = Reply | Callable[[Request], Reply]


@dataclass
class StandIn:
    """`routes` may be changed while it runs; `requests` holds all that came."""

    port: int
    routes: dict[str, Route] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    def publish(self, keys: Mapping[str, Any], **more: Any) -> None:
        """Discovery, and keys."""
        names = ("token", "introspection", "device_authorization", "revocation")
        document = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"}
        document |= {f"{name}_endpoint": f"{self.issuer}/{name}" for name in names}
        self.routes[WELL_KNOWN] = Reply(document | more)
        self.routes["/jwks"] = Reply(keys)


@contextmanager
def standing_in() -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits for an acknowledgement that is delayed

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            form = dict(parse_qsl(self.rfile.read(length).decode()))
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, form)
            found.requests.append(request)
            route = found.routes.get(self.path, Reply(b"no such page", 404))
            reply = route if isinstance(route, Reply) else route(request)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            if reply.raw is None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body) if reply.length is None else reply.length))
                self.end_headers()
            else:
                body = reply.raw
            step = max(1, -(-len(body) // reply.pieces))
            try:
                for start in range(0, len(body), step):
                    time.sleep(reply.pause)
                    self.wfile.write(body[start : start + step])
            except OSError:
                self.close_connection = True  # the client has had enough
            if reply.raw is not None or reply.length is not None:
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the name that the library looks for

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = StandIn(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
