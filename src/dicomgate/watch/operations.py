"""Commands and data sets of both directions in; each operation with its end out, as a gate would know it. Pure.

Of a data set only its size is kept, and of the keys of a C-FIND what session/identifier.py tells of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dicomgate.association.messages import CommandReceived
from dicomgate.facts import Side
from dicomgate.policy.model import Verb
from dicomgate.policy.verbs import service_of
from dicomgate.session.identifier import IdentifierReader
from dicomgate.wire.codes import CommandField, is_pending
from dicomgate.wire.command import Command
from dicomgate.wire.framer import DataRun

MOST_OUTSTANDING = 64
"""Requests without a final response, per direction. The eldest gives way, and its end counts as not seen."""
_MANY_RESPONSES = frozenset({CommandField.C_FIND_RSP, CommandField.C_GET_RSP, CommandField.C_MOVE_RSP})


@dataclass(slots=True)
class Operation:
    """A request that was seen. `response` and `status` are None until its final response was."""

    sender: Side
    context_id: int
    command: Command
    verb: Verb | None
    began: float
    bytes: int = 0
    responses: int = 0
    identifier: IdentifierReader | None = None
    detail: tuple[tuple[str, object], ...] = ()
    response: Command | None = None
    status: int | None = None


class Operations:
    """Of one association. `syntaxes` are the abstract and transfer syntaxes of its contexts, once they are known."""

    __slots__ = ("_finishing", "_outstanding", "_streaming", "abstract_syntaxes", "transfer_syntaxes")

    def __init__(self) -> None:
        self.abstract_syntaxes: dict[int, str] = {}
        self.transfer_syntaxes: dict[int, str] = {}
        self._outstanding: dict[Side, dict[int, Operation]] = {side: {} for side in Side}
        self._streaming: dict[Side, Operation | None] = dict.fromkeys(Side)
        self._finishing: dict[Side, bool] = dict.fromkeys(Side, False)

    @property
    def held(self) -> int:
        """Bytes of keys that are kept for the moment."""
        held = 0
        for operation in self._streaming.values():
            if operation is not None and operation.identifier is not None:
                held += operation.identifier.held
        return held

    def command(self, side: Side, message: CommandReceived, time: float) -> Iterator[Operation]:
        """A whole command set; whatever has ended with it."""
        command = message.command
        self._streaming[side], self._finishing[side] = None, False
        if command.command_field is CommandField.C_CANCEL_RQ:
            return
        if command.command_field.is_response:
            yield from self._response(side, message)
        elif command.message_id is not None:
            yield from self._request(side, message, command.message_id, time)

    def data(self, side: Side, run: DataRun) -> Iterator[Operation]:
        """A stretch of a data set; the operation that has ended with it."""
        operation = self._streaming[side]
        if operation is None:
            return
        operation.bytes += run.size
        if operation.identifier is not None and side is operation.sender:
            operation.identifier.feed(run.wire)
            if run.last:
                operation.detail = tuple(operation.identifier.told().items())
                operation.identifier = None
        if run.last:
            self._streaming[side] = None
            if self._finishing[side]:
                self._finishing[side] = False
                yield operation

    def missed(self, side: Side, size: int) -> None:
        """So many bytes of the data set under way were sent and not seen."""
        operation = self._streaming[side]
        if operation is not None:
            operation.bytes += size
            operation.identifier = None  # keys with a hole in them

    def rest(self) -> Iterator[Operation]:
        """Those whose end was not seen, or is still on its way."""
        for side in Side:
            operation = self._streaming[side]
            if operation is not None and self._finishing[side]:
                yield operation
        for outstanding in self._outstanding.values():
            yield from outstanding.values()
            outstanding.clear()

    def _request(self, side: Side, message: CommandReceived, number: int, time: float) -> Iterator[Operation]:
        command, outstanding = message.command, self._outstanding[side]
        syntax = self.abstract_syntaxes.get(message.context_id, "")
        verb = service_of(syntax).get(command.command_field)
        operation = Operation(side, message.context_id, command, verb, time)
        if command.command_field is CommandField.C_FIND_RQ and command.has_data_set:
            transfer = self.transfer_syntaxes.get(message.context_id)
            operation.identifier = None if transfer is None else IdentifierReader(transfer)
        if number in outstanding:
            yield outstanding.pop(number)
        elif len(outstanding) >= MOST_OUTSTANDING:
            yield outstanding.pop(next(iter(outstanding)))
        outstanding[number] = operation
        if command.has_data_set:
            self._streaming[side] = operation

    def _response(self, side: Side, message: CommandReceived) -> Iterator[Operation]:
        command, outstanding = message.command, self._outstanding[side.other]
        number = command.message_id_being_responded_to or 0
        operation = outstanding.get(number)
        if (
            operation is None
            or operation.context_id != message.context_id
            or operation.command.command_field.response is not command.command_field
        ):
            return  # it answers nothing that was seen
        operation.responses += 1
        status = command.status
        final = not (status is not None and is_pending(status) and command.command_field in _MANY_RESPONSES)
        if final:
            del outstanding[number]
            operation.response, operation.status = command, status
        if command.has_data_set:
            self._streaming[side], self._finishing[side] = operation, final
        elif final:
            yield operation
