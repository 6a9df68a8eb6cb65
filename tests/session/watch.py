"""A session under watch, and a conversation to start from: for the properties and for fuzz/fuzz_session.py."""

from dataclasses import dataclass, field

from dicomgate.audit.record import Event as About
from dicomgate.audit.record import Outcome, Record
from dicomgate.facts import Side
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AssociationPermit, OperationPermit
from dicomgate.session.events import (
    Close,
    Command,
    Connect,
    Connected,
    Event,
    Finish,
    HungUp,
    Pause,
    Recall,
    Received,
    Recorded,
    Relay,
    Resume,
    Say,
    TimeUp,
    Write,
)
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codes import Rejection
from dicomgate.wire.pdu import Abort, AssociateReject, ReleaseReply, ReleaseRequest
from playbook import REQUESTOR, STARTED, Playbook, acceptor, data_set, message, requestor
from session.cast import (
    GET_ROLE,
    ON_COMMIT,
    ON_ECHO,
    ON_FIND,
    ON_GET,
    ON_MOVE,
    ON_STORE,
    accept,
    answer,
    cancel,
    echo,
    find,
    get,
    move,
    report,
    request,
    store,
)
from session.reference import Control, Pdv, messages, pdus
from wire.vector_files import corpus

LIMITS = SessionLimits(associate_pdu=4000, pdu=2000, command_set=400, outstanding_operations=3)


@dataclass
class Watch:
    """Feeds a session and holds it to what must be true whatever happens."""

    policy: Policy
    address: str = "10.1.2.40"
    durable: bool = False
    connected: bool = False
    connects: int = 0
    recalls: int = 0
    paused: bool = False
    closed: set[Side] = field(default_factory=set)
    reset: set[Side] = field(default_factory=set)
    silent: set[Side] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    sent: dict[Side, bytearray] = field(default_factory=lambda: {side: bytearray() for side in Side})
    finishes: int = 0

    def __post_init__(self) -> None:
        self.now = STARTED
        self.session = Playbook(self.policy, address=self.address, limits=LIMITS).session

    def feed(self, event: Event) -> None:
        self.now += 0.5
        self.durable |= event == Recorded(True)
        self.connected |= self.connects > 0 and isinstance(event, Connected)
        for command in self.session.handle(event, self.now):
            assert not self.finishes, "an order after the end"
            self._check(command)
        assert self.session.finished is (self.finishes == 1)
        assert self.session.deadline >= STARTED

    def _check(self, command: Command) -> None:
        match command:
            case Relay(side, data, permit):
                assert isinstance(permit, AssociationPermit | OperationPermit)
                assert side is REQUESTOR or (self.durable and self.connected)
                self._sends(side, bytes(data))
            case Say(side, data):
                assert side is REQUESTOR or self.connected
                self._sends(side, data)
                if data[0] in (3, 6, 7):  # RJ, RELEASE-RP, ABORT
                    self.silent.add(side)
            case Connect(permit):
                assert isinstance(permit, AssociationPermit)
                assert self.durable
                self.connects += 1
                assert self.connects == 1
            case Close(side, reset):
                assert side not in self.closed
                self.closed.add(side)
                if reset:
                    self.reset.add(side)
            case Write(records):
                self.records += records
            case Recall(number):
                assert number == self.recalls + 1
                self.recalls = number
            case Pause(side):
                assert side is REQUESTOR
                self.paused = True
            case Resume(side):
                assert side is REQUESTOR
                assert self.paused
                self.paused = False
            case Finish():
                self.finishes += 1

    def _sends(self, side: Side, data: bytes) -> None:
        assert side not in self.closed, f"bytes for the {side} after it was closed"
        assert side not in self.silent or data[:1] == b"\x07", f"bytes for the {side} after the last word to it"
        self.sent[side] += data

    def end(self, by_the_clock: bool) -> None:
        """However it stands, it ends: by the clock alone, or because both have gone."""
        for _ in range(4):
            if not self.session.finished and by_the_clock:
                self.feed(TimeUp())
        for side in Side:
            self.feed(HungUp(side))
        assert self.session.finished
        assert not self.paused
        self._streams()
        self._books()

    def _streams(self) -> None:
        """Each side got whole PDUs in canonical form, none longer than it takes, unless it was reset in the middle."""
        for side, stream in self.sent.items():
            parts, rest = pdus(bytes(stream))
            assert not rest or side in self.reset or side in self.closed
            assert all(isinstance(part, Control) or part.canonical for part in parts)
            messages([part for part in parts if isinstance(part, Pdv)])
            assert all(part.pdu_length <= 2000 for part in parts if isinstance(part, Pdv))

    def _books(self) -> None:
        """Every admission has one end, every operation one record."""
        told = [record.event for record in self.records]
        admitted = told.count(About.ASSOCIATION_ADMITTED)
        ended = [record for record in self.records if record.event is About.ASSOCIATION_ENDED]
        assert admitted <= 1
        assert told.count(About.ASSOCIATION_REFUSED) + told.count(About.CONNECTION_REFUSED) + len(ended) <= 1
        assert len(ended) + told.count(About.ASSOCIATION_REFUSED) >= admitted
        changed = [r for r in self.records if r.event is About.INSTANCE_CHANGED and r.outcome is Outcome.REFUSED]
        operations = told.count(About.OPERATION), told.count(About.OPERATION_REFUSED) + len(changed)
        counted = [(end.detail["operations"], end.detail["refused_operations"]) for end in ended]
        assert operations == (counted[0] if counted else (0, 0))


# -- a conversation ----------------------------------------------------------------------------------------

ASKED = request("WS1", role_selections=(GET_ROLE,), maximum_length=2000)
ANSWERED = accept(ON_ECHO, ON_STORE, ON_FIND, ON_MOVE, ON_GET, role_selections=(GET_ROLE,), maximum_length=2000)
MATCH = message(ON_FIND, answer(find(2), 0xFF00, data=True), bytes(300), fragment=100)
CONVERSATION: list[Event] = [
    requestor(ASKED),
    Recorded(True),
    Connected(),
    acceptor(ANSWERED),
    requestor(message(ON_ECHO, echo(1))),
    acceptor(message(ON_ECHO, answer(echo(1)))),
    requestor(message(ON_FIND, find(2), b"keys")),
    acceptor(MATCH, MATCH[:150]),
    requestor(message(ON_MOVE, move("CT1", 3), b"keys")),
    acceptor(MATCH[150:]),
    requestor(message(ON_FIND, cancel(2))),
    acceptor(message(ON_FIND, answer(find(2), 0xFE00))),
    requestor(message(ON_GET, get(4), b"keys")),
    acceptor(message(ON_STORE, store(1), bytes(500), fragment=200)),
    requestor(message(ON_STORE, answer(store(1)))),
    acceptor(message(ON_GET, answer(get(4), 0xB000, data=True), b"failed")),
    requestor(ReleaseRequest()),
    acceptor(ReleaseReply()),
    HungUp(REQUESTOR),
]
SAID = [
    bytes(event.data) for event in CONVERSATION if isinstance(event, Received)
] + [
    message(ON_ECHO, answer(echo(1))),
    message(ON_STORE, store(9), b"image"),
    message(ON_STORE, store(9, "../x"), b"image"),
    message(ON_STORE, store(9)),
    message(ON_COMMIT, report(9), b"safe"),
    message(ON_ECHO, echo(9)),
    data_set(ON_STORE, b"more", last=False),
    data_set(ON_STORE, b"rest"),
    *(bytes(requestor(pdu).data) for pdu in (Abort(), ReleaseRequest(), ReleaseReply())),
    bytes(requestor(AssociateReject(Rejection(1, 1, 1))).data),
    *corpus("pdu").values(),
]  # fmt: skip
