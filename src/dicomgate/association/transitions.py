"""The state machine of PS3.8 9.2 as data: state and event to action and next state, for both roles.

Every transition lives here and nothing else does; the diagram docs/design/states.svg is drawn from it.
The table is total: a pair that PS3.8 table 9-10 leaves blank is `Impossible`, which means a bug of ours
(an event that our own side can only raise in other states), never a fault of the peer.
"""

from dataclasses import dataclass
from enum import StrEnum

from dicomgate.wire.codes import PduType


class State(StrEnum):
    """PS3.8 9.2.1."""

    IDLE = "Sta1"
    AWAITING_REQUEST = "Sta2"
    AWAITING_LOCAL_DECISION = "Sta3"
    AWAITING_CONNECTION = "Sta4"
    AWAITING_ANSWER = "Sta5"
    ESTABLISHED = "Sta6"
    AWAITING_RELEASE_REPLY = "Sta7"
    AWAITING_LOCAL_RELEASE = "Sta8"
    COLLISION_REQUESTOR_LOCAL = "Sta9"
    COLLISION_ACCEPTOR_REPLY = "Sta10"
    COLLISION_REQUESTOR_REPLY = "Sta11"
    COLLISION_ACCEPTOR_LOCAL = "Sta12"
    AWAITING_CLOSE = "Sta13"


class Occurrence(StrEnum):
    """PS3.8 9.2.2, table 9-10: what can happen, with its event number."""

    LOCAL_REQUEST = "Evt1"
    CONNECTED = "Evt2"
    RECEIVED_ACCEPT = "Evt3"
    RECEIVED_REJECT = "Evt4"
    INCOMING_CONNECTION = "Evt5"
    RECEIVED_REQUEST = "Evt6"
    LOCAL_ACCEPT = "Evt7"
    LOCAL_REJECT = "Evt8"
    LOCAL_DATA = "Evt9"
    RECEIVED_DATA = "Evt10"
    LOCAL_RELEASE = "Evt11"
    RECEIVED_RELEASE_REQUEST = "Evt12"
    RECEIVED_RELEASE_REPLY = "Evt13"
    LOCAL_RELEASE_REPLY = "Evt14"
    LOCAL_ABORT = "Evt15"
    RECEIVED_ABORT = "Evt16"
    CONNECTION_CLOSED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    RECEIVED_UNRECOGNIZED = "Evt19"


RECEIVED: dict[PduType, Occurrence] = {
    PduType.ASSOCIATE_RQ: Occurrence.RECEIVED_REQUEST,
    PduType.ASSOCIATE_AC: Occurrence.RECEIVED_ACCEPT,
    PduType.ASSOCIATE_RJ: Occurrence.RECEIVED_REJECT,
    PduType.P_DATA_TF: Occurrence.RECEIVED_DATA,
    PduType.RELEASE_RQ: Occurrence.RECEIVED_RELEASE_REQUEST,
    PduType.RELEASE_RP: Occurrence.RECEIVED_RELEASE_REPLY,
    PduType.ABORT: Occurrence.RECEIVED_ABORT,
}


class Action(StrEnum):
    """PS3.8 9.2.3, tables 9-6 to 9-9: what to do, with its name there."""

    CONNECT = "AE-1"
    SEND_REQUEST = "AE-2"
    CONFIRM_ACCEPT = "AE-3"
    CONFIRM_REJECT = "AE-4"
    START_ARTIM = "AE-5"
    JUDGE_REQUEST = "AE-6"
    SEND_ACCEPT = "AE-7"
    SEND_REJECT = "AE-8"
    SEND_DATA = "DT-1"
    DELIVER_DATA = "DT-2"
    SEND_RELEASE_REQUEST = "AR-1"
    DELIVER_RELEASE_REQUEST = "AR-2"
    CONFIRM_RELEASE = "AR-3"
    SEND_RELEASE_REPLY_AND_WAIT = "AR-4"
    STOP_ARTIM = "AR-5"
    DELIVER_DATA_WHILE_RELEASING = "AR-6"
    SEND_DATA_WHILE_RELEASING = "AR-7"
    DELIVER_COLLISION = "AR-8"
    SEND_RELEASE_REPLY = "AR-9"
    CONFIRM_RELEASE_IN_COLLISION = "AR-10"
    ABORT_AS_USER = "AA-1"
    CLOSE = "AA-2"
    DELIVER_ABORT = "AA-3"
    DELIVER_LOSS = "AA-4"
    FORGET = "AA-5"
    IGNORE = "AA-6"
    ABORT_AGAIN = "AA-7"
    ABORT_AS_PROVIDER = "AA-8"


class Role(StrEnum):
    """Which end of the association we are on this connection; it only matters when releases collide."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


@dataclass(frozen=True, slots=True)
class Transition:
    """What to do now and the state afterwards."""

    action: Action
    state: State


@dataclass(frozen=True, slots=True)
class Impossible:
    """PS3.8 table 9-10 leaves this cell blank: only a bug of ours can bring it about."""

    state: State
    occurrence: Occurrence


S, E, A = State, Occurrence, Action

_OPEN = (S.AWAITING_LOCAL_DECISION, S.AWAITING_ANSWER, S.ESTABLISHED, S.AWAITING_RELEASE_REPLY,
         S.AWAITING_LOCAL_RELEASE, S.COLLISION_REQUESTOR_LOCAL, S.COLLISION_ACCEPTOR_REPLY,
         S.COLLISION_REQUESTOR_REPLY, S.COLLISION_ACCEPTOR_LOCAL)  # fmt: skip
"""Sta3 and Sta5 to Sta12: where an unexpected PDU is answered with a provider abort."""


def _everywhere() -> dict[tuple[State, Occurrence], Transition]:
    """The cells that whole rows of table 9-10 share."""
    cells: dict[tuple[State, Occurrence], Transition] = {}
    for received in (*RECEIVED.values(), E.RECEIVED_UNRECOGNIZED):
        for state in _OPEN:
            cells[state, received] = Transition(A.ABORT_AS_PROVIDER, S.AWAITING_CLOSE)
        cells[S.AWAITING_REQUEST, received] = Transition(A.ABORT_AS_USER, S.AWAITING_CLOSE)
        cells[S.AWAITING_CLOSE, received] = Transition(A.IGNORE, S.AWAITING_CLOSE)
    for state in _OPEN:
        cells[state, E.LOCAL_ABORT] = Transition(A.ABORT_AS_USER, S.AWAITING_CLOSE)
        cells[state, E.RECEIVED_ABORT] = Transition(A.DELIVER_ABORT, S.IDLE)
        cells[state, E.CONNECTION_CLOSED] = Transition(A.DELIVER_LOSS, S.IDLE)
    return cells


TABLE: dict[tuple[State, Occurrence], Transition] = _everywhere() | {
    (S.IDLE, E.LOCAL_REQUEST): Transition(A.CONNECT, S.AWAITING_CONNECTION),
    (S.IDLE, E.INCOMING_CONNECTION): Transition(A.START_ARTIM, S.AWAITING_REQUEST),
    (S.AWAITING_REQUEST, E.RECEIVED_REQUEST): Transition(A.JUDGE_REQUEST, S.AWAITING_LOCAL_DECISION),
    (S.AWAITING_REQUEST, E.RECEIVED_ABORT): Transition(A.CLOSE, S.IDLE),
    (S.AWAITING_REQUEST, E.CONNECTION_CLOSED): Transition(A.FORGET, S.IDLE),
    (S.AWAITING_REQUEST, E.ARTIM_EXPIRED): Transition(A.CLOSE, S.IDLE),
    (S.AWAITING_LOCAL_DECISION, E.LOCAL_ACCEPT): Transition(A.SEND_ACCEPT, S.ESTABLISHED),
    (S.AWAITING_LOCAL_DECISION, E.LOCAL_REJECT): Transition(A.SEND_REJECT, S.AWAITING_CLOSE),
    (S.AWAITING_CONNECTION, E.CONNECTED): Transition(A.SEND_REQUEST, S.AWAITING_ANSWER),
    (S.AWAITING_CONNECTION, E.LOCAL_ABORT): Transition(A.CLOSE, S.IDLE),
    (S.AWAITING_CONNECTION, E.CONNECTION_CLOSED): Transition(A.DELIVER_LOSS, S.IDLE),
    (S.AWAITING_ANSWER, E.RECEIVED_ACCEPT): Transition(A.CONFIRM_ACCEPT, S.ESTABLISHED),
    (S.AWAITING_ANSWER, E.RECEIVED_REJECT): Transition(A.CONFIRM_REJECT, S.IDLE),
    (S.ESTABLISHED, E.LOCAL_DATA): Transition(A.SEND_DATA, S.ESTABLISHED),
    (S.ESTABLISHED, E.RECEIVED_DATA): Transition(A.DELIVER_DATA, S.ESTABLISHED),
    (S.ESTABLISHED, E.LOCAL_RELEASE): Transition(A.SEND_RELEASE_REQUEST, S.AWAITING_RELEASE_REPLY),
    (S.ESTABLISHED, E.RECEIVED_RELEASE_REQUEST): Transition(A.DELIVER_RELEASE_REQUEST, S.AWAITING_LOCAL_RELEASE),
    (S.AWAITING_RELEASE_REPLY, E.RECEIVED_DATA): Transition(A.DELIVER_DATA_WHILE_RELEASING, S.AWAITING_RELEASE_REPLY),
    (S.AWAITING_RELEASE_REPLY, E.RECEIVED_RELEASE_REPLY): Transition(A.CONFIRM_RELEASE, S.IDLE),
    (S.AWAITING_LOCAL_RELEASE, E.LOCAL_DATA): Transition(A.SEND_DATA_WHILE_RELEASING, S.AWAITING_LOCAL_RELEASE),
    (S.AWAITING_LOCAL_RELEASE, E.LOCAL_RELEASE_REPLY): Transition(A.SEND_RELEASE_REPLY_AND_WAIT, S.AWAITING_CLOSE),
    (S.COLLISION_REQUESTOR_LOCAL, E.LOCAL_RELEASE_REPLY): Transition(A.SEND_RELEASE_REPLY, S.COLLISION_REQUESTOR_REPLY),
    (S.COLLISION_ACCEPTOR_REPLY, E.RECEIVED_RELEASE_REPLY): Transition(
        A.CONFIRM_RELEASE_IN_COLLISION, S.COLLISION_ACCEPTOR_LOCAL
    ),
    (S.COLLISION_REQUESTOR_REPLY, E.RECEIVED_RELEASE_REPLY): Transition(A.CONFIRM_RELEASE, S.IDLE),
    (S.COLLISION_ACCEPTOR_LOCAL, E.LOCAL_RELEASE_REPLY): Transition(A.SEND_RELEASE_REPLY_AND_WAIT, S.AWAITING_CLOSE),
    (S.AWAITING_CLOSE, E.RECEIVED_REQUEST): Transition(A.ABORT_AGAIN, S.AWAITING_CLOSE),
    (S.AWAITING_CLOSE, E.RECEIVED_UNRECOGNIZED): Transition(A.ABORT_AGAIN, S.AWAITING_CLOSE),
    (S.AWAITING_CLOSE, E.RECEIVED_ABORT): Transition(A.CLOSE, S.IDLE),
    (S.AWAITING_CLOSE, E.CONNECTION_CLOSED): Transition(A.STOP_ARTIM, S.IDLE),
    (S.AWAITING_CLOSE, E.ARTIM_EXPIRED): Transition(A.CLOSE, S.IDLE),
}
"""Every cell of PS3.8 table 9-10 but the release collision in Sta7, which depends on the role."""

COLLISION: dict[Role, Transition] = {
    Role.REQUESTOR: Transition(A.DELIVER_COLLISION, S.COLLISION_REQUESTOR_LOCAL),
    Role.ACCEPTOR: Transition(A.DELIVER_COLLISION, S.COLLISION_ACCEPTOR_REPLY),
}


def after(role: Role, state: State, occurrence: Occurrence) -> Transition | Impossible:
    """The cell of table 9-10 for this state and event."""
    if state is S.AWAITING_RELEASE_REPLY and occurrence is E.RECEIVED_RELEASE_REQUEST:
        return COLLISION[role]
    return TABLE.get((state, occurrence)) or Impossible(state, occurrence)
