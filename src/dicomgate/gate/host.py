"""What doors and connections may ask of the gate they belong to; `Gate` is the only host outside the tests."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from dicomgate.audit.instance import Instance, Known
from dicomgate.audit.patient import Conceal
from dicomgate.audit.record import Record
from dicomgate.audit.sink import Recorded
from dicomgate.facts import Origin
from dicomgate.gate.bans import Bans
from dicomgate.gate.buffers import Buffers
from dicomgate.gate.census import Associations, HalfOpen
from dicomgate.gate.credentials import Credentials
from dicomgate.gate.kept import Kept
from dicomgate.gate.poller import Poller
from dicomgate.gate.settings import GateSettings, ListenerSettings, ServerTls
from dicomgate.gate.upstream import SocketAddress, Upstreams
from dicomgate.identity.claims import Claims
from dicomgate.identity.verifier import Verification
from dicomgate.policy.policy import Policy
from dicomgate.session.session import Session, UpstreamToken
from dicomgate.session.under_way import UnderWay


class Revocations(Protocol):
    """Who can say whether a certificate has been revoked; never blocks its caller."""

    def ask(self, certificate: bytes, tls: ServerTls, done: Callable[[str | None], None]) -> None:
        """`certificate` (DER) came to a listener with `tls`. `done` is called once, on the loop: None, or why not."""


class Channels(Protocol):
    """Who knows which tunnels are up, and what came through one; never blocks its caller."""

    def carrier_of(self, sock: socket.socket) -> str | None:
        """The channel that is up and is proven to have carried this accepted connection, by name; None: no channel."""

    def closed_to(self, host: str) -> str | None:
        """The channel that alone may carry what is sent to this literal address, and is down; None: send it."""


class Guest(Protocol):
    """A connection that holds a place before it has asked for an association."""

    origin: Origin

    def give_way(self) -> None:
        """Leave: the place is needed."""


class Host(Protocol):
    """The gate, seen from inside. `settings` and `policy` are replaced as a whole on reload: do not keep them."""

    loop: asyncio.AbstractEventLoop
    settings: GateSettings
    policy: Policy
    poller: Poller
    buffers: Buffers
    upstreams: Upstreams
    credentials: Credentials
    associations: Associations
    bans: Bans
    half_open: HalfOpen[Guest]
    upstream_token: UpstreamToken
    revocations: Revocations | None
    channels: Channels | None
    under_way: UnderWay
    conceal: Conceal | None
    kept: Kept

    def now(self) -> float:
        """Seconds of a steady clock."""

    def wall(self, now: float) -> float:
        """Seconds since 1970 for a moment of the steady clock."""

    def new_refusal_id(self) -> str:
        """An ID that no other refusal has."""

    def admit(self, sock: socket.socket, origin: Origin) -> None:
        """Start a session on a connection that may go on."""

    def make_room(self, origin: Origin, guest: Guest) -> None:
        """Count a half-open connection in."""

    def verify(self, claims: Claims, verifiers: tuple[str, ...], done: Callable[[Verification], None]) -> None:
        """Ask those who can vouch for a user; `done` is called once, later."""

    def recall(self, instance: Instance, done: Callable[[Known], None]) -> None:
        """Ask what is stored of an instance; `done` is called once, later, and within `limits.recall`."""

    def forget(self, guest: Guest) -> None:
        """It is closed on both sides."""

    def refuse_connection(self, origin: Origin, rule: str, reason: str) -> None:
        """Record that a connection was closed before a session began."""

    def write(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        """Keep records."""

    def report_bug(self, session: Session, bug: Exception) -> None:
        """Log where a bug was met."""

    def report_unreachable(self, address: SocketAddress, why: str) -> None:
        """Log that a connect failed."""

    def report_out_of_places(self, error: OSError) -> None:
        """Log that there is no descriptor left."""


class Arrival(Protocol):
    """A connection whose bytes are not DICOM yet: a PROXY header or a TLS handshake is still to come."""

    origin: Origin
    deadline: float

    def late(self) -> None:
        """Its deadline has passed."""

    def drop(self) -> None:
        """Close without a word."""


class Entrance(Protocol):
    """The door, seen by those who are still coming in."""

    settings: ListenerSettings

    @property
    def tls_rule(self) -> str:
        """The key that asks for TLS, for records."""

    def refuse(self, origin: Origin, rule: str, reason: str) -> None:
        """Record a refusal."""

    def arrived(self, arrival: "Arrival") -> None:
        """It was handed on, or is gone."""
