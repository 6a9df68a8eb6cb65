"""The Playbook: one relayed association told as a transcript. `>>` feeds an event, `<<` states what must come out.

    (
        Playbook(gate(ct))
        >> requestor(request("CT1"))
        << ["record association_requested success", "record association_admitted success", "wait for the disk"]
        >> Recorded(True)
        << ["connect to main"]
    )

What comes out is compared as text, one line for each command and for each PDU in it, so that a test reads like the
log of a network sniffer and a mismatch is a plain diff. The bytes are read by session/reference.py and not by the
product. What was not stated is an error: at the next `>>`, or at the end of the test (tests/session/conftest.py).
"""

from collections.abc import Callable, Sequence
from difflib import ndiff
from ipaddress import ip_address
from itertools import count
from types import EllipsisType
from typing import ClassVar

from dicomgate.audit.patient import Conceal
from dicomgate.audit.record import Record
from dicomgate.facts import Origin, Side, TlsFacts
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AssociationPermit, Deny
from dicomgate.session.events import (
    Close,
    Command,
    Connect,
    Discard,
    Event,
    Finish,
    Keep,
    Pause,
    Recall,
    Received,
    Relay,
    Resume,
    Return,
    Say,
    TimeUp,
    Verify,
    Write,
)
from dicomgate.session.limits import SessionLimits
from dicomgate.session.session import NEVER, Session, UpstreamToken, no_token
from dicomgate.session.under_way import UnderWay
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command as CommandSet
from dicomgate.wire.command import encode_command
from dicomgate.wire.pdu import Abort, AssociateAccept, AssociateReject, AssociateRequest, ReleaseReply, ReleaseRequest
from session.reference import Control, Pdv, elements, pdus

REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
STARTED = 1000.0
"""The session's clock when the connection comes in."""
_PDUS = {1: "A-ASSOCIATE-RQ", 2: "A-ASSOCIATE-AC", 3: "A-ASSOCIATE-RJ", 5: "A-RELEASE-RQ", 6: "A-RELEASE-RP"}

_PART = "(part of a PDU)"

Sendable = bytes | AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseReply | Abort


class Wait:
    """Nothing happens for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Overdue:
    """The session's own deadline passes: the clock is set to it, and TimeUp comes."""


class Playbook:
    """One Session and what it has done. `records` and `sent` (bytes to each side) grow as it plays."""

    untold: ClassVar[list["Playbook"]] = []
    """Those whose last output nobody has stated."""

    def __init__(
        self,
        policy: Policy,
        *,
        address: str = "10.1.2.31",
        listener: str = "inside",
        limits: SessionLimits = SessionLimits(),  # noqa: B008 - frozen
        admission: Callable[[AssociationPermit], Deny | None] = lambda permit: None,
        tls: TlsFacts | None = None,
        upstream_token: UpstreamToken = no_token,
        under_way: UnderWay | None = None,
        conceal: Conceal | None = None,
    ) -> None:
        ids = count(1)
        self.now = STARTED
        self.session = Session(
            "A1",
            Origin(listener, ip_address(address), 50000, tls=tls),
            policy,
            limits,
            admission=admission,
            upstream_token=upstream_token,
            under_way=under_way,
            conceal=conceal,
            new_refusal_id=lambda: f"R{next(ids)}",
            wall=lambda now: now,
            now=self.now,
        )
        self.records: list[Record] = []
        self.sent = {REQUESTOR: bytearray(), ACCEPTOR: bytearray()}
        self.kept = bytearray()
        self.commands: list[Command] = []
        self._told = {REQUESTOR: 0, ACCEPTOR: 0}
        self._output: list[str] = []

    def __rshift__(self, event: Event | Wait | Overdue) -> "Playbook":
        assert not self._output, f"not stated:\n{_lines(self._output)}"
        match event:
            case Wait(seconds=seconds):
                self.now += seconds
                return self
            case Overdue():
                assert self.session.deadline != NEVER, "nothing is due"
                self.now = max(self.now, self.session.deadline)
                event = TimeUp()
        return self.take(self.session.handle(event, self.now))

    def __lshift__(self, expected: Sequence[str] | EllipsisType) -> "Playbook":
        """State the output; `...` says that it does not matter here."""
        output, self._output = self._output, []
        if self in self.untold:
            self.untold.remove(self)
        if expected is not ...:
            assert output == list(expected), f"- expected, + came:\n{_lines(ndiff(list(expected), output))}"
        return self

    def take(self, commands: Sequence[Command]) -> "Playbook":
        """Carry out commands, which now have to be stated."""
        self.commands = list(commands)
        told = [line for command in commands for line in self._tell(command)]
        # A PDU that was begun and ended by the same event is one line, in however many pieces it was sent.
        begun = {line for line in told if line.endswith(_PART)}
        for at, line in enumerate(told):
            to = line.removesuffix(_PART)
            if line not in begun or not any(later.startswith(to) for later in told[at + 1 :]):
                self._output.append(line)
        if self._output and self not in self.untold:
            self.untold.append(self)
        return self

    def _tell(self, command: Command) -> list[str]:
        match command:
            case Relay(side, data):
                return [f"relay to {side}: {line}" for line in self._send(side, bytes(data))]
            case Say(side, data):
                return [f"say to {side}: {line}" for line in self._send(side, data)]
            case Verify(claims, verifiers):
                return [f"ask {', '.join(verifiers)} about {claims.identity_type.name}"]
            case Connect(permit):
                return [f"connect to {permit.route.name}"]
            case Close(side, reset):
                return [f"{'reset' if reset else 'close'} {side}"]
            case Write(records, durable):
                self.records += records
                return [*(f"record {_about(record)}" for record in records), *["wait for the disk"] * durable]
            case Recall(number, instance):
                return [f"recall {number}: {instance.sop_instance_uid} in {instance.archive}"]
            case Pause(side):
                return [f"pause {side}"]
            case Resume(side):
                return [f"resume {side}"]
            case Keep(data):
                self.kept += data
                return [f"keep {len(data)} bytes"]
            case Return():
                return ["return"]
            case Discard():
                self.kept.clear()
                return ["discard"]
            case Finish():
                return ["finish"]

    def _send(self, side: Side, data: bytes) -> list[str]:
        """What this side now understands of the stream it gets; "(part of a PDU)" when it has to wait for more."""
        stream = self.sent[side]
        stream += data
        whole, rest = pdus(bytes(stream[self._told[side] :]))
        self._told[side] = len(stream) - len(rest)
        lines = [_told(part) for part in whole]
        return [*lines, _PART] if rest else lines


# -- bytes in ----------------------------------------------------------------------------------------------


def requestor(*sent: Sendable) -> Received:
    """What the party that called the gate sends, in one read."""
    return Received(REQUESTOR, memoryview(_bytes(sent)))


def acceptor(*sent: Sendable) -> Received:
    """What the party that the gate called sends, in one read."""
    return Received(ACCEPTOR, memoryview(_bytes(sent)))


def _bytes(sent: Sequence[Sendable]) -> bytes:
    return b"".join(part if isinstance(part, bytes) else encode(part) for part in sent)


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return (len(data) + 2).to_bytes(4, "big") + bytes((context_id, control)) + data


def p_data(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return b"\x04\0" + len(body).to_bytes(4, "big") + body


def message(context_id: int, command: CommandSet, data: bytes | None = None, fragment: int = 1000) -> bytes:
    """A command set, and its data set if there is one, in P-DATA-TFs of one PDV of up to `fragment` bytes."""
    sent = p_data(pdv(context_id, 3, encode_command(command)))
    return sent if data is None else sent + data_set(context_id, data, fragment)


def data_set(context_id: int, data: bytes, fragment: int = 1000, last: bool = True) -> bytes:
    """A data set, or the beginning of one."""
    starts = range(0, max(len(data), 1), fragment)
    controls = [0] * (len(starts) - 1) + [2 if last else 0]
    pieces = zip(starts, controls, strict=True)
    return b"".join(p_data(pdv(context_id, c, data[at : at + fragment])) for at, c in pieces)


# -- text out ----------------------------------------------------------------------------------------------


def _about(record: Record) -> str:
    parts = [record.event.value, record.outcome.value]
    if record.command:
        parts.append(record.command.replace("_", "-"))
    return " ".join([*parts, *[record.status] * bool(record.status)])


def _told(part: Control | Pdv) -> str:
    """One line for a PDU or a PDV, in the standard's words."""
    if isinstance(part, Pdv):
        assert part.canonical, f"not one PDV with reserved zeros: {part}"
        if not part.command:
            return f"{len(part.data)} bytes of data on {part.context_id}{', last' if part.last else ''}"
        return _command(part) if part.last else f"{len(part.data)} bytes of a command on {part.context_id}"
    if part.kind == 1:
        called, calling = part.body[4:20].decode().strip(), part.body[20:36].decode().strip()
        return f"A-ASSOCIATE-RQ from {calling} to {called} for {_contexts(part.body, 0x20)}"
    if part.kind == 2:
        return f"A-ASSOCIATE-AC for {_contexts(part.body, 0x21)}"
    if part.kind == 3:
        return f"A-ASSOCIATE-RJ {part.body[1]}/{part.body[2]}/{part.body[3]}"
    if part.kind == 7:
        return f"A-ABORT {part.body[2]}/{part.body[3]}"
    return _PDUS[part.kind]


def _contexts(body: bytes, kind: int) -> str:
    """The presentation context IDs; of an answer those that were accepted, and the others as "not N"."""
    found, at = [], 68
    while at < len(body):
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        if body[at] == kind:
            found.append(f"not {body[at + 4]}" if kind == 0x21 and body[at + 6] else f"{body[at + 4]}")
        at += 4 + length
    return ", ".join(found)


def _command(part: Pdv) -> str:
    """The name, the message ID and the status of a command set that is whole in this PDV."""
    told = {number: int.from_bytes(value, "little") for number, value in elements(part.data).items()}
    if 0x0100 not in told:
        return f"the last {len(part.data)} bytes of a command on {part.context_id}"
    name = CommandField(told[0x0100]).name.replace("_", "-")
    number = told.get(0x0110, told.get(0x0120))
    status = f" {told[0x0900]:04X}" if 0x0900 in told else ""
    return f"{name} {number} on {part.context_id}{status}"


def _lines(lines: object) -> str:
    return "\n".join(f"    {line.rstrip()}" for line in lines)  # type: ignore[attr-defined]
