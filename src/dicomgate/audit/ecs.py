"""A record in; the same fact under the names of the Elastic Common Schema out, ready for one JSON line.

What ECS has no name for stands below `dicom` and `dicomgate`, under the record's own names.
"""

from collections.abc import Mapping

from dicomgate.audit.plain import plain
from dicomgate.audit.record import Event, Outcome, Record, iso_time

VERSION = "8.11.0"
Document = dict[str, object]

_LONGEST = 4096
_NANOSECONDS = 1_000_000_000

CATEGORIES: Mapping[Event, tuple[str, str]] = {
    Event.GATE_STARTED: ("process", "start"),
    Event.GATE_STOPPED: ("process", "end"),
    Event.CONFIGURATION_LOADED: ("configuration", "change"),
    Event.CONFIGURATION_REFUSED: ("configuration", "error"),
    Event.CONNECTION_REFUSED: ("network", "denied"),
    Event.ASSOCIATION_REQUESTED: ("network", "connection"),
    Event.IDENTITY_VERIFIED: ("authentication", "start"),
    Event.IDENTITY_REFUSED: ("authentication", "denied"),
    Event.ASSOCIATION_ADMITTED: ("network", "allowed"),
    Event.ASSOCIATION_REFUSED: ("network", "denied"),
    Event.ASSOCIATION_ENDED: ("network", "end"),
    Event.OPERATION: ("network", "protocol"),
    Event.OPERATION_REFUSED: ("network", "denied"),
    Event.INSTANCE_CHANGED: ("intrusion_detection", "info"),
    Event.RECORDS_LOST: ("process", "error"),
    Event.AUDIT_LOG_USED: ("database", "access"),
    Event.USER_CHANGED: ("iam", "change"),
    Event.USER_LOCKED_OUT: ("iam", "change"),
    Event.EMERGENCY_STARTED: ("iam", "admin"),
    Event.EMERGENCY_USED: ("authentication", "info"),
    Event.EMERGENCY_ENDED: ("iam", "admin"),
    Event.RECORDS_PRUNED: ("database", "deletion"),
    Event.CHECKPOINT_CONFLICT: ("database", "error"),
    Event.PSEUDONYM_KEY_ROTATED: ("configuration", "change"),
    Event.SEGMENT_CHANGED: ("configuration", "change"),
    Event.SEGMENT_VERIFIED: ("configuration", "info"),
    Event.CHANNEL_UP: ("network", "info"),
    Event.CHANNEL_DOWN: ("network", "error"),
    Event.SINK_FAILED: ("process", "error"),
    Event.SINK_RECOVERED: ("process", "info"),
    Event.FINDING: ("intrusion_detection", "info"),
    Event.BAN_PLACED: ("configuration", "change"),
    Event.BAN_LIFTED: ("configuration", "change"),
    Event.DETECTION_DEGRADED: ("process", "error"),
}
"""`event.category` and `event.type`, one line for each event; a test holds it complete."""

_OUTCOMES = {
    Outcome.SUCCESS: "success",
    Outcome.REFUSED: "failure",
    Outcome.FAILURE: "failure",
    Outcome.WOULD_REFUSE: "success",
}
_OTHERWISE = ("network", "info")
_DICOM = (
    "association",
    "calling_ae_title",
    "called_ae_title",
    "verb",
    "command",
    "message_id",
    "sop_class_uid",
    "sop_instance_uid",
    "study_instance_uid",
    "series_instance_uid",
    "patient",
    "move_destination",
    "status",
)
_GATE = ("refusal_id", "listener", "peer", "archive", "assurance")


def document(record: Record, sequence: int, gate: str) -> Document:
    """One JSON object. `sequence` is the record's number in the store: a line that comes twice has it twice."""
    category, kind = CATEGORIES.get(record.event, _OTHERWISE)
    event: Document = {
        "kind": "alert" if record.outcome is Outcome.WOULD_REFUSE or record.event is Event.FINDING else "event",
        "category": [category],
        "type": [kind],
        "action": record.event.value,
        "outcome": _OUTCOMES[record.outcome],
        "module": "dicomgate",
        "dataset": "dicomgate.audit",
        "sequence": sequence,
    }
    if record.reason is not None:
        event["reason"] = _text(record.reason)
    if record.duration is not None:
        event["duration"] = round(record.duration * _NANOSECONDS)
    found: Document = {
        "@timestamp": iso_time(record.time),
        "ecs": {"version": VERSION},
        "event": event,
        "observer": {"name": _text(gate), "product": "dicomgate", "type": "proxy"},
        "dicomgate": {"outcome": record.outcome.value, **_fields(record, _GATE), **_detail(record)},
    }
    network: Document = {"protocol": "dicom"}
    if record.bytes is not None:
        network["bytes"] = record.bytes
    if record.address is not None:
        found["source"] = {"ip": record.address, **({} if record.port is None else {"port": record.port})}
        found["network"] = network
    if record.user is not None:
        found["user"] = {"name": _text(record.user)}
    if record.rule is not None:
        found["rule"] = {"name": _text(record.rule)}
    if dicom := _fields(record, _DICOM):
        found["dicom"] = dicom
    return found


def _fields(record: Record, names: tuple[str, ...]) -> Document:
    return {
        name: _text(value) if isinstance(value, str) else value
        for name in names
        if (value := getattr(record, name)) is not None
    }


def _detail(record: Record) -> Document:
    return {"detail": {_text(name): _clean(value) for name, value in record.detail.items()}} if record.detail else {}


def _clean(value: object) -> object:
    match value:
        case str():
            return _text(value)
        case list() | tuple():
            return [_clean(each) for each in value]
        case dict():
            return {_text(name): _clean(each) for name, each in value.items()}
        case _:
            return value


def _text(value: object) -> str:
    return plain(value, _LONGEST)
