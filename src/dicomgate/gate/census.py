"""Who is here: counts of connections and associations, and who gives way when a cap is reached.

Pure bookkeeping in the driver's package: the session asks `admit`, the gate reports comings and goings.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from dicomgate.facts import Address
from dicomgate.gate.settings import ConnectionLimits
from dicomgate.policy.verdict import AssociationPermit, Deny, Direction
from dicomgate.wire.codes import Reject

Guest = TypeVar("Guest")
Key = TypeVar("Key")
_STRANGERS_SHARE = 0.8
"""What addresses that no peer names may take of the half-open places; the rest is kept for known devices."""


class HalfOpen(Generic[Guest]):
    """Connections that have not sent a whole A-ASSOCIATE-RQ, in the order they came, by address.

    `known` says whether a peer names the address (`any` does not count as naming).
    """

    def __init__(self, known: Callable[[Address], bool]) -> None:
        self.known = known
        self._by_address: dict[Address, dict[Guest, bool]] = {}  # True: a stranger when it came
        self._total = 0
        self._strangers = 0

    def __len__(self) -> int:
        return self._total

    def enter(self, address: Address, guest: Guest, limits: ConnectionLimits) -> Guest | None:
        """Count a new connection in; returns the one that has to give way for it, if any.

        The cap of one address costs that address its oldest connection; the cap of all costs the oldest of
        the busiest address, so that many slow strangers push each other out and not the scanner next door.
        """
        crowd = self._by_address.get(address)
        stranger = not self.known(address)
        leaving: Guest | None = None
        if crowd is not None and len(crowd) >= limits.half_open_per_address:
            leaving = next(iter(crowd))
        elif self._total >= limits.half_open or (stranger and self._strangers >= limits.half_open * _STRANGERS_SHARE):
            leaving = self._oldest_of_busiest()
        self._by_address.setdefault(address, {})[guest] = stranger
        self._total += 1
        self._strangers += stranger
        return leaving

    def leave(self, address: Address, guest: Guest) -> None:
        """It sent its request, or is gone. Leaving twice is fine."""
        crowd = self._by_address.get(address)
        if crowd is None or guest not in crowd:
            return
        self._strangers -= crowd.pop(guest)
        self._total -= 1
        if not crowd:
            del self._by_address[address]

    def _oldest_of_busiest(self) -> Guest | None:
        crowds = self._by_address
        if not crowds:
            return None
        busiest = max(crowds, key=lambda address: (not self.known(address), len(crowds[address])))
        return next(iter(crowds[busiest]))


class Associations:
    """Admitted associations by gate, peer, address and archive."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.total = 0
        self._peers: dict[str, int] = {}
        self._addresses: dict[Address, int] = {}
        self._archives: dict[str, int] = {}

    def admit(self, permit: AssociationPermit) -> Deny | None:
        """Count one in, or say which cap is full: a transient refusal, so that a modality tries again."""
        route, address, limits = permit.route, permit.facts.origin.address, self.limits
        most_of_peer = route.peer.max_associations or limits.associations_per_peer
        caps = [
            (self.total, limits.associations, "limits.associations"),
            (self._peers.get(route.peer.name, 0), most_of_peer, "limits.associations_per_peer"),
            (self._addresses.get(address, 0), limits.associations_per_address, "limits.associations_per_address"),
        ]
        if route.direction is Direction.TO_ARCHIVE:
            archive = route.archive
            caps.append(
                (
                    self._archives.get(archive.name, 0),
                    archive.max_associations,
                    f"archive[{archive.name}].max_associations",
                )
            )
        for count, cap, rule in caps:
            if count >= cap:
                return Deny(rule, f"{count} associations are open and {cap} are allowed", Reject.LOCAL_LIMIT_EXCEEDED)
        self._count(permit, 1)
        return None

    def leave(self, permit: AssociationPermit) -> None:
        self._count(permit, -1)

    def of_archive(self, name: str) -> int:
        """How many are open to this archive. From any thread."""
        return self._archives.get(name, 0)

    def _count(self, permit: AssociationPermit, step: int) -> None:
        route = permit.route
        self.total += step
        _add(self._peers, route.peer.name, step)
        _add(self._addresses, permit.facts.origin.address, step)
        if route.direction is Direction.TO_ARCHIVE:
            _add(self._archives, route.archive.name, step)


def _add(counts: dict[Key, int], key: Key, step: int) -> None:
    """Hashing an address costs more than all else here, so it is done twice at most."""
    count = counts.get(key, 0) + step
    if count:
        counts[key] = count
    else:
        del counts[key]
