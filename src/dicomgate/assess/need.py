"""Do you need this port? What was seen of its use in; close it, or the smallest allowlist that would have served, out.

Pure. Where the uses come from (a gate's records, a capture, a flow log) is `observed.py`'s and the command's business.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

ENOUGH_DAYS = 14.0
"""A shorter time cannot show that nobody needs a port: a service visit comes once a fortnight."""
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Use:
    """One party's use of one door. Times are seconds since 1970."""

    door: str
    """The port: `HOST:PORT`, or a gate's listener."""
    client: str
    """An IP address."""
    calling: str
    """Its AE title; empty when it was not seen (encrypted, or a flow log)."""
    called: str
    verbs: frozenset[str]
    """Empty when they were not seen."""
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Observations:
    """What was seen from `first` to `last` (seconds since 1970)."""

    uses: tuple[Use, ...]
    doors: tuple[str, ...]
    """Every door that was watched, also those that nobody used."""
    first: float
    last: float

    @property
    def days(self) -> float:
        return max(0.0, (self.last - self.first) / DAY)


class Decision(StrEnum):
    """What the use of a door says about its need."""

    CLOSE = "close"
    """Nobody used it, for long enough."""
    ALLOW = "allow"
    """Somebody did: allow exactly these."""
    UNDECIDED = "undecided"
    """Nobody did, in too short a time."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One line of the allowlist: one calling AE title, and no more than it has used."""

    calling: str
    """Empty: the titles were not seen; only the networks can be listed."""
    networks: tuple[str, ...]
    """The fewest CIDRs that hold exactly the addresses that were seen."""
    called: tuple[str, ...]
    verbs: tuple[str, ...]
    count: int
    last: float


@dataclass(frozen=True, slots=True)
class Need:
    """The answer for one door."""

    door: str
    decision: Decision
    days: float
    allowlist: tuple[Allowed, ...]


def needs(observations: Observations) -> tuple[Need, ...]:
    """One answer for each door that was watched or used."""
    by_door: dict[str, list[Use]] = {door: [] for door in observations.doors}
    for use in observations.uses:
        by_door.setdefault(use.door, []).append(use)
    return tuple(_need(door, uses, observations.days) for door, uses in by_door.items())


def _need(door: str, uses: list[Use], days: float) -> Need:
    if uses:
        return Need(door, Decision.ALLOW, days, allowlist(uses))
    return Need(door, Decision.CLOSE if days >= ENOUGH_DAYS else Decision.UNDECIDED, days, ())


def allowlist(uses: Iterable[Use]) -> tuple[Allowed, ...]:
    """The smallest that would have served: one line for each calling AE title, in alphabetical order."""
    by_title: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        by_title[use.calling].append(use)
    return tuple(_allowed(title, by_title[title]) for title in sorted(by_title))


def _allowed(title: str, uses: list[Use]) -> Allowed:
    return Allowed(
        title,
        networks(use.client for use in uses),
        tuple(sorted({use.called for use in uses if use.called})),
        tuple(sorted(frozenset[str]().union(*(use.verbs for use in uses)))),
        sum(use.count for use in uses),
        max(use.last for use in uses),
    )


def networks(addresses: Iterable[str]) -> tuple[str, ...]:
    """Exactly these addresses, in as few CIDRs as that takes."""
    known = {ip_network(address) for address in addresses}
    four = collapse_addresses(network for network in known if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in known if isinstance(network, IPv6Network))
    return (*map(str, four), *map(str, six))
