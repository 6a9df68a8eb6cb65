"""FHIR AuditEvent resources to a repository (IHE ITI-20, FHIR feed): one POST a batch Bundle, or one a resource."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

from dicomgate.audit.fhir import Resource, audit_event, batch
from dicomgate.audit.mapping import messages_of
from dicomgate.audit.patient import Reveal, reveal_nobody
from dicomgate.sinks.spool import DeliveryError, Numbered, Sent
from dicomgate.sinks.words import spoken

CONNECT, ANSWER = 10.0, 60.0
RENEW = 600.0
"""Seconds to connect, to wait for more of an answer, and to keep connections and the TLS context."""
LARGEST_ANSWER = 4 * 1024**2

_JSON = "application/fhir+json"
_REFUSED = frozenset({400, 409, 413, 422})
"""About this resource. Any other status is about the server, the way to it, or who asks."""


class FhirOutlet:
    """`url` is the base of the FHIR server. So many records `together` are one batch; with 1 each resource
    is created by itself.

    `tls` makes a context for each connection to an https URL. `token_file` holds a bearer token; it is read anew
    before each batch. A resource that is refused while the server takes others is passed over, or it would hold up
    all that come behind; a server that takes nothing is failing. `reveal` says which patient a record is about, in
    the clear.
    """

    patience = 0.0
    overlap = 0.0

    def __init__(
        self,
        url: str,
        tls: Callable[[], ssl.SSLContext] | None,
        gate: str,
        *,
        together: int,
        token_file: Path | None = None,
        reveal: Reveal = reveal_nobody,
    ) -> None:
        self._url = url.rstrip("/")
        self._tls = tls
        self._gate = gate
        self._reveal = reveal
        self._together = together
        self._token_file = token_file
        self._client: httpx.Client | None = None
        self._made = 0.0

    def send(self, records: Sequence[Numbered]) -> Sent:
        sent = Sent(0)
        taken = 0
        for some in _by(self._together, records):
            try:
                refused = self._deliver(some)
            except DeliveryError:
                if not taken:
                    raise
                return sent  # what is done is done; the next call meets the error again
            taken += len(some) - len(refused)
            sent = Sent(some[-1][0], (*sent.refused, *refused))
        if not taken:
            raise DeliveryError(f"{self._url}: {sent.refused[0][1]}")
        return sent

    def settle(self) -> None:
        """Each answer has settled what it answers."""

    def check(self) -> None:
        """As above."""

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _deliver(self, records: Sequence[Numbered]) -> list[tuple[int, str]]:
        """The records that the server will never take, and why."""
        owners = [
            (number, each)
            for number, record in records
            for each in messages_of(record, self._gate, self._reveal(record))
        ]
        resources = [audit_event(each) for _, each in owners]
        if not resources:
            return []
        if self._together == 1:
            statuses = [self._post("/AuditEvent", resource)[0] for resource in resources]
        else:
            statuses = self._batch(resources)
        judged = {
            number: why for (number, _), each in zip(owners, statuses, strict=True) if (why := self._judged(each))
        }
        return list(judged.items())

    def _batch(self, resources: Sequence[Resource]) -> list[int]:
        status, answer = self._post("", batch(resources))
        if why := self._judged(status):
            raise DeliveryError(f"{self._url}: {why} to a batch; batch = 1 sends each resource by itself")
        statuses = _entry_statuses(answer)
        if len(statuses) != len(resources):
            text = f"expected a batch-response with {len(resources)} entries, came {len(statuses)}"
            raise DeliveryError(f"{self._url}: {text}")
        return statuses

    def _judged(self, status: int) -> str | None:
        """None when the resource was taken, why when it never will be."""
        if 200 <= status < 300:
            return None
        if status in _REFUSED:
            return f"the server answered {status}"
        raise DeliveryError(f"{self._url}: expected 201, came {status}")

    def _post(self, path: str, body: Resource) -> tuple[int, bytes]:
        try:
            headers = {"Content-Type": _JSON, "Accept": _JSON, "Prefer": "return=minimal"}
            if self._token_file is not None:
                headers["Authorization"] = f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"
            client = self._connected()
            content = json.dumps(body).encode("ascii")
            with client.stream("POST", self._url + path, content=content, headers=headers) as answer:
                return answer.status_code, _body(answer)
        except httpx.InvalidURL:
            raise DeliveryError(f"{self._url}: not a URL") from None
        except httpx.HTTPError as error:
            raise DeliveryError(f"{self._url}: {_why(error)}") from None
        except UnicodeDecodeError:
            raise DeliveryError(f"{self._token_file}: expected a token in ASCII") from None
        except OSError as error:
            raise DeliveryError(f"{error.filename or self._url}: {spoken(error)}") from None

    def _connected(self) -> httpx.Client:
        """Made anew now and then, and with it the TLS context: certificates are renewed while a gate runs."""
        now = time.monotonic()
        if self._client is None or now - self._made >= RENEW:
            self.close()
            self._made = now
            self._client = httpx.Client(
                verify=self._tls() if self._tls is not None else True,
                timeout=httpx.Timeout(ANSWER, connect=CONNECT),
                trust_env=False,
                follow_redirects=False,
            )
        return self._client


_WORDS: dict[type[httpx.HTTPError], str] = {
    httpx.ConnectTimeout: "timed out while connecting",
    httpx.ReadTimeout: "timed out while waiting for the answer",
    httpx.WriteTimeout: "timed out while sending",
    httpx.ConnectError: "cannot connect",
    httpx.ReadError: "connection lost",
    httpx.WriteError: "connection lost",
    httpx.RemoteProtocolError: "the answer is not HTTP, or was cut off",
}


def _why(error: httpx.HTTPError) -> str:
    """The system's own words, where there are some below httpx's."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and not isinstance(below, TimeoutError):
            return spoken(below)
        below = below.__cause__ or below.__context__
    return _WORDS.get(type(error), "no usable answer")


def _body(answer: httpx.Response) -> bytes:
    found = bytearray()
    for chunk in answer.iter_bytes():
        found += chunk
        if len(found) > LARGEST_ANSWER:
            raise httpx.RemoteProtocolError("too long")
    return bytes(found)


def _entry_statuses(answer: bytes) -> list[int]:
    """The status of each entry of a batch-response; empty when it is none."""
    try:
        entries = json.loads(answer)["entry"]
        return [int(str(entry["response"]["status"])[:3]) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _by(size: int, records: Sequence[Numbered]) -> Iterator[Sequence[Numbered]]:
    for start in range(0, len(records), size):
        yield records[start : start + size]
