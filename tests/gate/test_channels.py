"""A gate that knows its channels: who needs one gets in with its proof only, and goes when the channel does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dicomgate.audit.record import Event, Outcome
from dicomgate.gate.settings import GateSettings, ListenerSettings
from dicomgate.policy.model import Assurance, Endpoint, Networks
from gate.standins import House, accepting, asking, echo_works, house, rejected
from policy.scene import VERIFICATION

DOWN = "the other end has fallen silent"


class Tunnels:
    """Stands in for the watcher: what carried each connection, and where nothing may be sent."""

    def __init__(self) -> None:
        self.carrier: str | None = "cloud"
        self.closed: dict[str, str] = {}

    def carrier_of(self, sock: socket.socket) -> str | None:
        assert sock.getpeername()
        return self.carrier

    def closed_to(self, host: str) -> str | None:
        return self.closed.get(host)


def peers_demand(settings: GateSettings) -> GateSettings:
    """ct-1 has to come through the channel, which proves the device; ct-2 may come any way."""
    one, other = settings.rules.peers
    one = replace(one, channels=frozenset({"cloud"}), assurance=Assurance.DEVICE)
    return replace(settings, rules=replace(settings.rules, peers=(one, other)))


def listener_demands(settings: GateSettings) -> GateSettings:
    (listener,) = settings.rules.listeners
    listeners = (replace(listener, channels=frozenset({"cloud"})),)
    return replace(settings, rules=replace(settings.rules, listeners=listeners))


@contextmanager
def tunnelled(change: Callable[[GateSettings], GateSettings]) -> Iterator[tuple[House, Tunnels]]:
    with house(change) as running:
        tunnels = Tunnels()
        running.call(lambda: setattr(running.gate, "channels", tunnels))
        yield running, tunnels


def lost(running: House, name: str = "cloud") -> None:
    running.call(lambda: running.gate.channel_changed(name, False, DOWN))


def test_a_channel_proves_the_device_and_is_named() -> None:
    with tunnelled(peers_demand) as (running, _):
        echo_works(*running.association())
        admitted = running.await_record(Event.ASSOCIATION_ADMITTED)
        assert (admitted.assurance, admitted.detail["channel"]) == ("device", "cloud")


@pytest.mark.parametrize("carrier", [None, "another"])
def test_without_its_channel_a_peer_is_refused(carrier: str | None) -> None:
    with tunnelled(peers_demand) as (running, tunnels):
        tunnels.carrier = carrier
        client = running.client()
        client.send(asking())
        assert rejected(client.pdu()) == "1/1/3"
        assert running.await_record(Event.ASSOCIATION_REFUSED).rule == "peer[ct-1].channels"
        assert running.nobody_called()


def test_without_its_channel_a_listener_closes_before_a_byte_is_read() -> None:
    with tunnelled(listener_demands) as (running, tunnels):
        tunnels.carrier = None
        assert running.client().ends() == b""
        assert running.await_record(Event.CONNECTION_REFUSED).rule == "listener[inside].channels"


def test_a_gate_that_cannot_know_refuses() -> None:
    with house(listener_demands) as running:
        assert running.client().ends() == b""


def test_a_channel_that_goes_down_takes_its_associations_with_it() -> None:
    with tunnelled(peers_demand) as (running, _):
        client, archive = running.association()
        other, far = running.association(asking((VERIFICATION,), calling="CT2"))
        waiting = running.client()
        running.call(lambda: None)
        lost(running)
        assert client.last_words()[-10:-4] == b"\7\0\0\0\0\4"
        archive.last_words()
        waiting.ends()
        echo_works(other, far)  # who demands no channel is not concerned
        record = running.await_record(Event.CHANNEL_DOWN)
        assert (record.outcome, record.reason, record.detail) == (Outcome.FAILURE, DOWN, {"channel": "cloud"})
        assert running.await_record(Event.ASSOCIATION_ENDED).reason == "channel cloud is down"


def test_another_channel_that_goes_down_takes_nobody() -> None:
    with tunnelled(peers_demand) as (running, _):
        client, archive = running.association()
        lost(running, "another")
        echo_works(client, archive)


def test_a_listener_that_demands_it_loses_everybody() -> None:
    with tunnelled(listener_demands) as (running, _):
        client, _ = running.association(asking(calling="CT2"))
        lost(running)
        assert client.last_words()[-10:-4] == b"\7\0\0\0\0\4"


def test_what_comes_up_is_a_record() -> None:
    with tunnelled(peers_demand) as (running, _):
        running.call(lambda: running.gate.channel_changed("cloud", True, "it carries traffic"))
        record = running.await_record(Event.CHANNEL_UP)
        assert (record.outcome, record.detail) == (Outcome.SUCCESS, {"channel": "cloud"})


def test_nothing_is_sent_to_an_archive_whose_channel_is_down() -> None:
    with tunnelled(lambda settings: settings) as (running, tunnels):
        tunnels.closed["127.0.0.1"] = "cloud"
        client = running.client()
        client.send(asking())
        assert rejected(client.pdu()).startswith("2/")
        assert running.nobody_called()
        assert "channel cloud is down" in (running.await_record(Event.ASSOCIATION_ENDED).reason or "")


def test_an_archive_behind_a_channel_that_goes_down_is_let_go() -> None:
    with tunnelled(lambda settings: settings) as (running, tunnels):
        tunnels.carrier = None
        client, archive = running.association()
        tunnels.closed["127.0.0.1"] = "cloud"
        lost(running)
        assert client.last_words()[-10:-4] == b"\7\0\0\0\0\4"
        archive.last_words()
        assert running.await_record(Event.ASSOCIATION_ENDED).reason == "channel cloud to the called party is down"


def test_who_still_waits_at_the_door_has_lost_its_proof() -> None:
    def balanced(settings: GateSettings) -> GateSettings:
        bind = Endpoint("127.0.0.1", 0)
        listener = ListenerSettings("inside", bind, proxy_protocol_from=Networks.of(["127.0.0.1"]))
        return replace(listener_demands(settings), listeners=(listener,))

    with tunnelled(balanced) as (running, _):
        waiting = running.client()
        waiting.send(b"PROXY ")
        running.call(lambda: None)
        lost(running)
        assert waiting.ends() == b""
        assert running.await_record(Event.CONNECTION_REFUSED).rule == "channel[cloud]"


def test_what_carried_a_load_balancer_says_nothing_of_who_is_behind_it() -> None:
    def balanced(settings: GateSettings) -> GateSettings:
        bind = Endpoint("127.0.0.1", 0)
        listener = ListenerSettings("inside", bind, proxy_protocol_from=Networks.of(["127.0.0.1"]))
        return replace(listener_demands(settings), listeners=(listener,))

    with tunnelled(balanced) as (running, _):
        client = running.client()
        client.send(b"PROXY TCP4 127.0.0.9 127.0.0.1 4000 104\r\n")
        assert client.ends() == b""
        assert running.await_record(Event.CONNECTION_REFUSED).rule == "listener[inside].channels"


def test_the_archive_is_still_accepted_while_a_channel_of_others_is_down() -> None:
    with tunnelled(lambda settings: settings) as (running, tunnels):
        tunnels.closed["10.20.1.5"] = "cloud"
        client = running.client()
        client.send(asking())
        archive = running.accept()
        archive.send(accepting(archive.pdu()))
        client.pdu()
