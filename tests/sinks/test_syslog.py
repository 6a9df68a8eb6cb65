"""Syslog to a repository that behaves, hangs, resets, refuses or goes away: nothing lost, nothing out of order."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from audit.samples import ONE_OF_EACH, spoiled
from audit.test_dicom_message import PARSER, SCHEMA
from dicomgate.audit.mapping import messages_of
from dicomgate.gate.settings import ClientTls
from dicomgate.gate.tls import client_context
from dicomgate.policy.model import Endpoint
from dicomgate.sinks import syslog
from dicomgate.sinks.spool import DeliveryError
from dicomgate.sinks.syslog import SyslogOutlet
from lab.pki import CLIENT, SERVER, Authority, Identity
from sinks.conftest import MakeSpool
from sinks.standins import Receiver, Source, Told, record, until

HEADER = re.compile(
    rb"<(8[2-5])>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [!-~]{1,255} dicomgate \d+ DICOM\+RFC3881 - (\xef\xbb\xbf)?"
)


class Pki:
    def __init__(self, folder: Path) -> None:
        self.ca = Authority(folder / "ca")
        self.server = self.ca.issue("repository", names=["127.0.0.1", "localhost"], usage=[SERVER])
        self.gate = self.ca.issue("gate", usage=[CLIENT])
        self.stranger = Authority(folder / "other", "other").issue("stranger", usage=[CLIENT])

    def accepting(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.certificate, self.server.key)
        context.load_verify_locations(self.ca.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = context.maximum_version = version
        return context

    def outlet(self, *ports: int, identity: Identity | None = None) -> SyslogOutlet:
        who = identity or self.gate
        tls = ClientTls(self.ca.certificate, who.certificate, who.key)
        places = [Endpoint("127.0.0.1", port) for port in ports]
        return SyslogOutlet(
            places, lambda: client_context(tls, protocols=()), "north", message_id="DICOM+RFC3881", bom=True
        )


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def receiver(pki: Pki) -> Iterator[Receiver]:
    with Receiver(pki.accepting()) as running:
        yield running


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog, "END", 0.3)
    monkeypatch.setattr(syslog, "WRITE", 0.5)
    monkeypatch.setattr(SyslogOutlet, "overlap", 0.0)
    monkeypatch.setattr(SyslogOutlet, "patience", 0.05)


def plaintext(*ports: int) -> SyslogOutlet:
    places = [Endpoint("127.0.0.1", port) for port in ports]
    return SyslogOutlet(places, None, "north", message_id="DICOM+RFC3881", bom=False)


def instances(receiver: Receiver) -> list[str]:
    """The SOP instances in the messages received, in order, repeated ones too."""
    return [uid for message in receiver.messages for uid in re.findall(r'Instance UID="([0-9.]+)"', message.decode())]


def firsts(receiver: Receiver) -> list[str]:
    return list(dict.fromkeys(instances(receiver)))


def uids(count: int, start: int = 0) -> list[str]:
    return [f"1.2.{number}" for number in range(start, start + count)]


def test_every_message_is_whole_valid_and_one_line(pki: Pki, receiver: Receiver) -> None:
    outlet = pki.outlet(receiver.port)
    records = list(enumerate([*ONE_OF_EACH, *map(spoiled, ONE_OF_EACH)], start=1))
    outlet.send(records)
    outlet.settle()
    assert len(receiver.messages) == sum(len(messages_of(each, "north")) for _, each in records)
    for message in receiver.messages:
        header = HEADER.match(message)
        assert header is not None, message[:200]
        assert header[2], "the mark of UTF-8"
        assert b"\n" not in message
        SCHEMA.assertValid(etree.fromstring(message[header.end() :], PARSER))


def test_severities_follow_the_outcome(pki: Pki, receiver: Receiver) -> None:
    outlet = pki.outlet(receiver.port)
    outlet.send(list(enumerate(ONE_OF_EACH, start=1)))
    outlet.settle()
    for message in receiver.messages:
        severity, outcome = message[1:3], re.search(rb'OutcomeIndicator="(\d+)"', message)
        assert outcome is not None
        assert severity == {b"0": b"85", b"4": b"84", b"8": b"83", b"12": b"82"}[outcome[1]]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_orderly_end_makes_sure(
    pki: Pki, source: Source, told: Told, spool: MakeSpool, version: ssl.TLSVersion
) -> None:
    with Receiver(pki.accepting(version)) as receiver:
        running = spool(pki.outlet(receiver.port), replay=True)
        source.add(*uids(700))
        running.wake()
        until(lambda: source.cursors.get("repository") == 700)
        assert instances(receiver) == uids(700), "once each: nothing went wrong"
        source.add(*uids(3, 700))
        running.wake()
        until(lambda: source.cursors["repository"] == 703)
        assert receiver.connections >= 2
        assert told.reports == []


def test_plaintext_works_the_same_way(source: Source, spool: MakeSpool) -> None:
    with Receiver() as receiver:
        running = spool(plaintext(receiver.port), replay=True)
        source.add(*uids(300))
        running.wake()
        until(lambda: source.cursors.get("repository") == 300)
        assert instances(receiver) == uids(300)
        assert not receiver.messages[0].count(b"\xef\xbb\xbf")


@pytest.mark.parametrize("behaviour", ["hang", "deaf", "cut", "drop"])
def test_a_repository_that_goes_wrong_gets_everything_when_it_is_sound_again(
    pki: Pki, receiver: Receiver, source: Source, told: Told, spool: MakeSpool, behaviour: str
) -> None:
    receiver.behaviour = behaviour
    running = spool(pki.outlet(receiver.port), replay=True)
    source.add(*uids(400))
    running.wake()
    until(lambda: running.failures >= 2)
    assert source.cursors["repository"] == 0, "what is not sure does not count"
    source.add(*uids(100, 400))
    receiver.behaviour = "good"
    until(lambda: source.cursors["repository"] == 500)
    assert firsts(receiver) == uids(500)
    assert [reason is None for _, reason in told.reports] == [False, True]


def test_a_repository_that_is_killed_and_comes_back(pki: Pki, source: Source, told: Told, spool: MakeSpool) -> None:
    first = Receiver(pki.accepting())
    running = spool(pki.outlet(first.port), replay=True)
    source.add(*uids(50))
    running.wake()
    until(lambda: source.cursors.get("repository") == 50)
    first.behaviour = "deaf"
    source.add(*uids(50, 50))
    running.wake()
    until(lambda: len(instances(first)) >= 60)
    first.close()
    until(lambda: running.failures >= 2)
    source.add(*uids(50, 100))
    with Receiver(pki.accepting(), first.port) as second:
        until(lambda: source.cursors["repository"] == 150)
        received = list(dict.fromkeys(instances(first) + instances(second)))
        assert received == uids(150)
        assert firsts(second) == uids(100, 50), "all that was not sure, again"


def test_a_refused_certificate_is_noticed_though_every_write_succeeds(
    pki: Pki, receiver: Receiver, source: Source, told: Told, spool: MakeSpool
) -> None:
    """TLS 1.3: the client's handshake is over before the server has looked at its certificate."""
    running = spool(pki.outlet(receiver.port, identity=pki.stranger), replay=True)
    source.add(*uids(1))
    running.wake()
    until(lambda: running.failing is not None)
    assert source.cursors["repository"] == 0
    assert receiver.messages == []
    assert len(told.reports) == 1
    assert told.reports[0][1] is not None
    assert re.search("unknown ca|connection (closed|reset)|broken pipe", told.reports[0][1])


def test_a_repository_that_nobody_vouches_for_gets_nothing(pki: Pki, tmp_path: Path) -> None:
    other = Authority(tmp_path / "forged", "forged")
    fake = other.issue("repository", names=["127.0.0.1"], usage=[SERVER])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(fake.certificate, fake.key)
    with Receiver(context) as receiver:
        with pytest.raises(DeliveryError, match="certificate refused: "):
            pki.outlet(receiver.port).send([(1, record("1.2.3"))])
        assert receiver.messages == []


def test_a_repository_without_tls_gets_nothing(pki: Pki) -> None:
    with Receiver() as receiver:
        receiver.behaviour = "cut"
        with pytest.raises(DeliveryError, match=r"127\.0\.0\.1:\d+: "):
            pki.outlet(receiver.port).send([(1, record("1.2.3"))])


def test_addresses_are_tried_in_order(pki: Pki, receiver: Receiver) -> None:
    with Receiver(pki.accepting()) as other:
        closed = Receiver(pki.accepting())
        closed.close()
        outlet = pki.outlet(closed.port, receiver.port, other.port)
        outlet.send([(1, record("1.2.3"))])
        outlet.settle()
        assert (instances(receiver), instances(other)) == (["1.2.3"], [])
        outlet = pki.outlet(closed.port, closed.port)
        with pytest.raises(DeliveryError, match=rf"127\.0\.0\.1:{closed.port}: connection refused; 127"):
            outlet.send([(2, record("1.2.4"))])


def test_nothing_worth_a_message_opens_no_connection(pki: Pki, receiver: Receiver) -> None:
    outlet = pki.outlet(receiver.port)
    assert outlet.send([(1, record("1.2.3", command="C_ECHO_RQ"))]).upto == 1
    outlet.settle()
    assert receiver.connections == 0
