"""One side's connection: its PS3.8 state, and what is on its way from it to the other side."""

from dataclasses import dataclass

from dicomgate.association.messages import MessageReader
from dicomgate.association.transitions import Action, Impossible, Occurrence, Role, State, after
from dicomgate.policy.verdict import Deny, OperationPermit
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.framer import Framer


class Half:
    """The state of PS3.8 9.2 towards one side. We are the acceptor for who came, the requestor for whom we call."""

    __slots__ = ("role", "state")

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = State.IDLE

    def on(self, occurrence: Occurrence) -> Action:
        """Take a transition; RuntimeError when only a bug of ours can have brought it about."""
        transition = after(self.role, self.state, occurrence)
        if isinstance(transition, Impossible):
            raise RuntimeError(f"{occurrence.name} in {self.state.name} towards the {self.role} is impossible")
        self.state = transition.state
        return transition.action

    @property
    def carries_data(self) -> bool:
        """May P-DATA-TF be sent to this side now? (Sta6, and Sta8 until we reply)"""
        return self.state in (State.ESTABLISHED, State.AWAITING_LOCAL_RELEASE)


@dataclass(slots=True)
class Operation:
    """A request that was sent on and has no final response yet."""

    permit: OperationPermit
    context_id: int
    rule: str
    started: float
    would_refuse: Deny | None = None
    bytes: int = 0
    responses: int = 0


@dataclass(slots=True)
class Drain:
    """A refused request whose data set is still arriving; `answer` is told when it has ended."""

    answer: bytes


class Flow:
    """What one side sends: its framing, the messages in it, and its requests that are not yet answered."""

    __slots__ = ("drain", "finishing", "framer", "mid_pdu", "outstanding", "passing", "reader", "waiting")

    def __init__(self, limits: SessionLimits) -> None:
        self.framer = Framer(limits.associate_pdu, limits.pdu)
        self.reader = MessageReader(limits.command_set)
        self.outstanding: dict[int, Operation] = {}
        self.passing: Operation | None = None
        """Whose data set is being relayed: while set, nothing else may be said to the receiver."""
        self.finishing: tuple[Operation, int] | None = None
        """The operation that ends with the data set under way, and its final status."""
        self.drain: Drain | None = None
        self.mid_pdu = False
        """The receiver is inside a PDU: even an A-ABORT would be taken for data now."""
        self.waiting: list[bytes] = []
        """Our own messages for the receiver, held until the message under way has ended (PS3.8 E.1)."""
