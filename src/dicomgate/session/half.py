"""One side's connection and its PS3.8 state."""

from dicomgate.association.transitions import Action, Impossible, Occurrence, Role, State, after


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
