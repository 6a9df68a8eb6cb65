"""One audited fact. Comes from the session and the gate; goes to the store and, line by line, to `dicomgate audit`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from math import floor
from types import MappingProxyType
from typing import NamedTuple


class Event(StrEnum):
    """What a record is about. docs/reference/records.md describes each; a test holds the two together."""

    GATE_STARTED = "gate_started"
    GATE_STOPPED = "gate_stopped"
    CONFIGURATION_LOADED = "configuration_loaded"
    CONFIGURATION_REFUSED = "configuration_refused"
    CONNECTION_REFUSED = "connection_refused"
    ASSOCIATION_REQUESTED = "association_requested"
    IDENTITY_VERIFIED = "identity_verified"
    IDENTITY_REFUSED = "identity_refused"
    ASSOCIATION_ADMITTED = "association_admitted"
    ASSOCIATION_REFUSED = "association_refused"
    ASSOCIATION_ENDED = "association_ended"
    OPERATION = "operation"
    OPERATION_REFUSED = "operation_refused"
    INSTANCE_CHANGED = "instance_changed"
    RECORDS_LOST = "records_lost"
    AUDIT_LOG_USED = "audit_log_used"
    CHANNEL_UP = "channel_up"
    CHANNEL_DOWN = "channel_down"
    USER_CHANGED = "user_changed"
    USER_LOCKED_OUT = "user_locked_out"
    EMERGENCY_STARTED = "emergency_started"
    EMERGENCY_USED = "emergency_used"
    EMERGENCY_ENDED = "emergency_ended"
    RECORDS_PRUNED = "records_pruned"
    CHECKPOINT_CONFLICT = "checkpoint_conflict"
    PSEUDONYM_KEY_ROTATED = "pseudonym_key_rotated"
    SEGMENT_CHANGED = "segment_changed"
    SEGMENT_VERIFIED = "segment_verified"
    SINK_FAILED = "sink_failed"
    SINK_RECOVERED = "sink_recovered"
    FINDING = "finding"
    BAN_PLACED = "ban_placed"
    BAN_LIFTED = "ban_lifted"
    DETECTION_DEGRADED = "detection_degraded"


class Outcome(StrEnum):
    """How the fact ended, seen from the gate."""

    SUCCESS = "success"
    REFUSED = "refused"
    FAILURE = "failure"
    WOULD_REFUSE = "would_refuse"
    """mode = "monitor": it was let through, and enforcement would have refused it."""


NO_DETAIL: Mapping[str, object] = MappingProxyType({})


class Record(NamedTuple):
    """A flat row: a field that does not apply is None. Holds no patient data in the clear and no secret.

    A tuple, because every association makes some, and a frozen dataclass of so many fields takes thrice as long.

    `time` is seconds since 1970 UTC. `status` is what the other side was told: a DIMSE status as four
    hexadecimal digits ("0124"), a rejection as result/source/reason ("1/1/3"), an abort as "abort 2/1".
    `bytes` counts data-set bytes of an operation, or all bytes of an association in both directions.
    `detail` holds JSON values for what only one kind of record knows; docs/reference/records.md lists them.
    """

    time: float
    event: Event
    outcome: Outcome
    association: str | None = None
    refusal_id: str | None = None
    reason: str | None = None
    rule: str | None = None
    listener: str | None = None
    address: str | None = None
    port: int | None = None
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    peer: str | None = None
    archive: str | None = None
    user: str | None = None
    assurance: str | None = None
    verb: str | None = None
    command: str | None = None
    message_id: int | None = None
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    patient: str | None = None
    """A keyed pseudonym (audit/pseudonym.py)."""
    sealed_patient: str | None = None
    """For a repository only: a Patient ID that the key of the pseudonyms opens. Shown nowhere."""
    move_destination: str | None = None
    bytes: int | None = None
    status: str | None = None
    duration: float | None = None
    """Seconds."""
    detail: Mapping[str, object] = NO_DETAIL

    def as_json(self) -> dict[str, object]:
        """The record as one JSON object: every field of SHOWN, `time` in ISO 8601 UTC with milliseconds."""
        values: dict[str, object] = self._asdict()
        del values["sealed_patient"]
        values["time"] = iso_time(self.time)
        values["detail"] = dict(self.detail)
        return values


FIELDS: tuple[str, ...] = Record._fields
"""The order of the columns everywhere: store, JSON lines, documentation."""
SHOWN: tuple[str, ...] = tuple(name for name in FIELDS if name != "sealed_patient")
"""What leaves the store for people and programs."""


def iso_time(seconds: float) -> str:
    """Seconds since 1970 as `2026-11-22T09:49:42.123Z`."""
    whole = floor(seconds)
    microseconds = round((seconds - whole) * 1e6)
    if microseconds == 1_000_000:
        whole, microseconds = whole + 1, 0
    return f"{_to_the_second(whole)}.{microseconds // 1000:03}Z"


@lru_cache(maxsize=16)
def _to_the_second(seconds: int) -> str:
    """Records come in the order of their times, thousands within a second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
