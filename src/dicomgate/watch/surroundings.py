"""A configuration, seen from beside: what the parties on the wire are called in it. Pure.

Without one nothing has a name, and nothing is unknown.
"""

from dicomgate.policy.model import Rules
from dicomgate.watch.packets import Address

TO_PEER = {"direction": "to_peer"}
"""What a gate's records say of an association that an archive makes, to send a peer what it asked for."""


class Surroundings:
    """`gates` are the addresses of the gate itself."""

    def __init__(self, rules: Rules | None = None, gates: frozenset[str] = frozenset()) -> None:
        self.rules = rules
        self._gates = gates
        archives = () if rules is None else rules.archives
        peers = () if rules is None else rules.peers
        self._archives = {(place.host, place.port): archive for archive in archives for place in archive.endpoints}
        self._by_title = {archive.ae_title: archive for archive in archives}
        self._listening = {(peer.endpoint.host, peer.endpoint.port) for peer in peers if peer.endpoint is not None}

    def is_gate(self, address: Address) -> bool:
        return str(address) in self._gates

    def is_protected(self, server: Address, port: int) -> bool:
        """Does an archive or a peer of the configuration listen there?"""
        return (str(server), port) in self._archives or (str(server), port) in self._listening

    def archive(self, server: Address, port: int, called_ae_title: str) -> str | None:
        """The name of the archive that was called: by where it listens, or by its title where the gate was called."""
        archive = self._archives.get((str(server), port))
        if archive is None and self.is_gate(server):
            archive = self._by_title.get(called_ae_title)
        return None if archive is None else archive.name

    def calling_archive(self, client: Address, calling_ae_title: str) -> str | None:
        """The name of the archive that calls a peer."""
        for archive in () if self.rules is None else self.rules.archives:
            if calling_ae_title in archive.calling_ae_titles and client in archive.networks:
                return archive.name
        return None

    def peer(self, client: Address, calling_ae_title: str) -> str | None:
        """The name of the peer that has this title and this address."""
        for peer in () if self.rules is None else self.rules.peers:
            if client in peer.networks and peer.has_title(calling_ae_title):
                return peer.name
        return None

    def is_known(self, client: Address, calling_ae_title: str) -> bool:
        """Has the configuration a party of this title and address? The gate calls under its clients' titles."""
        return (
            self.is_gate(client)
            or self.peer(client, calling_ae_title) is not None
            or self.calling_archive(client, calling_ae_title) is not None
        )
