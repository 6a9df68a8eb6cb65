"""The small HTTP server: routes, strangers who send rubbish or nothing, and an end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest

from dicomgate.policy.model import Endpoint
from dicomgate.sinks import http
from dicomgate.sinks.http import HttpServer, Page
from lab.process import wait_until
from sinks.standins import SECONDS


def broken() -> Page:
    raise KeyError("a secret")


ROUTES = {
    "/metrics": lambda: Page(b"numbers\n", "text/plain; version=0.0.4"),
    "/readyz": lambda: Page(b"not yet\n", status=HTTPStatus.SERVICE_UNAVAILABLE),
    "/broken": broken,
}
BUGS: list[str] = []


@pytest.fixture
def server() -> Iterator[HttpServer]:
    BUGS.clear()
    running = HttpServer(Endpoint("127.0.0.1", 0), ROUTES, BUGS.append)
    yield running
    running.close()


def get(server: HttpServer, path: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, f"http://{server.address}{path}", trust_env=False, timeout=10)


def test_routes(server: HttpServer) -> None:
    found = get(server, "/metrics?x=1")
    assert (found.status_code, found.text) == (200, "numbers\n")
    assert found.headers["content-type"] == "text/plain; version=0.0.4"
    assert get(server, "/readyz").status_code == 503
    assert get(server, "/").status_code == 404
    assert get(server, "/metrics/../etc").status_code == 404
    assert get(server, "/metrics", "HEAD").content == b""
    assert get(server, "/metrics", "POST").status_code == 501
    assert "Python" not in found.headers["server"]


def test_a_bug_in_a_route_ends_that_request_only(server: HttpServer, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        get(server, "/broken")
    assert BUGS == ["KeyError"]
    assert get(server, "/metrics").status_code == 200
    assert capfd.readouterr().err == "", "the log is JSON, and this is not"


def test_who_sends_nothing_or_rubbish_holds_nobody_up(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _, port = server.address.rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(http.MOST_AT_ONCE - 1)]
    for each in silent[:5]:
        each.sendall(b"\x16\x03\x01 \xff\xfe\r\n\r\n")
    assert get(server, "/metrics").status_code == 200
    for each in silent:
        each.close()


def test_silent_clients_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http._Handler, "timeout", 0.1)
    running = HttpServer(Endpoint("127.0.0.1", 0), ROUTES, BUGS.append)
    host, _, port = running.address.rpartition(":")
    with socket.create_connection((host, int(port))) as silent:
        silent.settimeout(SECONDS)
        assert silent.recv(100) == b""
    running.close()


def test_a_taken_address_is_an_error_at_once(server: HttpServer) -> None:
    host, _, port = server.address.rpartition(":")
    with pytest.raises(OSError, match="in use"):
        HttpServer(Endpoint(host, int(port)), ROUTES, BUGS.append)


def test_ipv6() -> None:
    running = HttpServer(Endpoint("::1", 0), ROUTES, BUGS.append)
    assert running.address.startswith("[::1]:")
    assert get(running, "/metrics").status_code == 200
    running.close()


def test_after_the_end_nobody_listens(server: HttpServer) -> None:
    host, _, port = server.address.rpartition(":")
    server.close()

    def gone() -> bool:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(gone, SECONDS, "the end of the server")
