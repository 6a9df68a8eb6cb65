"""What can happen to a session, and what it can order. The driver turns the world into the former and
carries out the latter, in order, at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from dicomgate.audit.instance import Instance, Version
from dicomgate.audit.record import Record
from dicomgate.facts import Side
from dicomgate.identity.claims import Claims
from dicomgate.identity.verifier import Verification
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AssociationPermit, Permit


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from one side; the view is valid only while the event is handled."""

    side: Side
    data: memoryview


@dataclass(frozen=True, slots=True)
class HungUp:
    """One side closed or reset its connection."""

    side: Side
    why: str = "connection closed"


@dataclass(frozen=True, slots=True)
class Answered:
    """What the verifiers say of the claims."""

    verification: Verification


@dataclass(frozen=True, slots=True)
class Recorded:
    """The admission is on disk, or (`durable` False) cannot be put there."""

    durable: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """The party that was to be connected to has answered the TCP connect."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """None of its addresses could be connected to."""

    why: str


@dataclass(frozen=True, slots=True)
class TimeUp:
    """`Session.deadline` has passed."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """Bytes have waited for this side longer than `write_stall`."""

    side: Side


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The rules have changed; what they no longer allow ends now."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class Ordered:
    """The gate itself wants this connection gone: draining, its place is needed, or its user is no longer one."""

    why: str
    rule: str = "gate"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is stored of the instance that `Recall` with this number asked about; None when nothing is known of it."""

    number: int
    known: Version | None


@dataclass(frozen=True, slots=True)
class NotRecalled:
    """That cannot be said, and `why`; `refuse` says whether it is then to be refused."""

    number: int
    why: str
    refuse: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """The next piece of what was kept, in the order in which it came; `last` says that this is all of it."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class NotKept:
    """What was to be kept is lost, or there is no room for it, and `why`."""

    why: str


Event = (
    Received
    | HungUp
    | Answered
    | Recorded
    | Connected
    | Unreachable
    | TimeUp
    | Stalled
    | Reloaded
    | Ordered
    | Recalled
    | NotRecalled
    | Returned
    | NotKept
)


@dataclass(frozen=True, slots=True)
class Relay:
    """Send bytes that came from the other party. Cannot be built without the permit that allows them."""

    side: Side
    data: bytes | memoryview
    permit: Permit


@dataclass(frozen=True, slots=True)
class Say:
    """Send a PDU of our own: a rejection, an abort, a release, a refusing response."""

    side: Side
    data: bytes


@dataclass(frozen=True, slots=True)
class Verify:
    """Have claims verified by those named; answer with `Answered`."""

    claims: Claims
    verifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the connection this permit allows."""

    permit: AssociationPermit


@dataclass(frozen=True, slots=True)
class Close:
    """Close one side; `reset` throws away what it has not taken yet, and tells it so."""

    side: Side
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Keep records. With `durable`, answer with `Recorded` once they are on disk."""

    records: Sequence[Record]
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask what is stored of an instance; answer with `Recalled` or `NotRecalled`, always, and with this number."""

    number: int
    instance: Instance


@dataclass(frozen=True, slots=True)
class Pause:
    """Read no more from this side: the end of what it sent is held back, and nothing may overtake that."""

    side: Side


@dataclass(frozen=True, slots=True)
class Resume:
    """Read from this side again."""

    side: Side


@dataclass(frozen=True, slots=True)
class Keep:
    """Hold these bytes of the requestor's back, behind those before; the view is valid only now. See `Return`."""

    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Return:
    """Answer with `Returned`, once the acceptor has taken what it was sent before; or with `NotKept`."""


@dataclass(frozen=True, slots=True)
class Discard:
    """What was kept will not be wanted."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Both sides are done; nothing more will come from this session."""


Command = Relay | Say | Verify | Connect | Close | Write | Recall | Pause | Resume | Keep | Return | Discard | Finish
