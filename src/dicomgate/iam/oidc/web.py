"""Requests to an identity provider over HTTPS. In: a URL and a deadline; out: a JSON object, or a WebError.

No proxy, credential or certificate of the environment is used, no redirect is followed, nothing compressed is taken,
and a request ends at its deadline even if the provider sends one byte a second.
"""

import base64
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpcore
import httpx

from dicomgate.iam.oidc.strict_json import WrongJsonError, json_object
from dicomgate.iam.oidc.urls import is_safe_url

LARGEST_ANSWER = 256 * 1024
"""Bytes of a discovery document, a key set or a token answer. Real ones take some thousand."""
CONNECTIONS = 16
"""To one provider at the same time."""


class WebError(Exception):
    """The provider could not be asked, or answered what is none. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is HTTP's; `body` is its JSON object, empty where an error came without one."""

    status: int
    body: dict[str, Any]


def trust(ca: Path | None) -> ssl.SSLContext:
    """Who vouches for the provider's server: the authorities in a file, else those of this machine."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Web:
    """One provider's connections. Threads may share it."""

    def __init__(self, ca: Path | None) -> None:
        self._ca = ca
        self._lock = threading.Lock()
        # Without httpx's client around it: that would keep cookies, of one user for the next.
        self._transport: _Transport | None = None

    def get(self, url: str, deadline: float) -> Answer:
        """`deadline` is of time.monotonic()."""
        return self._send("GET", url, None, {}, deadline)

    def post(
        self, url: str, form: Mapping[str, str], deadline: float, credentials: tuple[str, str] | None = None
    ) -> Answer:
        """A form; `credentials` are a client's ID and secret (RFC 6749 2.3.1)."""
        headers = {}
        if credentials is not None:
            pair = ":".join(quote_plus(part) for part in credentials)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return self._send("POST", url, form, headers, deadline)

    def close(self) -> None:
        with self._lock:
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def _connections(self) -> "_Transport":
        with self._lock:
            if self._transport is None:
                try:
                    self._transport = _Transport(trust(self._ca))
                except OSError as error:  # also what OpenSSL says of a file without certificates
                    reason = (error.strerror or "it holds no certificate").lower()
                    raise WebError(f"{self._ca} cannot be used: {reason}") from None
            return self._transport

    def _send(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str], deadline: float
    ) -> Answer:
        if not is_safe_url(url):
            raise WebError("expected an https URL, came another one")
        where = url.partition("?")[0][:200]
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "dicomgate", **headers}
        transport = self._connections()
        _LIMIT.deadline = deadline
        try:
            response = transport.handle_request(httpx.Request(method, url, data=form, headers=headers))
            try:
                return self._read(response, where)
            finally:
                response.close()
        except httpcore.TimeoutException:
            raise WebError(f"no answer in time from {where}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.InvalidURL, OSError, UnicodeError) as error:
            # UnicodeError: of a host name that no name server could have
            raise WebError(f"{where} cannot be reached: {_reason(error)}") from None

    def _read(self, response: httpx.Response, where: str) -> Answer:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise WebError(f"expected an answer without compression from {where}")
        body = b""
        for piece in response.iter_raw():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise WebError(f"expected at most {LARGEST_ANSWER} bytes, came more from {where}")
        if response.is_redirect:
            raise WebError(f"{where} redirects; write the address it redirects to")
        try:
            # Who has nothing to tell sends nothing (RFC 7009 2.2).
            return Answer(response.status_code, json_object(body or b"{}"))
        except WrongJsonError:
            if response.status_code == HTTPStatus.OK:
                raise WebError(f"expected a JSON object, came something else from {where}") from None
            return Answer(response.status_code, {})


def _reason(error: Exception) -> str:
    """The words of the TLS or socket error, which name no secret, on one line."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return text[:200] or type(error).__name__


class _Limit(threading.local):
    """When the request of this thread ends. The transport's own timeouts count from byte to byte."""

    deadline = 0.0

    def seconds(self) -> float:
        return max(self.deadline - time.monotonic(), 0.001)


_LIMIT = _Limit()


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _LIMIT.seconds())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _LIMIT.seconds())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _LIMIT.seconds()))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_tcp(host, port, _LIMIT.seconds(), local_address, socket_options))


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Transport(httpx.BaseTransport):
    """httpx over its own engine, httpcore; its usual transport lets no deadline of the whole request through."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS // 4,
            keepalive_expiry=30.0,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                target,
                headers=request.headers.raw,
                content=request.read(),
                extensions={"timeout": {"pool": _LIMIT.seconds()}},
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        self._pool.close()
