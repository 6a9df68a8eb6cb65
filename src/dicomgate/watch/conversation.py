"""Both directions of one TCP connection in; what kind of conversation it is, and who does what in it, out. Pure.

Only headers, command sets and the keys of queries are read; data sets are counted and forgotten. A stream that is not
DICOM and not TLS costs nothing more than that verdict. What happens goes to its chronicle as it happens.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from dicomgate.association.messages import CommandReceived, MessageReader
from dicomgate.audit.record import Outcome
from dicomgate.facts import Side
from dicomgate.policy.verbs import service_of
from dicomgate.watch.chronicle import Chronicle
from dicomgate.watch.operations import Operation, Operations
from dicomgate.watch.streams import Gap
from dicomgate.wire.client_hello import ClientHello, MoreNeeded, parse_client_hello
from dicomgate.wire.codec import decode
from dicomgate.wire.codes import ContextResult, PduType
from dicomgate.wire.framer import Broken, CommandFragment, ControlPdu, DataRun, Framer
from dicomgate.wire.pdu import Abort, AssociateAccept, AssociateReject, AssociateRequest, Malformed, Pdu
from dicomgate.wire.text import trim_ae_title

LONGEST_ASSOCIATE = 256 * 1024
"""Bytes of an A-ASSOCIATE that is looked at; held while it comes."""
LONGEST_COMMAND = 16 * 1024
_LONGEST_PDU = 0xFFFF_FFFF
_ANY_CONTEXT = frozenset(range(1, 256, 2))
_LONGEST_START = 16 * 1024
_ASSOCIATE_SHORTEST = 68
PATIENCE = 15.0
"""Seconds within which a connection to a DICOM server should have made its request; a gate closes then."""


class Kind(StrEnum):
    """What a connection turned out to be."""

    UNDECIDED = "undecided"
    DICOM = "dicom"
    TLS = "tls"
    OTHER = "other"


class End(StrEnum):
    """How an association ended, as far as was seen."""

    OPEN = "open"
    RELEASED = "released"
    REJECTED = "rejected"
    ABORTED = "aborted"
    CLOSED = "closed"


@dataclass(slots=True)
class Conversation:
    """What is known of one connection. Its requestor is who opened it, or who spoke first."""

    kind: Kind = Kind.UNDECIDED
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    implementation_version_name: str | None = None
    server_name: str | None = None
    """With TLS: the name the client asked for."""
    offers_dicom: bool | None = None
    """With TLS: whether `dicom` was among the application protocols; None when none were offered."""
    accepted: bool | None = None
    end: End = End.OPEN
    verbs: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    """Bytes that were sent and never seen; behind them nothing is understood any more in that direction, unless they
    lay amid a fragment of a data set."""
    joined_late: bool = False
    """Its beginning was not captured."""
    unlike: str | None = None
    """Why it is no DICOM, in words of our own."""


class Listener:
    """Listens to one connection. `known` says that its beginning was seen (a SYN), at `time`."""

    __slots__ = ("_began", "_chronicle", "_deaf", "_framers", "_keepers", "_messages", "_operations", "_released_by",
                 "_requested", "_start", "_status", "_wrong", "conversation")  # fmt: skip

    def __init__(self, chronicle: Chronicle, time: float, *, known: bool) -> None:
        self.conversation = Conversation(joined_late=not known)
        self._chronicle = chronicle
        self._began = time
        self._start = bytearray()
        self._framers: dict[Side, Framer] = {}
        self._messages: dict[Side, MessageReader] = {}
        self._keepers: tuple[Framer | MessageReader, ...] = ()
        self._operations = Operations()
        self._deaf: set[Side] = set()
        self._requested = False
        self._released_by: Side | None = None
        self._status: tuple[Side, str] | None = None
        """Who aborted an association that was under way, and with which words."""
        self._wrong: tuple[Side, str] | None = None
        """Who left the protocol first, and how."""

    @property
    def held(self) -> int:
        """Bytes that are kept for the moment, because they are a part of something."""
        if not self._framers:
            return len(self._start)
        held = self._operations.held
        for each in self._keepers:
            held += each.held
        return held

    def hear(self, side: Side, piece: memoryview | bytes | Gap, time: float) -> None:
        """The next bytes of one direction."""
        told = self.conversation
        if isinstance(piece, Gap):
            told.lost += piece.size
            framer = self._framers.get(side)
            if framer is not None and side not in self._deaf and framer.skip(piece.size):
                self._operations.missed(side, piece.size)
                return
            self._deaf.add(side)
            if told.kind is Kind.UNDECIDED and side is Side.REQUESTOR:
                told.kind = Kind.OTHER
            return
        if side in self._deaf or told.kind in (Kind.OTHER, Kind.TLS):
            return
        if told.kind is Kind.DICOM:
            self._follow(side, memoryview(piece), time)
        elif side is Side.REQUESTOR:
            self._begin(piece, time)

    def hang_up(self, time: float, byte_count: int, by: Side | None, *, dicom_server: bool) -> None:
        """The connection has ended. `by` closed it first; `dicom_server`: where it went, DICOM is spoken."""
        told, chronicle = self.conversation, self._chronicle
        if told.end is End.OPEN:
            told.end = End.CLOSED
        for operation in self._operations.rest():
            self._over(operation, time)
        if told.accepted or (self._requested and told.accepted is None):
            self._say_how_it_ended(time, byte_count, by)
        elif not self._requested and dicom_server and not told.joined_late and not told.lost:
            why = told.unlike if self._wrong is None else self._wrong[1]
            if why is not None:
                chronicle.turned_away(f"not DICOM: {why}", "malformed", time)

    def lose_patience(self, time: float, *, dicom_server: bool) -> None:
        """PATIENCE is over. A DICOM server that has heard no request by now is being held up."""
        told = self.conversation
        undecided = told.kind in (Kind.UNDECIDED, Kind.DICOM) and not self._requested and self._wrong is None
        if undecided and dicom_server and not told.lost:
            self._chronicle.turned_away(f"no A-ASSOCIATE-RQ within {PATIENCE:g} s", None, time)

    def _say_how_it_ended(self, time: float, byte_count: int, by: Side | None) -> None:
        told = self.conversation
        outcome, reason, rule, status = Outcome.FAILURE, "the connection was closed", None, None
        if self._wrong is not None:
            (by, reason), rule = self._wrong, "malformed"
        elif told.end is End.RELEASED:
            outcome, reason, by = Outcome.SUCCESS, "released", self._released_by
        elif self._status is not None:
            (by, status), reason = self._status, "aborted"
        elif self._deaf:
            reason, by = "its end was not seen", None
        elif told.accepted is None:
            reason = "never answered"
        self._chronicle.ended(
            outcome, reason, time, by=by, rule=rule, status=status, byte_count=byte_count, began=self._began
        )

    def _begin(self, piece: memoryview | bytes, time: float) -> None:
        start, told = self._start, self.conversation
        taken = min(len(piece), _LONGEST_START - len(start))
        start += piece[:taken]
        if start[:1] == b"\x16":
            match parse_client_hello(bytes(start)):
                case MoreNeeded():
                    return
                case ClientHello(protocols, name):
                    told.kind, told.server_name = Kind.TLS, name
                    told.offers_dicom = None if protocols is None else b"dicom" in protocols
                case _:
                    told.kind, told.unlike = Kind.OTHER, "a TLS handshake that cannot be read"
            start.clear()
        elif begins_association(start):
            if len(start) >= 6:
                told.kind = Kind.DICOM
                for side in Side:
                    self._framers[side] = Framer(LONGEST_ASSOCIATE, _LONGEST_PDU)
                    self._messages[side] = reader = MessageReader(LONGEST_COMMAND)
                    reader.contexts = _ANY_CONTEXT
                self._keepers = (*self._framers.values(), *self._messages.values())
                whole = bytes(start) + bytes(piece[taken:])
                start.clear()
                self._follow(Side.REQUESTOR, memoryview(whole), time)
        else:
            told.kind, told.unlike = Kind.OTHER, _unlike(start)
            start.clear()

    def _follow(self, side: Side, piece: memoryview, time: float) -> None:
        for frame in self._framers[side].feed(piece):
            match frame:
                case ControlPdu(kind, body):
                    self._control(side, kind, body, time)
                case CommandFragment():
                    message = self._messages[side].fragment(frame)
                    if isinstance(message, CommandReceived):
                        self._command(side, message, time)
                    elif isinstance(message, Malformed):
                        self._lost_track(side, message.why)
                        return
                case DataRun():
                    if (wrong := self._messages[side].run(frame)) is not None:
                        self._lost_track(side, wrong.why)
                        return
                    for operation in self._operations.data(side, frame):
                        self._over(operation, time)
                case Broken(why, _):
                    self._lost_track(side, why)
                    return

    def _lost_track(self, side: Side, why: str) -> None:
        """This side has left the protocol: nothing behind it is understood."""
        self._deaf.add(side)
        if self._wrong is None:
            self._wrong = (side, why)

    def _control(self, side: Side, kind: PduType, body: bytes, time: float) -> None:
        told = self.conversation
        match kind:
            case PduType.RELEASE_RQ:
                self._released_by = self._released_by or side
                return
            case PduType.RELEASE_RP:
                told.end = End.RELEASED
                return
            case _:
                pdu = decode(kind, body)
        if isinstance(pdu, Malformed):
            self._lost_track(side, pdu.why)  # it was DICOM all the same
            return
        if isinstance(pdu, Abort):
            self._aborted(side, f"abort {pdu.source}/{pdu.reason}", time)
        elif side is Side.REQUESTOR:
            if isinstance(pdu, AssociateRequest) and not self._requested:
                self._begun(pdu, time)
        elif self._requested and told.accepted is None:
            self._answered(pdu, time)

    def _begun(self, request: AssociateRequest, time: float) -> None:
        told = self.conversation
        self._requested = True
        told.calling_ae_title = trim_ae_title(request.calling_ae_title) or ""
        told.called_ae_title = trim_ae_title(request.called_ae_title) or ""
        told.implementation_version_name = request.user_information.implementation_version_name
        proposed = request.presentation_contexts
        self._operations.abstract_syntaxes = {each.context_id: each.abstract_syntax for each in proposed}
        self._chronicle.requested(request, time)

    def _answered(self, pdu: Pdu, time: float) -> None:
        told = self.conversation
        if isinstance(pdu, AssociateAccept):
            told.accepted = True
            accepted = [each for each in pdu.presentation_contexts if each.result is ContextResult.ACCEPTANCE]
            self._operations.transfer_syntaxes = {each.context_id: each.transfer_syntax for each in accepted}
            self._chronicle.admitted(pdu, time)
        elif isinstance(pdu, AssociateReject):
            told.accepted, told.end = False, End.REJECTED
            self._chronicle.refused(str(pdu.rejection), time)

    def _aborted(self, side: Side, status: str, time: float) -> None:
        told = self.conversation
        told.end = End.ABORTED
        if told.accepted is None and self._requested and side is Side.ACCEPTOR:
            told.accepted = False
            self._chronicle.refused(status, time)
        elif self._status is None:
            self._status = (side, status)

    def _command(self, side: Side, message: CommandReceived, time: float) -> None:
        if not message.command.command_field.is_response:
            syntax = self._operations.abstract_syntaxes.get(message.context_id, "")
            verb = service_of(syntax).get(message.command.command_field)
            if verb is not None:
                self.conversation.verbs[verb.value] += 1
        for operation in self._operations.command(side, message, time):
            self._over(operation, time)

    def _over(self, operation: Operation, time: float) -> None:
        self._chronicle.operation(operation, time, missed=bool(self._deaf))


def begins_association(start: bytes | bytearray) -> bool:
    """Could these bytes begin an A-ASSOCIATE-RQ (PS3.8 9.3.2)? The more there are, the surer it is."""
    if start[:1] != b"\x01" or start[1:2] not in (b"", b"\x00"):
        return False
    if len(start) >= 6 and not _ASSOCIATE_SHORTEST <= int.from_bytes(start[2:6], "big") <= LONGEST_ASSOCIATE:
        return False
    return len(start) < 8 or bool(start[7] & 1)


def _unlike(start: bytes | bytearray) -> str:
    """What is wrong with bytes that begin no A-ASSOCIATE-RQ."""
    length = int.from_bytes(start[2:6], "big")
    if start[:2] == b"\x01\x00" and len(start) >= 6 and length > LONGEST_ASSOCIATE:
        return f"ASSOCIATE_RQ declares {length} bytes, more than the limit of {LONGEST_ASSOCIATE}"
    return f"expected an A-ASSOCIATE-RQ, came {start[0]:02X}H"
