"""Which DICOM audit messages a record becomes (PS3.15 A.5.3). Records in, messages out.

A record has a pseudonym for the patient. Whoever may tell a repository the Patient ID hands it in beside the record;
without it, and where no study is known, `unknown` stands in its place.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from dicomgate.audit.dicom_message import (
    Action,
    AuditMessage,
    Coded,
    EventId,
    EventType,
    IdType,
    Indicator,
    Object,
    ObjectRole,
    ObjectType,
    Participant,
    Role,
)
from dicomgate.audit.patient import PatientId
from dicomgate.audit.record import Event, Outcome, Record

UNKNOWN = "unknown"
Messages = tuple[AuditMessage, ...]
Mapper = Callable[[Record, str], Messages]


def messages_of(record: Record, gate: str, patient: PatientId | None = None) -> Messages:
    """The messages that a record of this gate becomes, in order; none for what no message is meant for.

    With `patient`, they name the patient that the record is about.
    """
    messages = MESSAGES.get(record.event, OTHERWISE)(record, gate)
    return messages if patient is None else tuple(_naming(each, patient) for each in messages)


def _naming(message: AuditMessage, patient: PatientId) -> AuditMessage:
    """Without the pseudonym: side by side, they would tell whom the pseudonyms in the store mean."""
    issuer = (("issuer_of_patient_id", patient.issuer),) if patient.issuer else ()
    objects = (
        replace(each, id=patient.value, details=issuer) if each.role is ObjectRole.PATIENT else each
        for each in message.objects
    )
    return replace(message, objects=tuple(objects))


_INDICATORS = {
    Outcome.SUCCESS: Indicator.SUCCESS,
    Outcome.REFUSED: Indicator.MINOR_FAILURE,
    Outcome.FAILURE: Indicator.SERIOUS_FAILURE,
    Outcome.WOULD_REFUSE: Indicator.MAJOR_FAILURE,
}
"""`would_refuse` of an alert: nothing was done against it, so the mitigation was not effective (A.5.3.11)."""

_ACTIONS = {
    "N_CREATE_RQ": Action.CREATE,
    "N_SET_RQ": Action.UPDATE,
    "N_ACTION_RQ": Action.UPDATE,
    "N_DELETE_RQ": Action.DELETE,
}


# -- mappers -------------------------------------------------------------------------------------------------


def _nothing(record: Record, gate: str) -> Messages:
    return ()


def _application(kind: Coded, record: Record, gate: str) -> Messages:
    itself = Participant(gate, role=Role.APPLICATION)
    return (_message(record, gate, EventId.APPLICATION_ACTIVITY, Action.EXECUTE, (itself,), kind=kind),)


def _network_entry(kind: Coded, record: Record, gate: str) -> Messages:
    entry = _message(record, gate, EventId.NETWORK_ENTRY, Action.EXECUTE, (_caller(record),), kind=kind)
    return _with_alert(entry, EventType.NODE_AUTHENTICATION, record, gate)


def _log_used(record: Record, gate: str) -> Messages:
    reader = Participant(str(record.detail.get("operator") or UNKNOWN), True)
    log = Object(
        f"dicomgate:{quote(gate, errors='replace')}",
        IdType.URI,
        ObjectType.SYSTEM_OBJECT,
        ObjectRole.SECURITY_RESOURCE,
        "Security Audit Log",
        (("action", str(record.detail.get("action"))),),
    )
    return (_message(record, gate, EventId.AUDIT_LOG_USED, Action.READ, (reader,), (log,)),)


def _login(record: Record, gate: str) -> Messages:
    person = Participant(record.user or UNKNOWN, True, ae_title=record.calling_ae_title, address=_address(record))
    who = (person, Participant(gate))
    return (_message(record, gate, EventId.USER_AUTHENTICATION, Action.EXECUTE, who, kind=EventType.LOGIN),)


def _alert(kind: Coded, record: Record, gate: str) -> Messages:
    who = [Participant(gate)]
    if record.user:
        who.append(Participant(record.user, address=record.address or None))
    if record.address:
        who.append(_caller(record))
    return (
        _message(record, gate, EventId.SECURITY_ALERT, Action.EXECUTE, tuple(who), (_resource(record, gate),), kind),
    )


def _operation(record: Record, gate: str) -> Messages:
    match record.command:
        case "C_ECHO_RQ":
            found: Messages = ()
        case "C_FIND_RQ":
            found = (_query(record, gate),)
        case "C_STORE_RQ":
            found = (_stored(record, gate),)
        case "C_GET_RQ":
            found = (_begun(record, gate, _caller(record)),)
        case "C_MOVE_RQ":
            found = _moved(record, gate)
        case _:
            action = _ACTIONS.get(record.command or "", Action.READ)
            who = (*_person(record), replace(_caller(record), requestor=not record.user))
            found = (_message(record, gate, EventId.INSTANCES_ACCESSED, action, who, _studies(record)),)
    if record.outcome is Outcome.WOULD_REFUSE:
        passed = tuple(replace(message, outcome=Indicator.SUCCESS, description=None) for message in found)
        return passed + _alert(EventType.USE_OF_RESTRICTED_FUNCTION, record, gate)
    return found


OTHERWISE: Mapper = partial(_alert, EventType.USE_OF_RESTRICTED_FUNCTION)
"""For an event that MESSAGES does not name: better an alert too many than a fact that nobody is told."""

MESSAGES: Mapping[Event, Mapper] = {
    Event.GATE_STARTED: partial(_application, EventType.APPLICATION_START),
    Event.GATE_STOPPED: partial(_application, EventType.APPLICATION_STOP),
    Event.CONFIGURATION_LOADED: partial(_alert, EventType.SECURITY_CONFIGURATION),
    Event.CONFIGURATION_REFUSED: partial(_alert, EventType.SECURITY_CONFIGURATION),
    Event.CONNECTION_REFUSED: partial(_alert, EventType.NODE_AUTHENTICATION),
    Event.ASSOCIATION_REQUESTED: _nothing,  # what became of it is the next record
    Event.IDENTITY_VERIFIED: _login,
    Event.IDENTITY_REFUSED: _login,
    Event.ASSOCIATION_ADMITTED: partial(_network_entry, EventType.ATTACH),
    Event.ASSOCIATION_REFUSED: partial(_alert, EventType.NODE_AUTHENTICATION),
    Event.ASSOCIATION_ENDED: partial(_network_entry, EventType.DETACH),
    Event.OPERATION: _operation,
    Event.OPERATION_REFUSED: partial(_alert, EventType.USE_OF_RESTRICTED_FUNCTION),
    Event.INSTANCE_CHANGED: partial(_alert, EventType.USE_OF_RESTRICTED_FUNCTION),
    Event.AUDIT_LOG_USED: _log_used,
    Event.RECORDS_LOST: partial(_alert, EventType.AUDIT_RECORDING_STOPPED),
    Event.USER_CHANGED: partial(_alert, EventType.USER_SECURITY_ATTRIBUTES_CHANGED),
    Event.USER_LOCKED_OUT: partial(_alert, EventType.USER_SECURITY_ATTRIBUTES_CHANGED),
    Event.EMERGENCY_STARTED: partial(_alert, EventType.EMERGENCY_OVERRIDE_STARTED),
    Event.EMERGENCY_USED: partial(_alert, EventType.USE_OF_RESTRICTED_FUNCTION),
    Event.EMERGENCY_ENDED: partial(_alert, EventType.EMERGENCY_OVERRIDE_STOPPED),
    Event.RECORDS_PRUNED: partial(_alert, EventType.SECURITY_CONFIGURATION),
    Event.CHECKPOINT_CONFLICT: partial(_alert, EventType.OBJECT_SECURITY_ATTRIBUTES_CHANGED),
    Event.PSEUDONYM_KEY_ROTATED: partial(_alert, EventType.SECURITY_CONFIGURATION),
    Event.SEGMENT_CHANGED: partial(_alert, EventType.NETWORK_CONFIGURATION),
    Event.SEGMENT_VERIFIED: partial(_alert, EventType.NETWORK_CONFIGURATION),
    Event.CHANNEL_UP: partial(_alert, EventType.NETWORK_CONFIGURATION),
    Event.CHANNEL_DOWN: partial(_alert, EventType.NETWORK_CONFIGURATION),
    Event.SINK_FAILED: partial(_alert, EventType.AUDIT_RECORDING_STOPPED),
    Event.SINK_RECOVERED: partial(_alert, EventType.AUDIT_RECORDING_STARTED),
    Event.FINDING: partial(_alert, EventType.USE_OF_RESTRICTED_FUNCTION),
    Event.BAN_PLACED: partial(_alert, EventType.SECURITY_CONFIGURATION),
    Event.BAN_LIFTED: partial(_alert, EventType.SECURITY_CONFIGURATION),
    Event.DETECTION_DEGRADED: partial(_alert, EventType.SECURITY_CONFIGURATION),
}
"""One line for each event; a test holds it complete."""


# -- operations ----------------------------------------------------------------------------------------------


def _query(record: Record, gate: str) -> AuditMessage:
    asking, asked = _ends(record)
    who = (replace(asking, role=Role.SOURCE), replace(asked, role=Role.DESTINATION), *_person(record))
    sop_class = record.sop_class_uid or UNKNOWN
    about = Object(
        sop_class, IdType.SOP_CLASS_UID, ObjectType.SYSTEM_OBJECT, ObjectRole.REPORT, sop_class, _details(record)
    )
    study = (_study(record),) if record.study_instance_uid else ()
    patient = (_patient(record),) if record.patient else ()
    return _message(record, gate, EventId.QUERY, Action.EXECUTE, who, (about, *study, *patient))


def _stored(record: Record, gate: str) -> AuditMessage:
    """READ: who only looks on does not know whether the receiver has created or replaced something."""
    source, destination = _ends(record)
    return _transfer(record, gate, EventId.INSTANCES_TRANSFERRED, source, destination, _person(record))


def _begun(record: Record, gate: str, destination: Participant) -> AuditMessage:
    """A retrieve, dated back to its request."""
    started = record.time - (record.duration or 0.0)
    others = _person(record)
    if destination.ae_title != record.calling_ae_title:
        others = (*others, replace(_caller(record), requestor=not record.user))
    return replace(
        _transfer(record, gate, EventId.BEGIN_TRANSFERRING, _called(record), destination, others),
        time=started,
        action=Action.EXECUTE,
    )


def _moved(record: Record, gate: str) -> Messages:
    """The start, and at its end what was transferred and what was not: mixed results are two messages (A.5.1)."""
    destination = Participant(record.move_destination or UNKNOWN, ae_title=record.move_destination)
    begun = _begun(record, gate, destination)
    others = tuple(each for each in begun.participants if each.role is None)
    ended = _transfer(record, gate, EventId.INSTANCES_TRANSFERRED, _called(record), destination, others)
    done, failed = (record.detail.get(f"{word}_sub_operations") for word in ("completed", "failed"))
    if done and failed:
        good = replace(ended, outcome=Indicator.SUCCESS, description=None)
        bad = replace(ended, outcome=Indicator.SERIOUS_FAILURE, description=f"{failed} sub-operations failed")
        return begun, good, bad
    return begun, ended


def _transfer(
    record: Record,
    gate: str,
    event: Coded,
    source: Participant,
    destination: Participant,
    others: tuple[Participant, ...],
) -> AuditMessage:
    who = (replace(source, role=Role.SOURCE), replace(destination, role=Role.DESTINATION), *others)
    return _message(record, gate, event, Action.READ, who, _studies(record))


# -- parts ---------------------------------------------------------------------------------------------------


def _message(
    record: Record,
    gate: str,
    event: Coded,
    action: Action,
    participants: tuple[Participant, ...],
    objects: tuple[Object, ...] = (),
    kind: Coded | None = None,
) -> AuditMessage:
    outcome = _INDICATORS[record.outcome]
    description = None
    if outcome is not Indicator.SUCCESS:
        words = [record.reason, f"status {record.status}" if record.status else None]
        refusal = f" (refusal {record.refusal_id})" if record.refusal_id else ""
        description = ("; ".join(word for word in words if word) or "no reason was given") + refusal
    return AuditMessage(record.time, gate, event, action, outcome, participants, objects, kind, description)


def _with_alert(message: AuditMessage, kind: Coded, record: Record, gate: str) -> Messages:
    """What monitor mode let through: the event itself went well, and the alert says what is wrong with it."""
    if record.outcome is not Outcome.WOULD_REFUSE:
        return (message,)
    return (replace(message, outcome=Indicator.SUCCESS, description=None), *_alert(kind, record, gate))


def _address(record: Record) -> str:
    return record.address or UNKNOWN


def _names(record: Record) -> tuple[str | None, str | None]:
    """The configuration's names of who called and of who was called."""
    return (
        (record.archive, record.peer) if record.detail.get("direction") == "to_peer" else (record.peer, record.archive)
    )


def _caller(record: Record) -> Participant:
    name = _names(record)[0] or record.calling_ae_title or _address(record)
    return Participant(name, ae_title=record.calling_ae_title, address=record.address or None)


def _called(record: Record) -> Participant:
    return Participant(_names(record)[1] or record.called_ae_title or UNKNOWN, ae_title=record.called_ae_title)


def _ends(record: Record) -> tuple[Participant, Participant]:
    """Who sent the request, and who got it; the device is the requestor where no user is known."""
    caller, called = _caller(record), _called(record)
    if record.detail.get("sender") == "acceptor":
        return called, caller
    return replace(caller, requestor=not record.user), called


def _person(record: Record) -> tuple[Participant, ...]:
    return (Participant(record.user, True, address=record.address or None),) if record.user else ()


def _studies(record: Record) -> tuple[Object, ...]:
    """The one study, and the one patient, that an operation is about."""
    study = replace(
        _study(record),
        details=_details(record),
        sop_class_uid=record.sop_class_uid if record.sop_instance_uid else None,  # a query's class is none of its own
        sop_instance_uid=record.sop_instance_uid,
    )
    return study, _patient(record)


def _study(record: Record) -> Object:
    uid = record.study_instance_uid or UNKNOWN
    return Object(uid, IdType.STUDY_INSTANCE_UID, ObjectType.SYSTEM_OBJECT, ObjectRole.REPORT, uid)


def _patient(record: Record) -> Object:
    """The name is never told: it is not needed to know who it is."""
    known_as = (("pseudonym", record.patient),) if record.patient else ()
    return Object(UNKNOWN, IdType.PATIENT_NUMBER, ObjectType.PERSON, ObjectRole.PATIENT, UNKNOWN, known_as)


def _resource(record: Record, gate: str) -> Object:
    """What an alert is about: the archive, listener or gate that somebody wanted something of."""
    node = record.archive or record.listener or gate
    words = [record.rule, record.reason or record.event.value.replace("_", " ")]
    description = ("Alert Description", ": ".join(word for word in words if word))
    resource = Object(node, IdType.NODE_ID, ObjectType.SYSTEM_OBJECT, ObjectRole.SECURITY_RESOURCE, node)
    return replace(resource, details=(description, *_details(record)))


_TOLD = (
    "association",
    "refusal_id",
    "rule",
    "listener",
    "assurance",
    "verb",
    "command",
    "sop_class_uid",
    "sop_instance_uid",
    "series_instance_uid",
    "move_destination",
    "bytes",
    "status",
    "duration",
)


_TOLD_OF_DETAIL = ("query_level", "sink", "channel")
"""What of `detail` tells apart what happened from the like of it."""


def _details(record: Record) -> tuple[tuple[str, str], ...]:
    """The fields of the record that have no place of their own in a message, under their own names."""
    told = [(name, str(value)) for name in _TOLD if (value := getattr(record, name)) not in (None, "")]
    detail = record.detail
    told += [(name, str(detail[name])) for name in _TOLD_OF_DETAIL if name in detail]
    return tuple(told)
