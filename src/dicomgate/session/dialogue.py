"""The DIMSE messages of one established association: each request judged, relayed or refused, each answer matched.

In: frames of either side. Out: commands appended for the driver, in order; a `Violation` when that side left the
protocol or its bounds, which the session answers with A-ABORT.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import assert_never

from dicomgate.association.messages import CommandReceived, Incomplete, MessageReader
from dicomgate.association.negotiation import AcceptedContext, Agreement
from dicomgate.audit.instance import Content, Instance, memory_of
from dicomgate.facts import OperationFacts, Side
from dicomgate.policy.model import Mode, Tamper, TamperHold, Verb
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AllowOperation, AssociationPermit, Deny, Direction
from dicomgate.session.data_set import DataSetHead
from dicomgate.session.digest import DataSetDigest
from dicomgate.session.events import (
    Command,
    Discard,
    Keep,
    NotRecalled,
    Pause,
    Recall,
    Recalled,
    Relay,
    Return,
    Returned,
    Say,
    Write,
)
from dicomgate.session.half import Half
from dicomgate.session.identifier import IdentifierReader
from dicomgate.session.inspection import Inspection
from dicomgate.session.ledger import Ledger, Operation
from dicomgate.session.limits import SessionLimits
from dicomgate.session.refusal import refusing_response
from dicomgate.session.under_way import UnderWay
from dicomgate.wire.codes import AbortReason, CommandField, Status, is_pending
from dicomgate.wire.command import Command as CommandSet
from dicomgate.wire.command import encode_command
from dicomgate.wire.framer import CommandFragment, DataRun, p_data_pdus
from dicomgate.wire.pdu import Malformed
from dicomgate.wire.text import is_valid_uid

_MANY_RESPONSES = frozenset({CommandField.C_FIND_RSP, CommandField.C_GET_RSP, CommandField.C_MOVE_RSP})
_CANCELLABLE = frozenset({CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ})


_TOO_MANY = "limits.outstanding_operations"


@dataclass(frozen=True, slots=True)
class Violation:
    """One side left the protocol, or its bounds: `rule` says which of both."""

    why: str
    reason: AbortReason
    rule: str = "malformed"


@dataclass(frozen=True, slots=True)
class Stopped:
    """A C-STORE was refused before its end: the acceptor waits amid a message that will not be completed, so both
    associations end. The requestor has its answer."""

    rule: str
    why: str
    refusal_id: str


@dataclass(frozen=True, slots=True)
class Held:
    """The end of a data set, as P-DATA-TF bytes, that waits for what is known of its instance; nothing of it where
    the data set is kept as a whole."""

    side: Side
    operation: Operation
    inspection: Inspection
    wire: bytes


class Flow:
    """What one side sends: the messages in it, and its requests that are not yet answered."""

    __slots__ = ("drain", "finishing", "keeping", "mid_pdu", "outstanding", "passing", "reader", "waiting")

    def __init__(self, limits: SessionLimits) -> None:
        self.reader = MessageReader(limits.command_set)
        self.outstanding: dict[int, Operation] = {}
        self.passing: Operation | None = None
        """Whose data set is being relayed: while set, nothing else may be said to the receiver."""
        self.keeping: Operation | None = None
        """Whose data set is being kept, and of which the receiver knows nothing."""
        self.finishing: tuple[Operation, int] | None = None
        """The operation that ends with the data set under way, and its final status."""
        self.drain: Drain | None = None
        self.mid_pdu = False
        """The receiver is inside a PDU: even an A-ABORT would be taken for data now."""
        self.waiting: list[bytes] = []
        """Our own messages for the receiver, held until the message under way has ended (PS3.8 E.1)."""


@dataclass(slots=True)
class Drain:
    """A refused request whose data set is still arriving; `answer` is told when it has ended."""

    answer: bytes


class Dialogue:
    """Both directions of one association. `halves` are the session's: they say who may be sent data now."""

    def __init__(
        self,
        permit: AssociationPermit,
        agreement: Agreement,
        policy: Policy,
        limits: SessionLimits,
        ledger: Ledger,
        halves: Mapping[Side, Half],
        under_way: UnderWay,
    ) -> None:
        self.permit = permit
        self.policy = policy
        self.operations = 0
        self.refusals = 0
        self._limits = limits
        self._ledger = ledger
        self._halves = halves
        self._held: Held | None = None
        self._returning: tuple[Side, Operation, Inspection] | None = None
        self._under_way = under_way
        self._asked: dict[int, Inspection] = {}
        self._numbers = count(1)
        self._contexts: Mapping[int, AcceptedContext] = agreement.contexts
        self._longest = {Side.REQUESTOR: agreement.to_requestor, Side.ACCEPTOR: agreement.to_acceptor}
        accepted = frozenset(agreement.contexts)
        self._flows = {Side.REQUESTOR: Flow(limits), Side.ACCEPTOR: Flow(limits)}
        for flow in self._flows.values():
            flow.reader.contexts = accepted

    @property
    def busy(self) -> bool:
        """An operation is outstanding, or a message under way."""
        return any(flow.outstanding or not flow.reader.between_messages for flow in self._flows.values())

    @property
    def holding(self) -> bool:
        """Nothing that the requestor says may overtake what is held back, or on its way out of that."""
        return self._held is not None or self._returning is not None

    def between_messages(self, sender: Side) -> bool:
        return self._flows[sender].reader.between_messages

    def answering(self, sender: Side) -> bool:
        """Is `sender` working on an operation that the other side asked for?"""
        return bool(self._flows[sender.other].outstanding)

    def inside_pdu(self, receiver: Side) -> bool:
        """Has `receiver` got a PDU in part? Even an A-ABORT would be taken for its data."""
        return self._flows[receiver.other].mid_pdu

    def unfinished(self) -> Iterator[Operation]:
        """The operations that have no final response; they are taken out."""
        for flow in self._flows.values():
            ending = [] if flow.finishing is None else [flow.finishing[0]]
            ending += flow.outstanding.values()
            flow.finishing = None
            flow.outstanding.clear()
            for operation in ending:
                self._leave(operation)
                yield operation

    # -- frames --------------------------------------------------------------------------------------------

    def data(self, side: Side, run: DataRun, now: float, commands: list[Command]) -> Violation | Stopped | None:
        """A stretch of a data set: relayed under the permit of its operation, or dropped with a refused one."""
        flow = self._flows[side]
        if (wrong := flow.reader.run(run)) is not None:
            return Violation(wrong.why, wrong.reason)
        operation = flow.passing
        if flow.keeping is not None:
            return self._keep(side, run, flow.keeping, now, commands)
        if operation is not None:
            operation.bytes += run.size
            if operation.head is not None and side is operation.permit.sender:
                self._read_head(operation, operation.head, run)
            if operation.identifier is not None:
                _read_identifier(operation, operation.identifier, run)
            if operation.inspection is not None:
                operation.inspection.digest.feed(run.wire)
                if run.last:
                    return self._complete(side, run, operation, operation.inspection, now, commands)
            flow.mid_pdu = not run.whole
            commands.append(Relay(side.other, run.wire, operation.permit))
            if run.last:
                self._message_ended(side, now, commands)
        elif run.last and flow.drain is not None:
            answer, flow.drain = flow.drain.answer, None
            return self._tell(side, answer, commands)
        return None

    def _read_head(self, operation: Operation, head: DataSetHead, run: DataRun) -> None:
        head.feed(run.wire)
        if run.last or head.ended:
            self._ledger.read(operation)

    def command(self, side: Side, fragment: CommandFragment, now: float, commands: list[Command]) -> Violation | None:
        """A piece of a command set; the last one makes a request, a response or a C-CANCEL."""
        match self._flows[side].reader.fragment(fragment):
            case Incomplete.INCOMPLETE:
                return None
            case Malformed(why, reason):
                return Violation(why, reason)
            case CommandReceived(context_id, command):
                if command.command_field is CommandField.C_CANCEL_RQ:
                    self._cancel(side, command, commands)
                    return None
                if command.command_field.is_response:
                    return self._response(side, context_id, command, now, commands)
                return self._request(side, context_id, command, now, commands)
            case impossible:
                assert_never(impossible)

    # -- requests ------------------------------------------------------------------------------------------

    def _request(
        self, side: Side, context_id: int, command: CommandSet, now: float, commands: list[Command]
    ) -> Violation | None:
        flow = self._flows[side]
        if command.message_id is None:
            raise RuntimeError("a request without a message ID was decoded")
        if len(flow.outstanding) >= self._limits.outstanding_operations:
            why = f"more than {self._limits.outstanding_operations} operations outstanding"
            return Violation(why, AbortReason.NOT_SPECIFIED, _TOO_MANY)
        verdict: AllowOperation | Deny
        if command.message_id in flow.outstanding:
            verdict = Deny("message-id", "the message ID is still in use", Status.DUPLICATE_INVOCATION)
        else:
            context = self._contexts[context_id]
            retrieving = side is Side.ACCEPTOR and context.roles.scp and self._retrieving()
            calling = self.permit.facts.calling_ae_title
            facts = OperationFacts(side, calling, context.abstract_syntax, command, retrieving)
            verdict = self.policy.decide_operation(self.permit, facts, at=self._ledger.wall(now))
        if isinstance(verdict, Deny):
            return self._refuse(side, context_id, command, verdict, now, commands)
        operation = Operation(verdict.permit, context_id, verdict.rule, now, verdict.would_refuse)
        if command.has_data_set:
            syntax = self._contexts[context_id].transfer_syntax
            operation.head = head = DataSetHead(syntax)
            if command.command_field is CommandField.C_FIND_RQ:
                operation.identifier = IdentifierReader(syntax)
            elif command.command_field is CommandField.C_STORE_RQ:
                self._inspect(side, syntax, operation, head, commands)
        flow.outstanding[command.message_id] = operation
        self.operations += 1
        if operation.inspection is not None and operation.inspection.whole:
            operation.inspection.passed_on = False
            flow.keeping = operation
            return None
        self._pass(side, context_id, verdict.permit.command, operation, commands)
        return None

    def _retrieving(self) -> bool:
        asked = self._flows[Side.REQUESTOR].outstanding.values()
        return any(operation.permit.verb is Verb.GET for operation in asked)

    def _refuse(
        self, side: Side, context_id: int, command: CommandSet, denied: Deny, now: float, commands: list[Command]
    ) -> Violation | None:
        """Drained and answered: never a hang, never Success, and the association goes on (PS3.7 C.5)."""
        refusal_id = self._ledger.new_id()
        self.refusals += 1
        if self.refusals > self._limits.refused_operations:
            why = f"more than {self._limits.refused_operations} refused operations"
            return Violation(why, AbortReason.NOT_SPECIFIED, "limits.refused_operations")
        commands.append(Write((self._ledger.operation_refused(denied, command, refusal_id, side, now),)))
        response = encode_command(refusing_response(command, denied, refusal_id))
        answer = p_data_pdus(context_id, response, self._longest[side])
        if command.has_data_set:
            self._flows[side].drain = Drain(answer)
            return None
        return self._tell(side, answer, commands)

    def _cancel(self, side: Side, command: CommandSet, commands: list[Command]) -> None:
        """PS3.7 9.3.2.3: passed on while its operation runs; afterwards it crossed the final response and is void."""
        operation = self._flows[side].outstanding.get(command.message_id_being_responded_to or 0)
        if operation is not None and operation.permit.command.command_field in _CANCELLABLE:
            self._pass(side, operation.context_id, command, operation, commands)

    # -- responses -----------------------------------------------------------------------------------------

    def _response(
        self, side: Side, context_id: int, command: CommandSet, now: float, commands: list[Command]
    ) -> Violation | None:
        """Matched to its request: same context, same kind, well-formed UIDs; otherwise this side is not believed."""
        asked = self._flows[side.other].outstanding
        message_id = command.message_id_being_responded_to or 0
        operation = asked.get(message_id)
        name = command.command_field.name
        if (
            operation is None
            or operation.context_id != context_id
            or operation.permit.command.command_field.response is not command.command_field
            or (operation.inspection is not None and not operation.inspection.passed_on)
        ):
            return Violation(f"{name} answers no outstanding request", AbortReason.UNEXPECTED_PDU_PARAMETER)
        if any(uid and not is_valid_uid(uid) for uid in _uids(command)):
            why = f"{name} with a malformed SOP Class or Instance UID"
            return Violation(why, AbortReason.INVALID_PDU_PARAMETER_VALUE)
        operation.responses += 1
        status = command.status if command.status is not None else Status.PROCESSING_FAILURE
        if not (is_pending(status) and command.command_field in _MANY_RESPONSES):
            del asked[message_id]
            if command.has_data_set:
                self._flows[side].finishing = (operation, status)
            else:
                self._close_books(operation, status, command, now, commands)
        self._pass(side, context_id, command, operation, commands)
        return None

    def _close_books(
        self, operation: Operation, status: int, response: CommandSet | None, now: float, commands: list[Command]
    ) -> None:
        record = self._ledger.operation(operation, status, response, now)
        commands.append(Write((record,)))
        if operation.inspection is not None:
            if memory_of(record) is None:
                self._leave(operation)
            operation.inspection.entered = False  # from here on it is the store that says when it has ended

    # -- content -------------------------------------------------------------------------------------------

    def _inspect(
        self, side: Side, syntax: str, operation: Operation, head: DataSetHead, commands: list[Command]
    ) -> None:
        """Digest what a peer stores in an archive that wants it. What comes from an archive is not inspected."""
        route, uid = self.permit.route, operation.permit.command.sop_instance_uid
        tamper = route.archive.tamper
        if tamper is Tamper.OFF or side is not Side.REQUESTOR or route.direction is not Direction.TO_ARCHIVE or not uid:
            return
        if self.policy.rules.mode is Mode.MONITOR:
            tamper = Tamper.ALERT
        instance = Instance(route.archive.name, uid)
        whole = tamper is Tamper.REFUSE and route.archive.tamper_hold is TamperHold.OBJECT
        inspection = Inspection(instance, syntax, tamper, route.peer.corrections, DataSetDigest(), head, whole)
        operation.inspection = inspection
        self._under_way.enter(instance)
        number = next(self._numbers)
        self._asked[number] = inspection
        commands.append(Recall(number, instance))

    def recalled(self, answer: Recalled | NotRecalled, now: float, commands: list[Command]) -> Stopped | None:
        """What is known of an instance; if the end of its data set was held for that, it is judged now."""
        inspection = self._asked.pop(answer.number, None)
        if inspection is None:
            return None
        inspection.answer = answer
        held = self._held
        if held is None or held.inspection is not inspection:
            return None
        self._held = None
        return self._judge_content(held.side, held.wire, held.operation, inspection, now, commands)

    def _complete(
        self,
        side: Side,
        run: DataRun,
        operation: Operation,
        inspection: Inspection,
        now: float,
        commands: list[Command],
    ) -> Stopped | None:
        """The data set ends with this run: it goes on only when its content has been judged."""
        wire = b"" if inspection.whole else run.wire
        stopped = None
        if inspection.answer is None:
            self._held = Held(side, operation, inspection, bytes(wire))
        else:
            stopped = self._judge_content(side, wire, operation, inspection, now, commands)
        if self.holding:
            commands.append(Pause(side))
        return stopped

    def _judge_content(
        self,
        side: Side,
        wire: memoryview | bytes,
        operation: Operation,
        inspection: Inspection,
        now: float,
        commands: list[Command],
    ) -> Stopped | None:
        denied = inspection.judge(self._under_way)
        if denied is not None and inspection.tamper is Tamper.REFUSE:
            return self._refuse_content(side, operation, inspection, denied, now, commands)
        if denied is not None or inspection.content is Content.CORRECTION:
            changed = self._ledger.instance_changed(operation, inspection, denied, None, now)
            commands.append(Write((changed,)))
        if denied is None and inspection.entered and inspection.version is not None:
            self._under_way.let_through(inspection.instance, inspection.version)
            inspection.let_through = True
        if inspection.whole:
            self._returning = (side, operation, inspection)
            commands.append(Return())
            return None
        self._flows[side].mid_pdu = False
        commands.append(Relay(side.other, wire, operation.permit))
        self._message_ended(side, now, commands)
        return None

    def _refuse_content(
        self,
        side: Side,
        operation: Operation,
        inspection: Inspection,
        denied: Deny,
        now: float,
        commands: list[Command],
    ) -> Stopped | None:
        """Without an end, if the acceptor has heard nothing of it: then the association goes on."""
        refusal_id = self._ledger.new_id()
        self.refusals += 1
        if inspection.content is Content.CHANGED and denied.answer == Status.NOT_AUTHORIZED:
            record = self._ledger.instance_changed(operation, inspection, denied, refusal_id, now)
        else:
            record = self._ledger.content_refused(operation, inspection, denied, refusal_id, now)
        commands.append(Write((record,)))
        request = operation.permit.command
        outstanding = self._flows[side].outstanding
        if request.message_id is not None and outstanding.get(request.message_id) is operation:
            del outstanding[request.message_id]
            self.operations -= 1  # it is one of the refused now
            self._leave(operation)
            response = encode_command(refusing_response(request, denied, refusal_id))
            answer = p_data_pdus(operation.context_id, response, self._longest[side])
            if self._flows[side].keeping is operation:  # the rest of it is still to come
                self._flows[side].drain = Drain(answer)
            else:
                self._tell(side, answer, commands)
        if not inspection.passed_on:
            self._flows[side].keeping = None
            commands.append(Discard())
            return None
        return Stopped(denied.rule, denied.reason, refusal_id)

    # -- objects that are kept as a whole ------------------------------------------------------------------

    def _keep(
        self, side: Side, run: DataRun, operation: Operation, now: float, commands: list[Command]
    ) -> Stopped | None:
        inspection = operation.inspection
        if inspection is None:
            raise RuntimeError("kept without an inspection")
        operation.bytes += run.size
        if operation.bytes > self._limits.held_object:
            why = f"a data set of more than {self._limits.held_object} bytes is not held back"
            denied = Deny("limits.held_object", why, Status.OUT_OF_RESOURCES, Verb.STORE)
            if run.last:
                self._flows[side].keeping = None
            return self._refuse_content(side, operation, inspection, denied, now, commands)
        if operation.head is not None:
            self._read_head(operation, operation.head, run)
        inspection.digest.feed(run.wire)
        commands.append(Keep(run.wire))
        if not run.last:
            return None
        self._flows[side].keeping = None
        return self._complete(side, run, operation, inspection, now, commands)

    def returned(self, piece: Returned, now: float, commands: list[Command]) -> None:
        """The content was found good: the acceptor gets the request, and then, piece by piece, the data set."""
        if self._returning is None:
            return
        side, operation, inspection = self._returning
        flow = self._flows[side]
        if not inspection.passed_on:
            inspection.passed_on = True
            self._pass(side, operation.context_id, operation.permit.command, operation, commands)
        if flow.passing is not operation:  # the acceptor takes no more data
            self._returning = None
            commands.append(Discard())
            return
        flow.mid_pdu = not piece.last
        commands.append(Relay(side.other, piece.data, operation.permit))
        if piece.last:
            self._returning = None
            self._message_ended(side, now, commands)
        else:
            commands.append(Return())

    def not_kept(self, why: str, now: float, commands: list[Command]) -> Stopped | None:
        """It cannot be held back, or is lost: refused, unless the acceptor has got some of it already."""
        side = Side.REQUESTOR
        if self._returning is not None:
            side, operation, inspection = self._returning
        elif self._held is not None and self._held.inspection.whole:
            operation, inspection = self._held.operation, self._held.inspection
        elif (keeping := self._flows[side].keeping) is not None and keeping.inspection is not None:
            operation, inspection = keeping, keeping.inspection
        else:
            return None
        self._returning = self._held = None
        rule = f"archive[{inspection.instance.archive}].tamper_hold"
        denied = Deny(rule, f"it cannot be held back: {why}", Status.OUT_OF_RESOURCES, Verb.STORE)
        return self._refuse_content(side, operation, inspection, denied, now, commands)

    def _leave(self, operation: Operation) -> None:
        """Nothing of it will be remembered."""
        inspection = operation.inspection
        if inspection is not None and inspection.entered:
            inspection.entered = False
            self._under_way.leave(inspection.instance, inspection.version if inspection.let_through else None)

    # -- sending -------------------------------------------------------------------------------------------

    def _pass(
        self, side: Side, context_id: int, command: CommandSet, operation: Operation, commands: list[Command]
    ) -> None:
        """Send a judged command on, encoded anew; its data set, if any, follows as it comes."""
        if not self._halves[side.other].carries_data:
            return
        if command.has_data_set:
            self._flows[side].passing = operation
        pdus = p_data_pdus(context_id, encode_command(command), self._longest[side.other])
        commands.append(Relay(side.other, pdus, operation.permit))

    def _tell(self, side: Side, message: bytes, commands: list[Command]) -> Violation | None:
        """Say something of our own, but never inside a message that is on its way to the same side."""
        if not self._halves[side].carries_data:
            return None
        opposite = self._flows[side.other]
        if opposite.passing is None:
            commands.append(Say(side, message))
        elif len(opposite.waiting) < self._limits.outstanding_operations:
            opposite.waiting.append(message)
        else:
            return Violation("asks on and on without reading answers", AbortReason.NOT_SPECIFIED, _TOO_MANY)
        return None

    def _message_ended(self, side: Side, now: float, commands: list[Command]) -> None:
        flow = self._flows[side]
        flow.passing = None
        if flow.finishing is not None:
            (operation, status), flow.finishing = flow.finishing, None
            self._close_books(operation, status, None, now, commands)
        commands.extend(Say(side.other, message) for message in flow.waiting)
        flow.waiting.clear()


def _read_identifier(operation: Operation, identifier: IdentifierReader, run: DataRun) -> None:
    identifier.feed(run.wire)
    if run.last:
        operation.query = identifier.told()
        operation.identifier = None  # nothing of it is kept


def _uids(command: CommandSet) -> tuple[str | None, ...]:
    """Every UID of a command set, those of a misplaced element included."""
    return (
        command.affected_sop_class_uid,
        command.requested_sop_class_uid,
        command.affected_sop_instance_uid,
        command.requested_sop_instance_uid,
    )
