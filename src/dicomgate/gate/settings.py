"""What the gate needs to run, beside the rules: addresses, caps and deadlines as frozen values."""

from dataclasses import dataclass, field

from dicomgate.policy.model import NOBODY, Endpoint, Networks, Rules
from dicomgate.session.limits import SessionLimits


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One `[[listener]]`: where it binds and which load balancers must send a PROXY header."""

    name: str
    bind: Endpoint
    proxy_protocol_from: Networks = NOBODY


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


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Everything cli.py hands to the gate. Swapped as a whole on reload."""

    name: str
    listeners: tuple[ListenerSettings, ...]
    rules: Rules
    session: SessionLimits = field(default_factory=SessionLimits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    on_audit_failure: str = "refuse"
    """`refuse`: no association without a durable record; `continue`: let it pass and count it."""
