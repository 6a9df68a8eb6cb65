"""The FHIR feed to a server that validates, refuses, stalls, lies or is gone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.samples import ONE_OF_EACH, spoiled
from dicomgate.audit.mapping import messages_of
from dicomgate.gate.settings import ClientTls
from dicomgate.gate.tls import client_context
from dicomgate.sinks import fhir_feed
from dicomgate.sinks.fhir_feed import FhirOutlet
from dicomgate.sinks.spool import DeliveryError
from lab.pki import CLIENT, SERVER, Authority
from sinks.conftest import MakeSpool
from sinks.repository import FhirServer, closed_port
from sinks.standins import Source, Told, record, until


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as running:
        yield running


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Outlets are closed at the end."""
    outlets: list[FhirOutlet] = []
    build = FhirOutlet.__init__

    def note(self: FhirOutlet, *args: object, **kwargs: object) -> None:
        build(self, *args, **kwargs)  # type: ignore[arg-type]
        outlets.append(self)

    monkeypatch.setattr(FhirOutlet, "__init__", note)
    yield
    for each in outlets:
        each.close()


def outlet(server: FhirServer, together: int = 50, token_file: Path | None = None) -> FhirOutlet:
    return FhirOutlet(server.url, None, "north", together=together, token_file=token_file)


def uids(count: int, start: int = 0) -> list[str]:
    return [f"1.2.{number}" for number in range(start, start + count)]


@pytest.mark.parametrize("together", [1, 7, 50])
def test_every_resource_is_taken(server: FhirServer, together: int) -> None:
    records = list(enumerate([*ONE_OF_EACH, *map(spoiled, ONE_OF_EACH)], start=1))
    sent = outlet(server, together).send(records)
    assert (sent.upto, list(sent.refused)) == (len(records), [])
    assert len(server.events) == sum(len(messages_of(each, "north")) for _, each in records)
    assert set(server.paths) == {"/fhir/AuditEvent" if together == 1 else "/fhir"}


def test_through_an_outage(server: FhirServer, source: Source, told: Told, spool: MakeSpool) -> None:
    server.behaviour = "down"
    running = spool(outlet(server), replay=True)
    source.add(*uids(300))
    running.wake()
    until(lambda: running.failures >= 3)
    assert told.reports == [("repository", f"{server.url}: expected 201, came 503")]
    server.behaviour = "good"
    until(lambda: source.cursors["repository"] == 300)
    assert server.instances() == uids(300)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("half", "the answer is not HTTP, or was cut off"),
        ("garbage", "expected a batch-response with 1 entries, came 0"),
        ("moved", "expected 201, came 302"),
        ("slow", "timed out"),
        ("strict", "expected 201, came 401"),
    ],
)
def test_what_is_no_receipt_is_none(
    server: FhirServer, monkeypatch: pytest.MonkeyPatch, behaviour: str, why: str
) -> None:
    monkeypatch.setattr(fhir_feed, "ANSWER", 0.3)
    server.behaviour = behaviour
    with pytest.raises(DeliveryError, match=why):
        outlet(server).send([(1, record("1.2.3"))])
    assert server.events == []


def test_a_server_that_is_not_there() -> None:
    gone = FhirOutlet(f"http://127.0.0.1:{closed_port()}/fhir", None, "north", together=1)
    with pytest.raises(DeliveryError, match=r"http://127\.0\.0\.1:\d+/fhir: connection refused"):
        gone.send([(1, record("1.2.3"))])


@pytest.mark.parametrize("together", [1, 50])
def test_one_that_is_refused_is_passed_over_when_others_are_taken(
    server: FhirServer, source: Source, told: Told, spool: MakeSpool, together: int
) -> None:
    server.refuses = lambda event: "1.2.1" in str(event)
    source.add(*uids(3))
    spool(outlet(server, together), replay=True)
    until(lambda: source.cursors.get("repository") == 3)
    assert server.instances() == ["1.2.0", "1.2.2"]
    assert told.passed_over == [(2, "the server answered 422")]


def test_a_server_that_refuses_everything_is_failing(
    server: FhirServer, source: Source, told: Told, spool: MakeSpool
) -> None:
    server.refuses = lambda event: True
    source.add(*uids(100))
    running = spool(outlet(server), replay=True)
    until(lambda: running.failures >= 2)
    assert (running.cursor, running.passed_over) == (0, 0)
    assert told.reports == [("repository", f"{server.url}: the server answered 422")]


def test_what_was_taken_before_the_server_broke_is_not_sent_again(
    server: FhirServer, source: Source, spool: MakeSpool
) -> None:
    source.add(*uids(200))

    def break_down(event: dict[str, object]) -> bool:
        if len(server.events) == 100:
            server.behaviour = "down"
        return False

    server.refuses = break_down
    running = spool(outlet(server), replay=True)
    until(lambda: running.failures >= 2)
    server.refuses = lambda event: False
    server.behaviour = "good"
    until(lambda: source.cursors["repository"] == 200)
    received = server.instances()
    assert list(dict.fromkeys(received)) == uids(200)
    assert len(received) <= 200 + 50


def test_the_token_is_read_anew_and_never_told(server: FhirServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    feed = outlet(server, token_file=token)
    server.behaviour = "strict"
    with pytest.raises(DeliveryError, match="token: no such file or directory"):
        feed.send([(1, record("1.2.3"))])
    token.write_text("old-secret\n")
    with pytest.raises(DeliveryError) as caught:
        feed.send([(1, record("1.2.3"))])
    assert "old-secret" not in str(caught.value)
    token.write_text("secret\n")
    feed.send([(1, record("1.2.3"))])
    assert server.instances() == ["1.2.3"]


def test_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    here = ca.issue("repository", names=["127.0.0.1"], usage=[SERVER])
    gate = ca.issue("gate", usage=[CLIENT])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(here.certificate, here.key)
    context.load_verify_locations(ca.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with FhirServer(context) as server:
        for tls, taken in (
            (ClientTls(ca.certificate), False),
            (ClientTls(Authority(tmp_path / "b").certificate, gate.certificate, gate.key), False),
            (ClientTls(ca.certificate, gate.certificate, gate.key), True),
        ):
            feed = FhirOutlet(server.url, lambda tls=tls: client_context(tls, protocols=()), "north", together=50)
            if taken:
                feed.send([(1, record("1.2.3"))])
            else:
                with pytest.raises(DeliveryError):
                    feed.send([(1, record("1.2.2"))])
            feed.close()
        assert server.instances() == ["1.2.3"]
