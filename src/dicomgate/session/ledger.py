"""The records of one association: every fact leaves here with where, who and under which rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dicomgate.audit.patient import Conceal, Concealed, PatientId
from dicomgate.audit.record import NO_DETAIL, Event, Outcome, Record
from dicomgate.facts import AssociationFacts, Origin
from dicomgate.identity.claims import Claims, Passcode, Username
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Refuted, Unavailable
from dicomgate.policy.verdict import AllowAssociation, Deny, Direction, OperationPermit
from dicomgate.session.data_set import DataSetHead
from dicomgate.session.identifier import IdentifierReader
from dicomgate.session.inspection import Inspection
from dicomgate.wire.codes import CommandField, status_class
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import AssociateRequest, UserInformation

_SYNTAXES_KEPT = 16
_STATUS = "{:04X}"
_TO_ARCHIVE: Mapping[str, str] = {}
"""The usual direction is said once, by the admission; the other one by every record of its association."""


_IDENTIFIED = frozenset({CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ})
"""Their data set is an identifier: it says what is asked for."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, as records have it; None for what is not known."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    level: str | None = None
    patient: Concealed | None = None


_UNKNOWN = Subject()


@dataclass(slots=True)
class Operation:
    """A request that was sent on and has no final response yet: what its record will need."""

    permit: OperationPermit
    context_id: int
    rule: str
    started: float
    would_refuse: Deny | None = None
    bytes: int = 0
    responses: int = 0
    identifier: IdentifierReader | None = None
    """Of a C-FIND, while it is being sent."""
    query: Mapping[str, object] = field(default_factory=lambda: NO_DETAIL)
    """What its identifier told."""
    inspection: Inspection | None = None
    """Of a C-STORE towards an archive with a tamper alarm."""
    head: DataSetHead | None = None
    """Of the request's data set, while it is being read."""
    subject: Subject = _UNKNOWN


class Ledger:
    """Makes records. `wall` turns the session's clock into seconds since 1970; `new_id` makes refusal IDs; `conceal`
    says what a record may have of a patient, and without it none has anything."""

    __slots__ = (
        "_address",
        "_archive",
        "_assurance",
        "_called",
        "_calling",
        "_conceal",
        "_concealed",
        "_direction",
        "_origin",
        "_peer",
        "_proof",
        "_transport",
        "_user",
        "association",
        "new_id",
        "wall",
    )

    def __init__(
        self,
        association: str,
        origin: Origin,
        wall: Callable[[float], float],
        new_id: Callable[[], str],
        conceal: Conceal | None = None,
    ) -> None:
        self.association = association
        self.wall = wall
        self.new_id = new_id
        self._origin = origin
        self._address = str(origin.address)
        self._transport = _transport(origin)
        self._calling: str | None = None
        self._called: str | None = None
        self._peer: str | None = None
        self._archive: str | None = None
        self._assurance: str | None = None
        self._user: str | None = None
        self._proof: str | None = None
        self._direction: Mapping[str, str] = _TO_ARCHIVE
        self._conceal = conceal
        self._concealed: tuple[PatientId, Concealed] | None = None  # a series is of one patient

    def name(self, calling_ae_title: str, called_ae_title: str) -> None:
        """From now on every record bears these titles."""
        self._calling, self._called = calling_ae_title, called_ae_title

    def read(self, operation: Operation) -> None:
        """Take what the data set of a request says it is about; the rest of it is not looked at any more."""
        head, operation.head = operation.head, None
        if head is not None:
            about = head.about(identifier=operation.permit.command.command_field in _IDENTIFIED)
            patient = None if about.patient is None else self._hidden(about.patient)
            operation.subject = Subject(about.study_instance_uid, about.series_instance_uid, about.level, patient)

    def _hidden(self, patient: PatientId) -> Concealed | None:
        if self._conceal is None:
            return None
        if self._concealed is None or self._concealed[0] != patient:
            self._concealed = patient, self._conceal(patient)
        return self._concealed[1]

    def requested(self, facts: AssociationFacts, now: float) -> Record:
        return self._record(Event.ASSOCIATION_REQUESTED, Outcome.SUCCESS, now, detail=proposal(facts.request))

    def identified(self, principal: Principal) -> None:
        """From now on every record names the user, and how it is known who that is."""
        self._user = principal.name
        self._proof = f"{principal.identity_type.name.lower()} by {principal.verifier}"

    def identity_verified(self, principal: Principal, now: float) -> Record:
        detail: dict[str, object] = {"proof": self._proof, "groups": len(principal.groups)}
        return self._record(Event.IDENTITY_VERIFIED, Outcome.SUCCESS, now, reason=principal.reason, detail=detail)

    def identity_refused(self, claims: Claims, why: Refuted | Unavailable, refusal_id: str, now: float) -> Record:
        """The user is who was claimed, which may be nobody; what was presented as proof is not kept."""
        credential = claims.credential
        named = credential.name if isinstance(credential, Username | Passcode) else None
        self._user = (why.user if isinstance(why, Refuted) else None) or named
        refuted = isinstance(why, Refuted)
        detail: dict[str, object] = {
            "identity_type": int(claims.identity_type),
            "cause": why.cause.value if isinstance(why, Refuted) else "unavailable",
        }
        return self._record(
            Event.IDENTITY_REFUSED,
            Outcome.REFUSED if refuted else Outcome.FAILURE,
            now,
            refusal_id=refusal_id,
            reason=why.reason,
            detail=detail,
        )

    def admitted(self, allowed: AllowAssociation, now: float) -> Record:
        route = allowed.permit.route
        self._peer, self._archive = route.peer.name, route.archive.name
        self._assurance = allowed.permit.assurance.word
        if allowed.permit.principal is not None:
            self.identified(allowed.permit.principal)
        if route.direction is Direction.TO_PEER:
            self._direction = {"direction": route.direction.value}
        detail: dict[str, object] = {"direction": route.direction.value, **self._transport}
        if self._proof is not None:
            detail["proof"] = self._proof
            detail["roles"] = ", ".join(role.name for role in allowed.permit.roles or ())
        left_out = allowed.permit.refused_contexts
        if left_out:
            proposed = allowed.permit.facts.request.presentation_contexts
            syntaxes = dict.fromkeys(c.abstract_syntax for c in proposed if c.context_id in left_out)
            detail["refused_contexts"] = len(left_out)
            detail["refused_abstract_syntaxes"] = list(syntaxes)[:_SYNTAXES_KEPT]
        wanted = allowed.would_refuse
        reason = f"presentation contexts refused: {len(left_out)}" if left_out else None
        return self._record(
            Event.ASSOCIATION_ADMITTED,
            Outcome.WOULD_REFUSE if wanted else Outcome.SUCCESS,
            now,
            refusal_id=self.new_id() if left_out else None,
            rule=wanted.rule if wanted else allowed.rule,
            reason=wanted.reason if wanted else reason,
            detail=detail,
        )

    def refused(self, denied: Deny, refusal_id: str, status: str, now: float) -> Record:
        return self._record(
            Event.ASSOCIATION_REFUSED,
            Outcome.REFUSED,
            now,
            refusal_id=refusal_id,
            rule=denied.rule,
            reason=denied.reason,
            status=status,
            detail=self._transport,
        )

    def connection_refused(self, rule: str, reason: str, refusal_id: str, status: str | None, now: float) -> Record:
        return self._record(
            Event.CONNECTION_REFUSED,
            Outcome.REFUSED,
            now,
            refusal_id=refusal_id,
            rule=rule,
            reason=reason,
            status=status,
        )

    def ended(
        self,
        outcome: Outcome,
        reason: str,
        now: float,
        *,
        rule: str | None,
        refusal_id: str | None,
        status: str | None,
        byte_count: int,
        started: float,
        operations: int,
        refusals: int,
        ended_by: str,
        acceptor: UserInformation | None,
    ) -> Record:
        detail: dict[str, object] = {
            **self._direction,
            "operations": operations,
            "refused_operations": refusals,
            "ended_by": ended_by,
        }
        if acceptor is not None:
            detail["acceptor_implementation"] = implementation(acceptor)
        return self._record(
            Event.ASSOCIATION_ENDED,
            outcome,
            now,
            reason=reason,
            rule=rule,
            refusal_id=refusal_id,
            status=status,
            byte_count=byte_count,
            duration=round(now - started, 6),
            detail=detail,
        )

    def operation(self, operation: Operation, status: int | None, response: Command | None, now: float) -> Record:
        """An operation that was passed on, with its final status; None when the association ended before it came."""
        self.read(operation)
        command = operation.permit.command
        wanted = operation.would_refuse
        if wanted is not None:
            outcome = Outcome.WOULD_REFUSE
        elif status is None or status_class(status) in ("failure", "cancel"):
            outcome = Outcome.FAILURE
        else:
            outcome = Outcome.SUCCESS
        detail: dict[str, object] = {
            **self._direction,
            "sender": operation.permit.sender.value,
            "responses": operation.responses,
        }
        if self._proof is not None:
            detail["proof"] = self._proof
        detail |= operation.query
        if operation.subject.level is not None:
            detail["query_level"] = operation.subject.level
        if operation.inspection is not None and operation.inspection.version is not None:
            detail |= _content(operation.inspection)
        if response is not None and response.completed_sub_operations is not None:
            detail["completed_sub_operations"] = response.completed_sub_operations
            detail["failed_sub_operations"] = response.failed_sub_operations or 0
            detail["warning_sub_operations"] = response.warning_sub_operations or 0
        return self._record(
            Event.OPERATION,
            outcome,
            now,
            rule=wanted.rule if wanted else operation.rule,
            reason=wanted.reason if wanted else (None if status is not None else "the association ended first"),
            command=command,
            verb=operation.permit.verb,
            status=None if status is None else _STATUS.format(status),
            byte_count=operation.bytes,
            duration=round(now - operation.started, 6),
            subject=operation.subject,
            detail=detail,
        )

    def operation_refused(self, denied: Deny, command: Command, refusal_id: str, sender: str, now: float) -> Record:
        status = denied.answer if isinstance(denied.answer, int) else 0
        return self._record(
            Event.OPERATION_REFUSED,
            Outcome.REFUSED,
            now,
            refusal_id=refusal_id,
            rule=denied.rule,
            reason=denied.reason,
            command=command,
            verb=denied.verb,
            status=_STATUS.format(status),
            detail={**self._direction, "sender": sender},
        )

    def instance_changed(
        self, operation: Operation, inspection: Inspection, denied: Deny | None, refusal_id: str | None, now: float
    ) -> Record:
        """Other content for a stored instance: refused (with an ID), only told, or a correction (nothing denied)."""
        if denied is None:
            outcome = Outcome.SUCCESS
        else:
            outcome = Outcome.REFUSED if refusal_id is not None else Outcome.WOULD_REFUSE
        return self._about_content(Event.INSTANCE_CHANGED, outcome, operation, inspection, denied, refusal_id, now)

    def content_refused(
        self, operation: Operation, inspection: Inspection, denied: Deny, refusal_id: str, now: float
    ) -> Record:
        """Refused because nobody could say what is stored."""
        event = Event.OPERATION_REFUSED
        return self._about_content(event, Outcome.REFUSED, operation, inspection, denied, refusal_id, now)

    def _about_content(
        self,
        event: Event,
        outcome: Outcome,
        operation: Operation,
        inspection: Inspection,
        denied: Deny | None,
        refusal_id: str | None,
        now: float,
    ) -> Record:
        detail: dict[str, object] = {
            **self._direction,
            "sender": operation.permit.sender.value,
            **_content(inspection),
        }
        if inspection.known is not None:
            detail["known_sha256"] = inspection.known.sha256
            detail["known_transfer_syntax"] = inspection.known.transfer_syntax
        answer = denied.answer if denied is not None and refusal_id is not None else None
        return self._record(
            event,
            outcome,
            now,
            refusal_id=refusal_id,
            rule=denied.rule if denied is not None else f"peer[{self._peer}].corrections",
            reason=denied.reason if denied is not None else None,
            command=operation.permit.command,
            verb=operation.permit.verb,
            status=_STATUS.format(answer) if isinstance(answer, int) else None,
            byte_count=operation.bytes,
            duration=round(now - operation.started, 6),
            subject=operation.subject,
            detail=detail,
        )

    def _record(
        self,
        event: Event,
        outcome: Outcome,
        now: float,
        *,
        refusal_id: str | None = None,
        rule: str | None = None,
        reason: str | None = None,
        verb: str | None = None,
        command: Command | None = None,
        byte_count: int | None = None,
        status: str | None = None,
        duration: float | None = None,
        subject: Subject = _UNKNOWN,
        detail: Mapping[str, object] = NO_DETAIL,
    ) -> Record:
        patient = subject.patient
        return Record(
            time=self.wall(now),
            event=event,
            outcome=outcome,
            association=self.association,
            refusal_id=refusal_id,
            reason=reason,
            rule=rule,
            listener=self._origin.listener,
            address=self._address,
            port=self._origin.port,
            calling_ae_title=self._calling,
            called_ae_title=self._called,
            peer=self._peer,
            archive=self._archive,
            user=self._user,
            assurance=self._assurance,
            verb=verb,
            command=None if command is None else command.command_field.name,
            message_id=None if command is None else command.message_id,
            sop_class_uid=None if command is None else command.sop_class_uid,
            sop_instance_uid=None if command is None else command.sop_instance_uid,
            study_instance_uid=subject.study_instance_uid,
            series_instance_uid=subject.series_instance_uid,
            patient=None if patient is None else patient.pseudonym,
            sealed_patient=None if patient is None else patient.sealed,
            move_destination=None if command is None else command.move_destination,
            bytes=byte_count,
            status=status,
            duration=duration,
            detail=detail,
        )


def _content(inspection: Inspection) -> dict[str, object]:
    """What passed, once it is complete."""
    detail: dict[str, object] = {}
    if inspection.version is not None and inspection.content is not None:
        detail["sha256"] = inspection.version.sha256
        detail["transfer_syntax"] = inspection.version.transfer_syntax
        detail["content"] = inspection.content.value
    return detail


def _transport(origin: Origin) -> Mapping[str, object]:
    """The channel that carried it and what a TLS handshake brought; nothing of a plain connection."""
    tls = origin.tls
    if tls is None and origin.channel is None:
        return NO_DETAIL
    detail: dict[str, object] = {}
    if origin.channel is not None:
        detail["channel"] = origin.channel
    if tls is not None:
        detail["tls_version"] = tls.version
        detail["tls_cipher"] = tls.cipher
        if tls.certificate is not None:
            detail["certificate_sha256"] = tls.certificate.sha256
    return detail


def proposal(request: AssociateRequest) -> dict[str, object]:
    """What is worth keeping of a request: the software's own name and the breadth of what it asks for."""
    told = request.user_information
    proposed: dict[str, object] = {
        "presentation_contexts": len(request.presentation_contexts),
        "maximum_length": told.maximum_length,
        "implementation_class_uid": told.implementation_class_uid,
    }
    if told.implementation_version_name is not None:
        proposed["implementation_version_name"] = told.implementation_version_name
    if told.user_identity is not None:
        proposed["identity_type"] = int(told.user_identity.identity_type)
    if told.unknown_items:
        proposed["unknown_items"] = told.unknown_items
    return proposed


def implementation(told: UserInformation) -> str:
    """The software of whoever says this, as it names itself (PS3.7 D.3.3.2)."""
    named = (told.implementation_class_uid, told.implementation_version_name)
    return " ".join(name for name in named if name)
