"""Sets of networks: what two have in common, what is left when one is taken away. Pure."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from dicomgate.facts import Address
from dicomgate.policy.model import Network, Networks

EVERYWHERE: tuple[Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def of_addresses(addresses: Iterable[Address]) -> Networks:
    """Single addresses as networks."""
    return tidy(ip_network(address) for address in addresses)


def common(one: Networks, other: Networks) -> Networks:
    """The addresses in both; `any` only when both are `any`."""
    if one.any:
        return other
    if other.any:
        return one
    found = [min(mine, theirs, key=_size) for mine in one.members for theirs in other.members if _overlap(mine, theirs)]
    return tidy(found)


def without(networks: Networks, taken: Networks) -> Networks:
    """The addresses of `networks` that are not in `taken`. `any` becomes the networks that are left."""
    left: list[Network] = list(EVERYWHERE if networks.any else networks.members)
    for hole in taken.members:
        left = [part for network in left for part in _less(network, hole)]
    return tidy(left)


def of_version(networks: Networks, version: int) -> tuple[Network, ...]:
    """The members of one IP version; everything for `any`."""
    members = EVERYWHERE if networks.any else networks.members
    return tuple(network for network in members if network.version == version)


def machines(networks: Networks) -> Iterator[Address]:
    """The members that are one address each."""
    for network in networks.members:
        if network.prefixlen == network.max_prefixlen:
            yield network.network_address


def tidy(networks: Iterable[Network]) -> Networks:
    """Without overlaps, ascending, IPv4 first. Neighbours are not merged: a machine stays recognisable as one."""
    wide_first = sorted({*networks}, key=lambda network: (network.version, network.prefixlen))
    found: list[Network] = []
    for network in wide_first:
        if not any(_overlap(network, wider) for wider in found):
            found.append(network)
    return Networks(tuple(sorted(found, key=lambda network: (network.version, int(network.network_address)))))


def _size(network: Network) -> int:
    return network.num_addresses


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _less(network: Network, hole: Network) -> list[Network]:
    if not _overlap(network, hole):
        return [network]
    if isinstance(network, IPv4Network) and isinstance(hole, IPv4Network):
        return [] if network.subnet_of(hole) else list(network.address_exclude(hole))
    if isinstance(network, IPv6Network) and isinstance(hole, IPv6Network):
        return [] if network.subnet_of(hole) else list(network.address_exclude(hole))
    return [network]
