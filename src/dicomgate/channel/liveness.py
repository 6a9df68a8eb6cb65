"""Is a tunnel up? Looks at it in, with the time; a state out. Pure: no clock, no socket.

A tunnel that says nothing is not believed for long: what is up must show a sign of life within `dead_after`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a tunnel.

    `wrong`: why it does not carry traffic by its own account; None when it does. `received`: bytes from the other end
    so far. `waiting`: a sign of life is due (a question is unanswered, or the other end has promised one).
    """

    wrong: str | None
    received: int = 0
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """`since` and `seen` are seconds of a steady clock: of the last change, and of the last look that succeeded."""

    up: bool
    why: str
    since: float
    seen: float


class Liveness:
    """Follows one tunnel. `patience`: seconds that a sign of life may be due; `unseen`: that no look may succeed."""

    def __init__(self, patience: float, unseen: float, now: float) -> None:
        self._patience = patience
        self._unseen = unseen
        self._received: int | None = None
        self._quiet_since = now
        self.state = State(False, "not looked at yet", now, now)

    def see(self, look: Look, now: float) -> State:
        """What the tunnel says, believed as long as the other end shows that it is there."""
        if look.received != self._received or not look.waiting:
            self._received = look.received
            self._quiet_since = now
        quiet = now - self._quiet_since
        if look.wrong is not None:
            return self._become(False, look.wrong, now, seen=now)
        if quiet >= self._patience:
            return self._become(False, "the other end has fallen silent", now, seen=now)
        return self._become(True, "it carries traffic", now, seen=now)

    def cannot_see(self, why: str, now: float) -> State:
        """The look failed. One that fails may be chance; what has not been seen for `unseen` seconds is down."""
        if self.state.up and now - self.state.seen < self._unseen:
            return self.state
        return self._become(False, why, now, seen=self.state.seen)

    def _become(self, up: bool, why: str, now: float, *, seen: float) -> State:
        since = self.state.since if up == self.state.up else now
        self.state = State(up, why, since, seen)
        return self.state
