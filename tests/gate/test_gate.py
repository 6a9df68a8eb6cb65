"""The gate as a whole: start, reload, drain, and what it knows of the addresses that peers name."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from dicomgate.audit.record import Event, Outcome
from dicomgate.gate.connection import Connection
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.gate.settings import GateSettings, ListenerSettings
from dicomgate.policy.model import Endpoint, Listener, Networks, Verb
from dicomgate.wire.pdu import Abort, ReleaseReply, ReleaseRequest
from gate.standins import (
    House,
    Sink,
    accepting,
    answering,
    asking,
    echo,
    echo_works,
    house,
    message,
    rejected,
    settings_for,
    until,
)


@pytest.fixture
def hospital() -> Iterator[House]:
    with house() as running:
        yield running


def with_peers(settings: GateSettings, *names: str, **changes: object) -> GateSettings:
    """Only these peers, changed as given."""
    peers = tuple(
        replace(peer, **changes)  # type: ignore[arg-type]
        for peer in settings.rules.peers
        if peer.name in names
    )
    return replace(settings, rules=replace(settings.rules, peers=peers))


def with_listeners(settings: GateSettings, *names: str, port: int = 0) -> GateSettings:
    """Listeners of these names; `inside` keeps its address, the others get `port`."""
    inside = settings.listeners[0]
    listeners = tuple(
        inside if name == "inside" else ListenerSettings(name, Endpoint("127.0.0.1", port)) for name in names
    )
    networks = settings.rules.listeners[0].networks
    rules = replace(settings.rules, listeners=tuple(Listener(name, networks) for name in names))
    return replace(settings, listeners=listeners, rules=rules)


# -- start -----------------------------------------------------------------------------------------------------


def test_it_says_where_it_listens_and_records_its_start(hospital: House) -> None:
    host, port = hospital.addresses["inside"]
    assert host == "127.0.0.1"
    assert port
    assert hospital.sink.records[0].event is Event.GATE_STARTED


def test_if_one_listener_cannot_be_opened_none_is() -> None:
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = with_listeners(settings_for(1), "inside", "second", port=taken.getsockname()[1])
        free = socket.create_server(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = replace(
            settings,
            listeners=(ListenerSettings("inside", Endpoint("127.0.0.1", port)), settings.listeners[1]),
        )
        journal = Journal(io.StringIO())
        gate = Gate(settings, Sink(), journal, loop)
        with pytest.raises(OSError, match="in use"):
            gate.start()
        socket.create_server(("127.0.0.1", port)).close()
    gate.poller.close()
    journal.close()
    loop.close()


# -- reload ----------------------------------------------------------------------------------------------------


def test_a_peer_that_lost_its_permit_is_aborted_and_the_others_go_on(hospital: House) -> None:
    leaving = hospital.association()
    staying = hospital.association(asking(calling="CT2"))
    hospital.reload(with_peers(hospital.gate.settings, "ct-2"))
    for party in leaving:
        assert isinstance(party.pdu(), Abort)
    ended = hospital.await_record(Event.ASSOCIATION_ENDED)
    assert ended.peer == "ct-1"
    assert (ended.reason or "").startswith("no longer allowed: ")
    echo_works(*staying)
    client = hospital.client()
    client.send(asking())
    assert rejected(client.pdu()) == "1/1/3"
    assert hospital.await_record(Event.CONFIGURATION_LOADED)


def test_a_lost_verb_is_refused_in_a_running_association(hospital: House) -> None:
    client, archive = hospital.association()
    hospital.reload(with_peers(hospital.gate.settings, "ct-1", may=frozenset({Verb.STORE})))
    client.send(message(1, echo()))
    assert client.command().status == 0x0122
    assert hospital.await_record(Event.OPERATION_REFUSED).rule == "peer[ct-1].may"
    assert archive.sock.fileno() >= 0


def test_a_gained_verb_is_allowed_in_a_running_association(hospital: House) -> None:
    settings = hospital.gate.settings
    hospital.reload(with_peers(settings, "ct-1", may=frozenset({Verb.STORE})))
    client, archive = hospital.association()
    hospital.reload(settings)
    echo_again = hospital.association()
    echo_works(*echo_again)
    assert client.sock.fileno() != archive.sock.fileno()


def test_a_reload_while_the_archive_has_not_answered_yet(hospital: House) -> None:
    client = hospital.client()
    client.send(asking())
    archive = hospital.accept()
    archive.pdu()
    hospital.reload(with_peers(hospital.gate.settings, "ct-2"))
    assert rejected(client.pdu()) == "2/3/1"
    assert archive.ends()[:1] in (b"\7", b"")
    client.close()
    archive.close()
    hospital.settle()


def test_a_name_that_is_found_too_late_connects_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The permit is taken away while the archive's name is looked up; the client has not closed yet."""
    asked, found = threading.Event(), threading.Event()
    port = 0

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        asked.set()
        assert found.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    def named(settings: GateSettings) -> GateSettings:
        nonlocal port
        (archive,) = settings.rules.archives
        port = archive.endpoints[0].port
        rules = replace(settings.rules, archives=(replace(archive, endpoints=(Endpoint("pacs", port),)),))
        return replace(settings, rules=rules, session=replace(settings.session, close=9.0))

    with house(named) as hospital:
        client = hospital.client()
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        client.send(asking())
        assert asked.wait(10)
        hospital.reload(with_peers(hospital.gate.settings, "ct-2"))
        assert rejected(client.pdu()) == "2/3/1"
        found.set()
        until(lambda: hospital.call(lambda: not hospital.gate.upstreams._resolving))
        hospital.call(lambda: None)
        assert hospital.nobody_called()


def test_a_connection_that_has_said_nothing_yet_is_judged_by_the_new_rules(hospital: House) -> None:
    client = hospital.client()
    until(lambda: hospital.open_connections() == 1)
    hospital.reload(with_peers(hospital.gate.settings, "ct-2"))
    client.send(asking())
    assert rejected(client.pdu()) == "1/1/3"
    assert hospital.nobody_called()


def test_a_listener_is_added_and_the_old_one_is_not_touched(hospital: House) -> None:
    running = hospital.association()
    hospital.reload(with_listeners(hospital.gate.settings, "inside", "second"))
    echo_works(*hospital.association(listener="second"))
    echo_works(*hospital.association(listener="inside"))
    echo_works(*running, message_id=9)


def test_a_listener_is_removed(hospital: House) -> None:
    settings = hospital.gate.settings
    hospital.reload(with_listeners(settings, "inside", "second"))
    hospital.reload(settings)
    with pytest.raises(ConnectionRefusedError):
        hospital.client("second")
    echo_works(*hospital.association())


def test_a_listener_gets_another_name_and_keeps_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with house(lambda settings: with_listeners(settings, "second", port=port)) as hospital:
        hospital.reload(with_listeners(hospital.gate.settings, "third", port=port))
        hospital.addresses["third"] = ("127.0.0.1", port)
        echo_works(*hospital.association(listener="third"))
        assert hospital.sink.of(Event.ASSOCIATION_ADMITTED)[-1].listener == "third"


def test_a_bug_in_the_sweep_of_one_connection_does_not_stop_the_clock(
    hospital: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[float] = []

    def broken(_: object, now: float) -> None:
        swept.append(now)
        raise RuntimeError("bug")

    monkeypatch.setattr(Connection, "sweep", broken)
    running = hospital.association()
    until(lambda: len(swept) > 2)
    echo_works(*running)


def test_an_address_that_cannot_be_had_keeps_everything_as_it_was(hospital: House) -> None:
    before = hospital.gate.settings
    running = hospital.association()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = with_listeners(with_peers(before, "ct-2"), "inside", "second", "third", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            hospital.reload(wanted)
    assert hospital.gate.settings is before
    echo_works(*running)
    echo_works(*hospital.association())
    assert hospital.sink.of(Event.CONFIGURATION_LOADED) == []


def test_new_limits_count_at_once(hospital: House) -> None:
    hospital.association()
    settings = hospital.gate.settings
    hospital.reload(replace(settings, connections=replace(settings.connections, associations=1)))
    client = hospital.client()
    client.send(asking())
    assert rejected(client.pdu()) == "2/3/2"


def test_a_refused_reload_is_recorded(hospital: House) -> None:
    hospital.call(lambda: hospital.gate.refuse_reload("gate.toml:peer: error: expected a table"))
    refused = hospital.await_record(Event.CONFIGURATION_REFUSED)
    assert (refused.outcome, refused.reason) == (Outcome.FAILURE, "gate.toml:peer: error: expected a table")


# -- drain -----------------------------------------------------------------------------------------------------


def draining(hospital: House) -> threading.Event:
    drained = threading.Event()
    hospital.call(lambda: hospital.gate.drain(drained.set))
    return drained


def test_with_nobody_here_it_is_done_at_once_and_recorded_once(hospital: House) -> None:
    assert draining(hospital).wait(10)
    assert len(hospital.sink.of(Event.GATE_STOPPED)) == 1
    with pytest.raises(ConnectionRefusedError):
        hospital.client()


def test_who_has_said_nothing_goes_and_who_works_may_finish(hospital: House) -> None:
    client, archive = hospital.association()
    silent = hospital.client()
    until(lambda: hospital.open_connections() == 2)
    drained = draining(hospital)
    assert silent.ends() == b""
    assert not drained.is_set()
    client.send(message(1, echo()))
    archive.send(message(1, answering(archive.command())))
    assert client.command().status == 0
    client.send(ReleaseRequest())
    archive.pdu()
    archive.send(ReleaseReply())
    assert client.pdu() == ReleaseReply()
    client.close()
    assert drained.wait(10)
    assert hospital.sink.records[-1].event is Event.GATE_STOPPED


def test_who_does_not_finish_is_aborted_and_the_stop_is_recorded_once() -> None:
    def hasty(settings: GateSettings) -> GateSettings:
        return replace(settings, connections=replace(settings.connections, drain=0.2))

    with house(hasty) as hospital:
        client, archive = hospital.association()
        drained = draining(hospital)
        assert isinstance(client.pdu(), Abort)
        assert isinstance(archive.pdu(), Abort)
        client.close()
        archive.close()
        assert drained.wait(10)
        ended = hospital.await_record(Event.ASSOCIATION_ENDED)
        assert ended.reason == "the gate is stopping"
        # the last resort, for connections that do not end, comes later and has nothing left to do
        hospital.call(lambda: hospital.gate._check_drained(at_last=True))
        assert len(hospital.sink.of(Event.GATE_STOPPED)) == 1


def test_a_second_order_to_stop_changes_nothing(hospital: House) -> None:
    hospital.association()
    first = draining(hospital)
    second = draining(hospital)
    assert not first.is_set()
    assert not second.is_set()


def test_a_reload_while_draining_opens_nothing_again(hospital: House) -> None:
    hospital.association()
    draining(hospital)
    hospital.reload(with_listeners(hospital.gate.settings, "inside", "second"))
    with pytest.raises(ConnectionRefusedError):
        hospital.client("inside")
    assert "second" not in hospital.addresses


def test_a_reload_while_draining_still_takes_permits_away(hospital: House) -> None:
    leaving = hospital.association()
    draining(hospital)
    hospital.reload(with_peers(hospital.gate.settings, "ct-2"))
    for party in leaving:
        assert isinstance(party.pdu(), Abort)


# -- whom it knows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peers", "archive", "address", "known"),
    [
        (["10.1.2.0/24"], [], "10.1.2.31", True),
        (["10.1.2.0/24"], [], "10.1.3.31", False),
        (["any"], [], "10.1.2.31", False),
        (["0.0.0.0/0", "::/0"], [], "10.1.2.31", False),
        (["any", "10.1.2.31"], [], "10.1.2.31", True),
        ([], ["10.1.1.20"], "10.1.1.20", True),
        ([], ["any"], "10.1.1.20", False),
    ],
)
def test_addresses_that_somebody_names_keep_their_share_of_half_open_places(
    hospital: House, peers: list[str], archive: list[str], address: str, known: bool
) -> None:
    """`any`, also when it is written in numbers, names nobody. An archive on its way back is no stranger."""
    settings = with_peers(hospital.gate.settings, "ct-1", networks=Networks.of(peers))
    archives = tuple(replace(each, networks=Networks.of(archive)) for each in settings.rules.archives)
    hospital.reload(replace(settings, rules=replace(settings.rules, archives=archives)))
    assert hospital.call(lambda: hospital.gate.half_open.known(ip_address(address))) is known


# -- small things ----------------------------------------------------------------------------------------------


def test_refusal_ids_can_be_said_aloud_and_do_not_repeat(hospital: House) -> None:
    made: Callable[[], list[str]] = lambda: [hospital.gate.new_refusal_id() for _ in range(2000)]  # noqa: E731
    ids = hospital.call(made)
    assert len(set(ids)) == 2000
    assert set("".join(ids)) <= set("23456789ABCDEFGHJKMNPQRSTUVWXYZ")
    assert {len(refusal_id) for refusal_id in ids} == {8}


def test_the_sinks_health_is_told(hospital: House) -> None:
    hospital.call(lambda: hospital.gate.report_sink("disk full"))
    hospital.call(lambda: hospital.gate.report_sink(None))
    told = until(lambda: [line for line in hospital.journal() if line["event"].startswith("audit_")][1:])
    assert told[0]["event"] == "audit_recovered"
    failing = next(line for line in hospital.journal() if line["event"] == "audit_failing")
    assert (failing["level"], failing["reason"], failing["consequence"]) == ("critical", "disk full", "refuse")


def test_associations_have_names_of_their_own(hospital: House) -> None:
    for _ in range(3):
        client = hospital.client()
        client.send(asking())
        archive = hospital.accept()
        archive.send(accepting(archive.pdu()))
        client.pdu()
    names = [record.association for record in hospital.sink.of(Event.ASSOCIATION_ADMITTED)]
    assert len(set(names)) == 3
