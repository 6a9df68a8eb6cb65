"""Sites and the tunnels between them, as config/ read them: frozen values, no I/O. Paths are absolute."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

from dicomgate.facts import Address
from dicomgate.policy.model import Endpoint, Networks


class ChannelKind(StrEnum):
    IPSEC = "ipsec"
    WIREGUARD = "wireguard"


class Termination(StrEnum):
    """Where a tunnel ends at one site, seen from its gate."""

    GATE_HOST = "gate-host"
    """The gate's own machine: it can ask the tunnel itself."""
    SEPARATE_HOST = "separate-host"
    """Another machine of this site: dicomgate renders its files, and does not run there."""
    ROUTER = "router"
    """Somebody else's device: dicomgate renders a sheet of parameters for its administrator."""


class Authentication(StrEnum):
    """How the two ends of an IPsec tunnel know each other (RFC 7296 2.15). WireGuard has its own key pairs."""

    CERTIFICATE = "certificate"
    PSK = "psk"


class Start(StrEnum):
    """When an IPsec tunnel comes up."""

    START = "start"
    """At once, and again when it goes down."""
    TRAP = "trap"
    """When the first packet wants to pass; until then the packet waits, and never leaves in clear."""


@dataclass(frozen=True, slots=True)
class Site:
    """One place with networks of its own. `address` is its public one (None: dynamic, or behind NAT);
    `gate` is where its gate is inside (None: it has none)."""

    name: str
    networks: Networks
    address: str | None = None
    gate: Address | None = None
    own: bool = False
    """The site that the configuration is for."""


@dataclass(frozen=True, slots=True)
class ChannelEnd:
    """One end of a tunnel. `networks` is what may pass there, never empty and never `any`.

    `address` is a host name or literal address; None: the other end must wait to be called.
    `identity` is what this end calls itself in IKE; `certificate` and `private_key` are files of an end that is ours.
    `public_key` (WireGuard, base64), `port` (WireGuard, UDP), `tunnel_address` (of the WireGuard interface).
    `interface` and `mark` (SO_MARK, or a netfilter mark) are by what the gate knows a connection from this tunnel.
    `sign_of_life`: who at the other site takes TCP connections, where the tunnel itself cannot be asked.
    """

    site: Site
    networks: Networks
    termination: Termination = Termination.GATE_HOST
    address: str | None = None
    identity: str | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    public_key: str | None = None
    port: int = 51820
    tunnel_address: IPv4Interface | IPv6Interface | None = None
    interface: str | None = None
    mark: int | None = None
    sign_of_life: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """A tunnel between two sites.

    `ports`: the TCP ports that may pass between the networks; empty: every protocol and port.
    `authentication` is None for WireGuard. `psk_file` holds the IPsec secret, or WireGuard's additional one.
    `dead_after` (seconds): silence after which the tunnel counts as down. `rekey_after`: age of a key, seconds.
    """

    name: str
    kind: ChannelKind
    ends: tuple[ChannelEnd, ChannelEnd]
    ports: tuple[int, ...] = ()
    authentication: Authentication | None = None
    ca: Path | None = None
    psk_file: Path | None = None
    start: Start = Start.START
    dead_after: float = 30.0
    rekey_after: float = 3600.0

    @property
    def own(self) -> ChannelEnd | None:
        """The end at the site the configuration is for; None when both are elsewhere."""
        return next((end for end in self.ends if end.site.own), None)

    @property
    def remote(self) -> ChannelEnd | None:
        """The end at the other site; None when both are elsewhere."""
        return None if self.own is None else next((end for end in self.ends if not end.site.own), None)

    def key(self, name: str) -> str:
        """Where the configuration names something of this channel: `channel[NAME].ends.key`."""
        return f"channel[{self.name}].{name}"
