"""Who gives way when it is full: half-open connections by share, and caps on associations."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.facts import Address
from dicomgate.gate.census import Associations, HalfOpen
from dicomgate.gate.settings import ConnectionLimits
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AssociationPermit, Deny
from dicomgate.wire.codes import Reject
from policy.scene import ARCHIVE, PEER, RULES, admitted, policy

LIMITS = ConnectionLimits(half_open=10, half_open_per_address=4)
KNOWN = frozenset(map(ip_address, ["10.1.2.31", "10.1.2.32"]))
CT1, CT2 = sorted(KNOWN)


def stranger(number: int) -> Address:
    return ip_address(f"192.0.2.{number}")


def crowd(arrivals: Iterable[Address], limits: ConnectionLimits = LIMITS) -> tuple[HalfOpen[int], list[int]]:
    """Let them in one after the other, numbered; who has to give way leaves. Out: the census and who is left."""
    census: HalfOpen[int] = HalfOpen(KNOWN.__contains__)
    where: dict[int, Address] = {}
    for number, address in enumerate(arrivals):
        leaving = census.enter(address, number, limits)
        where[number] = address
        if leaving is not None:
            census.leave(where.pop(leaving), leaving)
    return census, list(where)


def test_below_the_caps_nobody_gives_way() -> None:
    census, left = crowd([stranger(n) for n in range(8)] + [CT1, CT2])
    assert left == list(range(10))
    assert len(census) == 10


def test_one_address_costs_itself_its_oldest() -> None:
    _, left = crowd([CT2, CT1, CT1, CT1, CT1, CT1, CT1])
    assert left == [0, 3, 4, 5, 6]


def test_strangers_push_out_the_oldest_of_the_busiest_stranger() -> None:
    _, left = crowd([stranger(1), stranger(2), stranger(2), stranger(2), stranger(3), *map(stranger, range(4, 8))])
    assert 1 not in left
    assert len(left) == 8


def test_a_fifth_is_kept_for_addresses_that_a_peer_names() -> None:
    census, left = crowd([stranger(n) for n in range(50)])
    assert len(census) == 8
    for number, known in enumerate((CT1, CT2)):
        assert census.enter(known, 100 + number, LIMITS) is None
    assert len(census) == 10
    assert left == list(range(42, 50))


def test_when_it_is_full_a_known_address_pushes_out_a_stranger_and_not_another_known_one() -> None:
    arrivals = [CT1] * 4 + [CT2] * 4 + [stranger(1), stranger(2)] + [ip_address("10.1.2.31")]
    _, left = crowd(arrivals, replace(LIMITS, half_open_per_address=20))
    assert len(left) == 10
    assert 8 not in left


def test_leaving_twice_or_never_having_come_is_fine() -> None:
    census, _ = crowd([CT1])
    census.leave(CT1, 0)
    census.leave(CT1, 0)
    census.leave(stranger(1), 7)
    assert len(census) == 0
    assert census.enter(CT1, 1, LIMITS) is None


@given(st.lists(st.sampled_from([CT1, CT2, *map(stranger, range(6))]), max_size=60))
def test_the_caps_hold_whatever_comes(arrivals: list[Address]) -> None:
    census, left = crowd(arrivals)
    here = [arrivals[number] for number in left]
    assert len(census) == len(here) <= LIMITS.half_open
    assert all(here.count(address) <= LIMITS.half_open_per_address for address in here)
    assert sum(address not in KNOWN for address in here) <= 0.8 * LIMITS.half_open


@given(st.lists(st.sampled_from([CT1, *map(stranger, range(20))]), max_size=80))
def test_strangers_never_push_out_a_known_address_that_keeps_to_its_share(arrivals: list[Address]) -> None:
    first = [CT1, CT1]
    _, left = crowd(first + [address for address in arrivals if address != CT1])
    assert left[:2] == [0, 1]


def permit_of(asked: Policy, **where: str) -> AssociationPermit:
    return admitted(asked, **where)


CAPS = ConnectionLimits(associations=5, associations_per_peer=3, associations_per_address=2)


def fill(census: Associations, permits: Iterable[AssociationPermit]) -> Deny | None:
    """The first refusal."""
    return next((denied for permit in permits if (denied := census.admit(permit)) is not None), None)


@pytest.mark.parametrize(
    ("addresses", "changed", "rule"),
    [
        (["10.1.2.1", "10.1.2.1", "10.1.2.1"], {}, "limits.associations_per_address"),
        (["10.1.2.1", "10.1.2.2", "10.1.2.3", "10.1.2.4"], {}, "limits.associations_per_peer"),
        (["10.1.2.1", "10.1.2.2"], {"max_associations": 1}, "limits.associations_per_peer"),
        ([f"10.1.2.{n}" for n in range(1, 7)], {"max_associations": 9}, "limits.associations"),
    ],
)
def test_each_cap_refuses_for_now_and_says_which_it_was(
    addresses: list[str], changed: dict[str, object], rule: str
) -> None:
    asked = policy(**changed)
    census = Associations(CAPS)
    denied = fill(census, [permit_of(asked, address=address) for address in addresses])
    assert denied is not None
    assert (denied.rule, denied.answer) == (rule, Reject.LOCAL_LIMIT_EXCEEDED)
    assert denied.answer.transient  # type: ignore[union-attr]
    assert census.total == len(addresses) - 1


def test_an_archive_has_its_own_cap_which_its_way_back_does_not_use() -> None:
    rules = replace(RULES, archives=(replace(ARCHIVE, max_associations=1),))
    to_archive = permit_of(Policy(rules))
    back = permit_of(Policy(rules), calling="ARCHIVE", called="CT1", address="10.1.1.20")
    census = Associations(replace(CAPS, associations_per_address=9, associations_per_peer=9))
    assert fill(census, [to_archive, back, back]) is None
    denied = census.admit(to_archive)
    assert denied is not None
    assert denied.rule == "archive[main].max_associations"


def test_what_leaves_makes_room_and_a_refused_one_takes_none() -> None:
    census = Associations(replace(CAPS, associations=1))
    permit = permit_of(policy())
    assert census.admit(permit) is None
    for _ in range(3):
        assert census.admit(permit) is not None
    census.leave(permit)
    assert census.total == 0
    assert census.admit(permit) is None


def test_new_limits_count_for_those_already_here() -> None:
    census = Associations(CAPS)
    permit = permit_of(policy(), address="10.1.2.9")
    assert census.admit(permit) is None
    census.limits = replace(CAPS, associations=1)
    denied = census.admit(permit)
    assert denied is not None
    assert denied.reason == "1 associations are open and 1 are allowed"
    assert PEER.max_associations is None
