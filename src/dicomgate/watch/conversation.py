"""Both directions of one TCP connection in; what kind of conversation it is, and who does what in it, out. Pure.

Only headers and command sets are read; data sets are counted and forgotten. A stream that is not DICOM and not TLS
costs nothing more than that verdict.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from dicomgate.association.messages import CommandReceived, MessageReader
from dicomgate.facts import Side
from dicomgate.policy.verbs import service_of
from dicomgate.watch.streams import Gap
from dicomgate.wire.client_hello import ClientHello, MoreNeeded, parse_client_hello
from dicomgate.wire.codec import decode
from dicomgate.wire.codes import PduType
from dicomgate.wire.framer import Broken, CommandFragment, ControlPdu, DataRun, Framer
from dicomgate.wire.pdu import AssociateAccept, AssociateReject, AssociateRequest, Malformed
from dicomgate.wire.text import trim_ae_title

LONGEST_ASSOCIATE = 256 * 1024
"""Bytes of an A-ASSOCIATE that is looked at; held while it comes."""
LONGEST_COMMAND = 16 * 1024
_LONGEST_PDU = 0xFFFF_FFFF
_ANY_CONTEXT = frozenset(range(1, 256, 2))
_LONGEST_START = 16 * 1024
_ASSOCIATE_SHORTEST = 68


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
    """Bytes that were sent and never seen; behind them nothing is understood any more in that direction."""
    joined_late: bool = False
    """Its beginning was not captured."""


class Listener:
    """Listens to one connection. `known` says that its beginning was seen (a SYN)."""

    __slots__ = ("_deaf", "_framers", "_messages", "_start", "_syntaxes", "conversation")

    def __init__(self, *, known: bool) -> None:
        self.conversation = Conversation(joined_late=not known)
        self._start = bytearray()
        self._framers: dict[Side, Framer] = {}
        self._messages: dict[Side, MessageReader] = {}
        self._syntaxes: dict[int, str] = {}
        self._deaf: set[Side] = set()

    def hear(self, side: Side, piece: memoryview | bytes | Gap) -> None:
        """The next bytes of one direction."""
        told = self.conversation
        if isinstance(piece, Gap):
            told.lost += piece.size
            self._deaf.add(side)
            if told.kind is Kind.UNDECIDED and side is Side.REQUESTOR:
                told.kind = Kind.OTHER
            return
        if side in self._deaf or told.kind in (Kind.OTHER, Kind.TLS):
            return
        if told.kind is Kind.DICOM:
            self._follow(side, memoryview(piece))
        elif side is Side.REQUESTOR:
            self._begin(piece)

    def hang_up(self) -> None:
        """The connection has ended."""
        if self.conversation.end is End.OPEN:
            self.conversation.end = End.CLOSED

    def _begin(self, piece: memoryview | bytes) -> None:
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
                    told.kind = Kind.OTHER
            start.clear()
        elif begins_association(start):
            if len(start) >= 6:
                told.kind = Kind.DICOM
                for side in Side:
                    self._framers[side] = Framer(LONGEST_ASSOCIATE, _LONGEST_PDU)
                    self._messages[side] = reader = MessageReader(LONGEST_COMMAND)
                    reader.contexts = _ANY_CONTEXT
                whole = bytes(start) + bytes(piece[taken:])
                start.clear()
                self._follow(Side.REQUESTOR, memoryview(whole))
        else:
            told.kind = Kind.OTHER
            start.clear()

    def _follow(self, side: Side, piece: memoryview) -> None:
        for frame in self._framers[side].feed(piece):
            match frame:
                case ControlPdu(kind, body):
                    self._control(kind, body)
                case CommandFragment():
                    message = self._messages[side].fragment(frame)
                    if isinstance(message, CommandReceived):
                        self._command(message)
                    elif isinstance(message, Malformed):
                        self._deaf.add(side)
                        return
                case DataRun():
                    if self._messages[side].run(frame) is not None:
                        self._deaf.add(side)
                        return
                case Broken():
                    self._deaf.add(side)
                    return

    def _control(self, kind: PduType, body: bytes) -> None:
        told = self.conversation
        match kind:
            case PduType.ASSOCIATE_RQ | PduType.ASSOCIATE_AC | PduType.ASSOCIATE_RJ:
                pdu = decode(kind, body)
            case PduType.RELEASE_RP:
                told.end = End.RELEASED
                return
            case PduType.ABORT:
                told.end = End.ABORTED
                return
            case _:
                return
        match pdu:
            case AssociateRequest():
                told.calling_ae_title = trim_ae_title(pdu.calling_ae_title) or ""
                told.called_ae_title = trim_ae_title(pdu.called_ae_title) or ""
                told.implementation_version_name = pdu.user_information.implementation_version_name
                self._syntaxes = {each.context_id: each.abstract_syntax for each in pdu.presentation_contexts}
            case AssociateAccept():
                told.accepted = True
            case AssociateReject():
                told.accepted, told.end = False, End.REJECTED
            case _:
                pass  # malformed: it was DICOM all the same

    def _command(self, message: CommandReceived) -> None:
        field = message.command.command_field
        if field.is_response:
            return
        verb = service_of(self._syntaxes.get(message.context_id, "")).get(field)
        if verb is not None:
            self.conversation.verbs[verb.value] += 1


def begins_association(start: bytes | bytearray) -> bool:
    """Could these bytes begin an A-ASSOCIATE-RQ (PS3.8 9.3.2)? The more there are, the surer it is."""
    if start[:1] != b"\x01" or start[1:2] not in (b"", b"\x00"):
        return False
    if len(start) >= 6 and not _ASSOCIATE_SHORTEST <= int.from_bytes(start[2:6], "big") <= LONGEST_ASSOCIATE:
        return False
    return len(start) < 8 or bool(start[7] & 1)
