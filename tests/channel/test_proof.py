"""Which channel carried a connection: every part of the proof is needed."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from channel.scene import ipsec_channel, wireguard_channel, with_end
from dicomgate.channel import words
from dicomgate.channel.model import Channel, Termination
from dicomgate.channel.proof import Arrival, arrival, carrier, leads_through

OURS, THEIRS = ip_address("10.1.1.5"), ip_address("10.20.1.7")
WIREGUARD = wireguard_channel()
INTERFACE = words.interface(WIREGUARD, WIREGUARD.ends[0])
GOOD = Arrival(OURS, 104, THEIRS, INTERFACE, 0)


def name(came: Arrival, *channels: Channel, up: bool = True) -> str | None:
    found = carrier(came, channels or (WIREGUARD,), lambda _: up)
    return None if found is None else found.name


def test_it_came_through_the_channel() -> None:
    assert name(GOOD) == "hospital-cloud"
    assert name(replace(GOOD, remote=ip_address("10.99.0.1"), local=ip_address("10.99.0.2"))) == "hospital-cloud"


@pytest.mark.parametrize(
    "changes",
    [
        {"interface": "eth0"},
        {"interface": None},
        {"remote": ip_address("10.21.0.1")},
        {"local": ip_address("10.1.1.6")},
        {"port": 11112},
    ],
    ids=str,
)
def test_each_part_is_needed(changes: dict[str, object]) -> None:
    assert name(replace(GOOD, **changes)) is None  # type: ignore[arg-type]


def test_a_channel_that_is_down_carries_nothing() -> None:
    assert name(GOOD, up=False) is None


def test_a_mark_counts_where_one_is_written() -> None:
    marked = with_end(ipsec_channel(), 0, mark=42)
    assert name(replace(GOOD, interface="eth0", mark=42), marked) == "hospital-cloud"
    assert name(replace(GOOD, interface="eth0"), marked) is None


def test_the_kernels_policies_vouch_only_for_tunnels_that_end_here() -> None:
    came = replace(GOOD, interface="eth0")
    assert name(came, ipsec_channel()) == "hospital-cloud"
    elsewhere = with_end(ipsec_channel(), 0, termination=Termination.ROUTER)
    assert name(came, elsewhere) is None
    fed = with_end(elsewhere, 0, interface="vlan7")
    assert name(replace(came, interface="vlan7"), fed) == "hospital-cloud"


def test_a_channel_between_others_carries_nothing_here() -> None:
    site = replace(WIREGUARD.ends[0].site, own=False)
    assert name(GOOD, with_end(WIREGUARD, 0, site=site)) is None


def test_where_packets_belong() -> None:
    assert leads_through(WIREGUARD, THEIRS)
    assert not leads_through(WIREGUARD, OURS)


@pytest.mark.parametrize(
    ("family", "bound", "called"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_the_kernel_tells_on_which_interface_a_connection_came(
    family: socket.AddressFamily, bound: str, called: str
) -> None:
    with socket.socket(family) as listening:
        if family is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((bound, 0))
        listening.listen()
        port = listening.getsockname()[1]
        with socket.create_connection((called, port)) as client, listening.accept()[0] as accepted:
            came = arrival(accepted)
            assert client.fileno() >= 0
    expected = ip_address(called)
    assert came == Arrival(expected, port, expected, "lo", 0)


def test_a_connection_that_is_gone_proves_nothing() -> None:
    with socket.socket() as unconnected:
        assert arrival(unconnected) is None
