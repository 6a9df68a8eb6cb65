"""Set arithmetic of networks, against asking each address by itself."""

from ipaddress import IPv4Address, ip_network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dicomgate.policy.model import Networks
from dicomgate.segment.networks import common, tidy, without
from dicomgate.segment.zones import other_ports

ADDRESSES = [IPv4Address(0x0A000000 + number) for number in range(64)]


@st.composite
def networks(draw: st.DrawFn) -> Networks:
    members = []
    for _ in range(draw(st.integers(0, 4))):
        length = draw(st.integers(26, 32))
        start = draw(st.integers(0, 63)) >> (32 - length) << (32 - length)
        members.append(ip_network((0x0A000000 + start, length)))
    return Networks(tuple(members), any=draw(st.booleans()))


@given(networks(), networks())
def test_common_is_what_is_in_both(one: Networks, other: Networks) -> None:
    both = common(one, other)
    assert [a for a in ADDRESSES if a in both] == [a for a in ADDRESSES if a in one and a in other]


@given(networks(), networks())
def test_without_is_what_is_left(one: Networks, other: Networks) -> None:
    taken = Networks(other.members)
    left = without(one, taken)
    assert [a for a in ADDRESSES if a in left] == [a for a in ADDRESSES if a in one and a not in taken]
    assert not left.any


@given(networks())
def test_tidy_changes_no_answer_and_overlaps_nowhere(one: Networks) -> None:
    clean = tidy(one.members)
    assert [a for a in ADDRESSES if a in clean] == [a for a in ADDRESSES if any(a in n for n in one.members)]
    assert sum(network.num_addresses for network in clean.members) == len([a for a in ADDRESSES if a in clean])


@given(st.sets(st.integers(1, 65535), max_size=20))
def test_other_ports_are_all_but_these(ports: set[int]) -> None:
    ranges = list(other_ports(ports))
    assert all(first <= last for first, last in ranges)
    assert all(before[1] < after[0] - 1 for before, after in pairwise(ranges))
    assert not [port for port in ports for first, last in ranges if first <= port <= last]
    assert sum(last - first + 1 for first, last in ranges) == 65535 - len(ports)
