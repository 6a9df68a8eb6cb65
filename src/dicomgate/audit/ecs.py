"""A record in; the same fact under the names of the Elastic Common Schema out, as one JSON line.

What ECS has no name for stands below `dicom` and `dicomgate`, under the record's own names.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter

from dicomgate.audit.plain import plain
from dicomgate.audit.record import Event, Outcome, Record, iso_time

VERSION = "8.11.0"

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


_OWN = (
    "association",
    "message_id",
    "sop_instance_uid",
    "study_instance_uid",
    "series_instance_uid",
    "patient",
)
"""Of the members of `dicom`, those that differ from record to record."""
_DICOM = (
    "calling_ae_title",
    "called_ae_title",
    "verb",
    "command",
    "sop_class_uid",
    "move_destination",
    "status",
)
_GATE = ("refusal_id", "listener", "peer", "archive", "assurance")


def line(record: Record, sequence: int, gate: str) -> str:
    """One JSON object in ASCII without a line end. `sequence` is the record's number in the store: a line that comes
    twice has it twice.

    Written member by member: there is a line for every record, and making a dictionary for an encoder takes five
    times as long.
    """
    head, tail = _frame(record.event, record.outcome, gate)
    about = f', "reason": {_text(record.reason)}' if record.reason is not None else ""
    if record.duration is not None:
        about += f', "duration": {round(record.duration * _NANOSECONDS)}'
    text = f'{{"@timestamp": "{iso_time(record.time)}", {head}{sequence}{about}{tail}'
    text += _gate_members(_gate_values(record))
    if record.detail:
        text += f', "detail": {_detail(record.detail)}'
    text += "}"
    if record.address is not None:
        port = "" if record.port is None else f', "port": {record.port}'
        size = "" if record.bytes is None else f', "bytes": {record.bytes}'
        text += f', "source": {{"ip": {_quoted(record.address)}{port}}}, "network": {{"protocol": "dicom"{size}}}'
    if record.user is not None:
        text += f', "user": {{"name": {_text(record.user)}}}'
    if record.rule is not None:
        text += f', "rule": {{"name": {_text(record.rule)}}}'
    if dicom := _written(_OWN, _own_values(record)) + _dicom_members(_dicom_values(record)):
        text += f', "dicom": {{{dicom[2:]}}}'
    return text + "}"


@lru_cache(maxsize=256)
def _frame(event: Event, outcome: Outcome, gate: str) -> tuple[str, str]:
    """What all lines of such records have alike: before the sequence, and from the end of `event` into `dicomgate`."""
    category, kind = CATEGORIES.get(event, _OTHERWISE)
    about = {
        "kind": "alert" if outcome is Outcome.WOULD_REFUSE or event is Event.FINDING else "event",
        "category": [category],
        "type": [kind],
        "action": event.value,
        "outcome": _OUTCOMES[outcome],
        "module": "dicomgate",
        "dataset": "dicomgate.audit",
    }
    observer = {"name": plain(gate, _LONGEST), "product": "dicomgate", "type": "proxy"}
    head = f'"ecs": {json.dumps({"version": VERSION})}, "event": {json.dumps(about)[:-1]}, "sequence": '
    return head, f'}}, "observer": {json.dumps(observer)}, "dicomgate": {{"outcome": "{outcome.value}"'


def _written(names: Sequence[str], values: Sequence[object]) -> str:
    """Those that are not None, a comma before each."""
    return "".join(
        [
            f', "{name}": {_text(value) if isinstance(value, str) else value}'
            for name, value in zip(names, values, strict=True)
            if value is not None
        ]
    )


_own_values, _dicom_values, _gate_values = (attrgetter(*names) for names in (_OWN, _DICOM, _GATE))
# The same devices, archives and classes come again and again.
_dicom_members = lru_cache(maxsize=1024)(partial(_written, _DICOM))
_gate_members = lru_cache(maxsize=1024)(partial(_written, _GATE))


def _detail(detail: Mapping[str, object]) -> str:
    try:
        return _encoded(tuple([(name, type(value), value) for name, value in detail.items()]))
    except TypeError:  # a list among the values: not worth remembering
        return json.dumps(_clean(dict(detail)))


@lru_cache(maxsize=1024)
def _encoded(items: tuple[tuple[str, type, object], ...]) -> str:
    """Most details are among a few dozen. The types belong to the key: 1, 1.0 and True are equal."""
    return json.dumps({_plain(name): _clean(value) for name, _, value in items})


def _clean(value: object) -> object:
    match value:
        case str():
            return _plain(value)
        case list() | tuple():
            return [_clean(each) for each in value]
        case dict():
            return {_plain(name): _clean(each) for name, each in value.items()}
        case _:
            return value


def _plain(value: object) -> str:
    return plain(value, _LONGEST)


def _text(value: str) -> str:
    return _quoted(plain(value, _LONGEST))
