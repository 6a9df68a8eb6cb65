"""What is heard of one connection in; the records out that a gate would have made of it. Pure.

A watcher decides nothing and is told nothing: no record names a rule, a user or an assurance, and what was not seen is
None. "Admitted" and "refused" are what the called party answered. docs/howto/watch.md lists what each record holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicomgate.audit.record import NO_DETAIL, Event, Outcome, Record
from dicomgate.facts import Side
from dicomgate.session.ledger import implementation, proposal
from dicomgate.watch.operations import Operation
from dicomgate.watch.packets import Address
from dicomgate.watch.surroundings import TO_PEER, Surroundings
from dicomgate.wire.codes import status_class
from dicomgate.wire.pdu import AssociateAccept, AssociateRequest
from dicomgate.wire.text import trim_ae_title

Tell = Callable[[Record], None]
ENDED_FIRST = "the association ended first"
NOT_SEEN = "its end was not seen"


@dataclass(frozen=True, slots=True)
class Ends:
    """Who called whom. `number` tells connections of one watch apart."""

    number: int
    client: Address
    client_port: int
    server: Address
    server_port: int


class Chronicle:
    """Of one connection. `tell` takes each record as it is made."""

    __slots__ = (
        "_acceptor",
        "_archive",
        "_called",
        "_calling",
        "_direction",
        "_ends",
        "_operations",
        "_peer",
        "_surroundings",
        "_tell",
    )

    def __init__(self, ends: Ends, surroundings: Surroundings, tell: Tell) -> None:
        self._ends = ends
        self._surroundings = surroundings
        self._tell = tell
        self._calling: str | None = None
        self._called: str | None = None
        self._peer: str | None = None
        self._archive: str | None = None
        self._direction: Mapping[str, object] = NO_DETAIL
        self._operations = 0
        self._acceptor: str | None = None

    def requested(self, request: AssociateRequest, time: float) -> None:
        """An A-ASSOCIATE-RQ was seen whole."""
        ends, names = self._ends, self._surroundings
        self._calling = trim_ae_title(request.calling_ae_title) or ""
        self._called = trim_ae_title(request.called_ae_title) or ""
        self._archive = names.archive(ends.server, ends.server_port, self._called)
        if self._archive is None:
            self._archive = names.calling_archive(ends.client, self._calling)
            self._direction = NO_DETAIL if self._archive is None else TO_PEER
        self._say(Event.ASSOCIATION_REQUESTED, Outcome.SUCCESS, time, detail=proposal(request))

    def admitted(self, answer: AssociateAccept, time: float) -> None:
        """The called party accepted."""
        self._peer = self._surroundings.peer(self._ends.client, self._calling or "")
        if not self._surroundings.is_gate(self._ends.server):  # a gate answers with its own name, not the archive's
            self._acceptor = implementation(answer.user_information)
        refused = sum(each.result != 0 for each in answer.presentation_contexts)
        detail: dict[str, object] = dict(self._direction)
        if refused:
            detail["refused_contexts"] = refused
        self._say(Event.ASSOCIATION_ADMITTED, Outcome.SUCCESS, time, detail=detail)

    def refused(self, status: str, time: float) -> None:
        """The called party rejected, or aborted before it had accepted."""
        self._say(Event.ASSOCIATION_REFUSED, Outcome.REFUSED, time, status=status)

    def turned_away(self, reason: str, rule: str | None, time: float) -> None:
        """It ended, and no A-ASSOCIATE-RQ could be understood."""
        self._say(Event.CONNECTION_REFUSED, Outcome.FAILURE, time, rule=rule, reason=reason)

    def operation(self, operation: Operation, time: float, *, missed: bool) -> None:
        """An operation is over. `missed`: bytes were lost, so that its end may only not have been seen."""
        self._operations += 1
        command, response, status = operation.command, operation.response, operation.status
        ended = status is not None
        failed = not ended or status_class(status or 0) in ("failure", "cancel")
        detail: dict[str, object] = {**self._direction, "sender": operation.sender.value}
        if command.move_originator_ae_title is not None:
            detail |= TO_PEER  # only who was asked by a C-MOVE names one (PS3.7 9.1.1.1)
        detail["responses"] = operation.responses
        detail |= dict(operation.detail)
        if response is not None and response.completed_sub_operations is not None:
            detail["completed_sub_operations"] = response.completed_sub_operations
            detail["failed_sub_operations"] = response.failed_sub_operations or 0
            detail["warning_sub_operations"] = response.warning_sub_operations or 0
        self._say(
            Event.OPERATION,
            Outcome.FAILURE if failed else Outcome.SUCCESS,
            time,
            reason=None if ended else (NOT_SEEN if missed else ENDED_FIRST),
            operation=operation,
            status=None if status is None else f"{status:04X}",
            byte_count=operation.bytes,
            duration=_since(operation.began, time),
            detail=detail,
        )

    def ended(
        self,
        outcome: Outcome,
        reason: str,
        time: float,
        *,
        by: Side | None,
        rule: str | None,
        status: str | None,
        byte_count: int,
        began: float,
    ) -> None:
        """An association that was admitted or not answered is over. `by`: whose doing it was, if that was seen."""
        detail: dict[str, object] = {**self._direction, "operations": self._operations}
        if by is not None:
            detail["ended_by"] = by.value
        if self._acceptor is not None:
            detail["acceptor_implementation"] = self._acceptor
        self._say(
            Event.ASSOCIATION_ENDED,
            outcome,
            time,
            reason=reason,
            rule=rule,
            status=status,
            byte_count=byte_count,
            duration=_since(began, time),
            detail=detail,
        )

    def _say(
        self,
        event: Event,
        outcome: Outcome,
        time: float,
        *,
        reason: str | None = None,
        rule: str | None = None,
        operation: Operation | None = None,
        byte_count: int | None = None,
        status: str | None = None,
        duration: float | None = None,
        detail: Mapping[str, object] = NO_DETAIL,
    ) -> None:
        ends, command = self._ends, None if operation is None else operation.command
        self._tell(
            Record(
                time=time,
                event=event,
                outcome=outcome,
                association=f"w{ends.number:x}",
                reason=reason,
                rule=rule,
                address=str(ends.client),
                port=ends.client_port,
                calling_ae_title=self._calling,
                called_ae_title=self._called,
                peer=self._peer,
                archive=self._archive,
                verb=None if operation is None else operation.verb,
                command=None if command is None else command.command_field.name,
                message_id=None if command is None else command.message_id,
                sop_class_uid=None if command is None else command.sop_class_uid,
                sop_instance_uid=None if command is None else command.sop_instance_uid,
                move_destination=None if command is None else command.move_destination,
                bytes=byte_count,
                status=status,
                duration=duration,
                detail=detail,
            )
        )


def _since(began: float, time: float) -> float:
    """Seconds; a capture whose clock was set back has none."""
    return round(max(0.0, time - began), 6)
