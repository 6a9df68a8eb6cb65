"""What the gate needs to run, beside the rules: addresses, caps and deadlines as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dicomgate.detect.settings import DetectSettings
from dicomgate.policy.model import NOBODY, Endpoint, Networks, Rules
from dicomgate.policy.verdict import Direction, Route
from dicomgate.session.limits import SessionLimits


class TlsProfile(StrEnum):
    """Which TLS is spoken; docs/howto/tls.md describes each."""

    BCP195 = "bcp195"
    MODIFIED_BCP195 = "modified-bcp195"
    TLS13_ONLY = "tls13-only"
    UNSAFE_LEGACY = "unsafe-legacy"


@dataclass(frozen=True, slots=True)
class NamedIdentity:
    """A certificate that is shown to clients that ask for one of these names (SNI, RFC 6066 3)."""

    names: tuple[str, ...]
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The gate as a TLS server. Without `client_ca` no client is asked for a certificate.

    Who asks for a name of none of `others`, or for no name, is shown `certificate`.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_certificate_required: bool = True
    crl: Path | None = None
    profile: TlsProfile = TlsProfile.BCP195
    others: tuple[NamedIdentity, ...] = ()
    ocsp: bool = False
    """Ask the authority of each client certificate whether it still holds; no answer is no."""
    ocsp_responder: str | None = None
    """Where to ask; None stands for the address in the certificate."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The gate as a TLS client: `certificate` and `key` are its own, if it must show one.

    `name` is the one that the other side's certificate must bear; None stands for the host connected to.
    `spki`: if not empty, its public key must be one of these (SHA-256, lower-case hexadecimal).
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    name: str | None = None
    spki: frozenset[str] = frozenset()
    profile: TlsProfile = TlsProfile.BCP195


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One `[[listener]]`: where it binds, which load balancers must send a PROXY header, and its TLS, if any."""

    name: str
    bind: Endpoint
    proxy_protocol_from: Networks = NOBODY
    tls: ServerTls | None = None


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Caps on how many; config keys of the same names stand in [limits]."""

    associations: int = 2000
    associations_per_peer: int = 100
    associations_per_address: int = 200
    half_open: int = 1000
    """Connections that have not yet sent a whole A-ASSOCIATE-RQ, all addresses together."""
    half_open_per_address: int = 20
    drain: float = 30.0
    """Seconds that running associations get after SIGTERM before they are aborted."""
    held_objects: int = 8 * 1024**3
    """Bytes of data sets that are held back as a whole, all associations together."""
    recall: float = 5.0
    """Seconds from asking what is known of a SOP instance to the answer."""


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Everything cli/ hands to the gate. Swapped as a whole on reload."""

    name: str
    listeners: tuple[ListenerSettings, ...]
    rules: Rules
    session: SessionLimits = field(default_factory=SessionLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    on_audit_failure: str = "refuse"
    """`refuse`: no association without a durable record; `continue`: let it pass and count it."""
    detect: DetectSettings = field(default_factory=DetectSettings)
    archive_tls: Mapping[str, ClientTls] = field(default_factory=dict)
    """By name of the archive; one that is missing is spoken to in plaintext."""
    peer_tls: Mapping[str, ClientTls] = field(default_factory=dict)
    """The same for peers that an archive calls back."""

    def called_tls(self, route: Route) -> ClientTls | None:
        """How the party at the end of this route is spoken to; None in plaintext."""
        held = self.archive_tls if route.direction is Direction.TO_ARCHIVE else self.peer_tls
        return held.get(route.name)
