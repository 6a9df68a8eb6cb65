"""Listeners: who may connect, and the PROXY header: required from listed senders, never looked for in others."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from struct import pack

import pytest

from dicomgate.audit.record import Event
from dicomgate.facts import Origin
from dicomgate.gate.door import Door
from dicomgate.gate.settings import GateSettings, ListenerSettings
from dicomgate.policy.model import Endpoint, Listener, Networks
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import AssociateAccept
from gate.standins import House, Party, accepting, asking, echo_works, house, rejected, until

BALANCER, OTHER = "127.0.0.9", "127.0.0.1"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source: str = "127.0.0.77", command: int = 0x21, tlvs: bytes = b"") -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton("10.0.0.1") + pack(">HH", 40000, 104) + tlvs
    return SIGNATURE + bytes((command, 0x11)) + pack(">H", len(addresses)) + addresses


def v1(source: str = "127.0.0.77") -> bytes:
    return f"PROXY TCP4 {source} 10.0.0.1 40000 104\r\n".encode()


def behind(
    *senders: str, networks: tuple[str, ...] = ("127.0.0.0/8",), **session: object
) -> Callable[[GateSettings], GateSettings]:
    """The listener expects headers from these senders; these networks may connect."""

    def change(settings: GateSettings) -> GateSettings:
        (listener,) = settings.listeners
        rules = replace(settings.rules, listeners=(Listener("inside", Networks.of(networks)),))
        return replace(
            settings,
            rules=rules,
            listeners=(replace(listener, proxy_protocol_from=Networks.of(senders)),),
            session=replace(settings.session, **session),  # type: ignore[arg-type]
        )

    return change


@pytest.fixture
def balanced() -> Iterator[House]:
    with house(behind(BALANCER)) as running:
        yield running


def greeted(hospital: House, *parts: bytes, source: str = BALANCER) -> Party:
    """A client of a load balancer sends these, each in a segment of its own."""
    client = hospital.client(source=source)
    for part in parts:
        client.send(part)
    return client


def gets_in(hospital: House, client: Party) -> None:
    archive = hospital.accept()
    archive.send(accepting(archive.pdu()))
    assert isinstance(client.pdu(), AssociateAccept)
    echo_works(client, archive)


@pytest.mark.parametrize("header", [v1(), v2(), v2(tlvs=b"\4\0\3abc")], ids=["v1", "v2", "v2 with a TLV"])
def test_the_address_in_the_header_is_the_one_that_counts(balanced: House, header: bytes) -> None:
    gets_in(balanced, greeted(balanced, header + encode(asking())))
    assert balanced.await_record(Event.ASSOCIATION_REQUESTED).address == "127.0.0.77"
    assert balanced.sink.of(Event.ASSOCIATION_REQUESTED)[0].port == 40000


@pytest.mark.parametrize("header", [v1(), v2()], ids=["v1", "v2"])
def test_the_header_and_the_request_may_be_cut_anywhere(balanced: House, header: bytes) -> None:
    whole = header + encode(asking())
    for cut in range(1, len(header) + 2):
        client = greeted(balanced, whole[:cut], whole[cut:])
        gets_in(balanced, client)
        client.close()
    assert {record.address for record in balanced.sink.of(Event.ASSOCIATION_REQUESTED)} == {"127.0.0.77"}


def test_the_header_may_come_byte_by_byte(balanced: House) -> None:
    gets_in(balanced, greeted(balanced, *(bytes([byte]) for byte in v2()), encode(asking())))


@pytest.mark.parametrize(
    "header",
    [v2(command=0x20), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN whatever it says\r\n"],
    ids=["LOCAL", "v1", "v1 with more"],
)
def test_a_balancer_that_speaks_for_itself_is_judged_by_its_own_address(balanced: House, header: bytes) -> None:
    gets_in(balanced, greeted(balanced, header, encode(asking())))
    assert balanced.await_record(Event.ASSOCIATION_REQUESTED).address == BALANCER


@pytest.mark.parametrize(
    "sent",
    [
        encode(asking()),
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY TCP4 10.0.0.1\r\n",
        b"PROXY TCP4 1.2.3.400 10.0.0.1 1 2\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(100),
        SIGNATURE + b"\x21\x31\0\x0c" + bytes(12),
    ],
    ids=["no header", "HTTP", "v1 short", "v1 address", "v1 endless", "v2 version", "v2 length", "v2 family"],
)
def test_a_listed_sender_without_a_sound_header_is_closed(balanced: House, sent: bytes) -> None:
    client = greeted(balanced, sent)
    assert client.ends() == b""
    refused = balanced.await_record(Event.CONNECTION_REFUSED)
    assert refused.rule == "listener[inside].proxy_protocol_from"
    assert refused.address == BALANCER
    assert balanced.nobody_called()
    assert balanced.open_connections() == 0


@pytest.mark.parametrize("header", [v1("127.0.0.66"), v2("127.0.0.66")], ids=["v1", "v2"])
def test_nobody_else_is_believed(balanced: House, header: bytes) -> None:
    """From an address that is not listed a header is no header: it is bytes that are not DICOM."""
    client = greeted(balanced, header + encode(asking()), source=OTHER)
    assert client.ends() == b""
    refused = balanced.await_record(Event.CONNECTION_REFUSED)
    assert refused.address == OTHER
    assert refused.rule == "malformed"
    assert balanced.nobody_called()


def test_others_need_no_header(balanced: House) -> None:
    client = balanced.client(source=OTHER)
    client.send(asking())
    gets_in(balanced, client)
    assert balanced.await_record(Event.ASSOCIATION_REQUESTED).address == OTHER


def test_a_second_header_is_not_read(balanced: House) -> None:
    client = greeted(balanced, v1("127.0.0.66") + v1("127.0.0.77") + encode(asking()))
    assert client.ends() == b""
    assert balanced.await_record(Event.CONNECTION_REFUSED).address == "127.0.0.66"


def test_the_networks_of_the_listener_judge_the_true_address() -> None:
    with house(behind(BALANCER, networks=("127.0.0.64/26",))) as hospital:
        gets_in(hospital, greeted(hospital, v1("127.0.0.77"), encode(asking())))
        client = greeted(hospital, v1("127.0.0.1"))
        assert client.ends() == b""
        refused = hospital.await_record(Event.CONNECTION_REFUSED)
        assert (refused.address, refused.rule) == ("127.0.0.1", "listener[inside].networks")
        # the balancer's own address is not on the listener's networks, so its health check is not let in
        assert greeted(hospital, v2(command=0x20)).ends() == b""


def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_what_it_is(balanced: House) -> None:
    header = b"PROXY TCP6 ::ffff:127.0.0.77 2001:db8::1 40000 104\r\n"
    gets_in(balanced, greeted(balanced, header + encode(asking())))
    assert balanced.await_record(Event.ASSOCIATION_REQUESTED).address == "127.0.0.77"


def test_the_peers_networks_judge_the_true_address() -> None:
    def narrow(settings: GateSettings) -> GateSettings:
        settings = behind(BALANCER)(settings)
        peers = tuple(replace(peer, networks=Networks.of(["127.0.0.77"])) for peer in settings.rules.peers)
        return replace(settings, rules=replace(settings.rules, peers=peers))

    with house(narrow) as hospital:
        gets_in(hospital, greeted(hospital, v1("127.0.0.77"), encode(asking())))
        client = greeted(hospital, v1("127.0.0.78"), encode(asking()))
        assert rejected(client.pdu()) == "1/1/3"


@pytest.mark.parametrize("sent", [b"", b"PROXY TCP4 127"], ids=["nothing", "half a header"])
def test_a_header_that_does_not_come_in_time_is_not_waited_for(sent: bytes) -> None:
    with house(behind(BALANCER, first_byte=0.3)) as hospital:
        client = greeted(hospital, sent)
        assert client.ends() == b""
        assert hospital.await_record(Event.CONNECTION_REFUSED).reason == "no PROXY header in time"


@pytest.mark.parametrize("end", [Party.close, Party.reset], ids=["close", "reset"])
def test_a_health_check_that_says_nothing_leaves_no_record(balanced: House, end: Callable[[Party], None]) -> None:
    end(greeted(balanced, b""))
    end(greeted(balanced, SIGNATURE[:5]))
    gets_in(balanced, greeted(balanced, v1() + encode(asking())))
    assert balanced.sink.of(Event.CONNECTION_REFUSED) == []


def test_who_may_not_connect_is_closed_and_recorded() -> None:
    with house(behind(networks=("10.0.0.0/8",))) as hospital:
        client = hospital.client()
        assert client.ends() == b""
        refused = hospital.await_record(Event.CONNECTION_REFUSED)
        assert refused.rule == "listener[inside].networks"
        assert refused.refusal_id
        assert hospital.open_connections() == 0


def test_a_thousand_who_may_not_connect_leave_twenty_records_and_a_count() -> None:
    with house(behind(networks=("10.0.0.0/8",))) as hospital:
        origin = Origin("inside", ip_address("192.0.2.1"), 1)
        hospital.call(
            lambda: [hospital.gate.refuse_connection(origin, "listener[inside].networks", "no") for _ in range(1000)]
        )
        assert len(hospital.sink.of(Event.CONNECTION_REFUSED)) == 20
        hospital.call(lambda: hospital.gate.drain(lambda: None))
        hospital.await_record(Event.GATE_STOPPED)
        last = hospital.sink.of(Event.CONNECTION_REFUSED)[20:]
        assert [record.detail["repeated"] for record in last] == [980]
        assert last[0].address == "192.0.2.1"


def test_ipv6(balanced: House) -> None:
    def six(settings: GateSettings) -> GateSettings:
        rules = replace(settings.rules, listeners=(Listener("six", Networks.of(["::1"])),))
        return replace(settings, rules=rules, listeners=(ListenerSettings("six", Endpoint("::1", 0)),))

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with house(six) as hospital:
        client = hospital.keep(Party(socket.create_connection(hospital.addresses["six"], 10)))
        client.send(asking())
        gets_in(hospital, client)
        assert hospital.await_record(Event.ASSOCIATION_REQUESTED).address == "::1"


def test_without_a_file_descriptor_left_it_says_so_once_and_goes_on_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Full:
        """A listening socket whose process is full for its first three connections."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock, self.left = sock, 3

        def accept(self) -> object:
            if self.left:
                self.left -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.sock.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(self.sock, name)

    monkeypatch.setattr("dicomgate.gate.door._BREATHER", 0.05)
    with house() as hospital:

        def fill() -> None:
            door: Door = hospital.gate._doors["inside"]
            door._sock = Full(door._sock)  # type: ignore[assignment]

        hospital.call(fill)
        echo_works(*hospital.association())
        said = until(lambda: [line for line in hospital.journal() if line["event"] == "cannot_accept"])
        assert said[0]["reason"] == "Too many open files"
        assert len(said) == 1
