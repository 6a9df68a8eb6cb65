"""The tables: what their columns are, and how a Record becomes a row and a row a Record again."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

from dicomgate.audit.leaf import Value, canonical
from dicomgate.audit.record import FIELDS, NO_DETAIL, Event, Outcome, Record

METADATA = MetaData()
REVISION = "0007"
"""The newest script in migrations/versions: the schema that this code reads and writes."""

_REQUIRED = frozenset({"time", "event", "outcome"})
_TYPES: dict[str, TypeEngine[Any]] = {
    "time": Double(),
    "duration": Double(),
    "port": Integer(),
    "message_id": Integer(),
    "bytes": BigInteger(),
}

RECORDS = Table(
    "records",
    METADATA,
    Column("sequence", Integer, primary_key=True),
    *(Column(name, _TYPES.get(name, Text()), nullable=name not in _REQUIRED) for name in FIELDS),
    Column("salt", LargeBinary()),
    Column("leaf", LargeBinary()),
)
"""One column per field of a Record (the rest is text); `sequence` is the order in which rows were committed, from 1
without a gap; `salt` and `leaf` are those of audit/leaf.py."""

Index("records_time", RECORDS.c.time)
Index("records_association", RECORDS.c.association, sqlite_where=RECORDS.c.association.is_not(None))
Index("records_refusal_id", RECORDS.c.refusal_id, sqlite_where=RECORDS.c.refusal_id.is_not(None))
# Both leave out rows without a value: most records are no refusal, and each entry costs on every commit.

USERS = Table(
    "users",
    METADATA,
    Column("name", Text(), primary_key=True),
    Column("passcode", Text(), nullable=False),
    Column("roles", Text(), nullable=False),
    Column("created", Double(), nullable=False),
    Column("changed", Double(), nullable=False),
    Column("disabled", Boolean(), nullable=False),
    Column("expires", Double()),
    Column("totp_secret", Text()),
    Column("totp_step", BigInteger()),
)
"""One column per field of an Account; `roles` is a JSON array."""

EMERGENCY_GRANTS = Table(
    "emergency_grants",
    METADATA,
    Column("id", Text(), primary_key=True),
    Column("user", Text(), nullable=False),
    Column("role", Text(), nullable=False),
    Column("reason", Text(), nullable=False),
    Column("operator", Text(), nullable=False),
    Column("granted", Double(), nullable=False),
    Column("ends", Double(), nullable=False),
    Column("ended", Double()),
)
"""One column per field of a Grant."""

Index("emergency_grants_open", EMERGENCY_GRANTS.c.user, sqlite_where=EMERGENCY_GRANTS.c.ended.is_(None))
SINK_CURSORS = Table(
    "sink_cursors",
    METADATA,
    Column("sink", Text(), primary_key=True),
    Column("sequence", BigInteger(), nullable=False),
)
"""Up to which record each sink beside the store has surely delivered."""
BANS = Table(
    "bans",
    METADATA,
    Column("identifier", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("rung", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("origin", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lifted", Double),
    Column("revision", Integer, nullable=False),
    Column("placed_recorded", Integer, nullable=False),
    Column("ended_recorded", Integer, nullable=False),
)
"""Who is held off (detect/ban.py). `revision` grows with every change, so that a gate sees at a glance what is new; the
last two say whether its beginning and its end have their records."""
Index("bans_revision", BANS.c.revision)

LEARNED = Table(
    "learned",
    METADATA,
    Column("detector", Text, primary_key=True),
    Column("memory", Text, nullable=False),
)
"""What detectors have learned, as JSON, to be taken up again after a restart."""

TREE = Table(
    "tree",
    METADATA,
    Column("only", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("nodes", LargeBinary, nullable=False),
    Column("prune_to", BigInteger, nullable=False),
)
"""One row: the frontier of the tree over all records there ever were, and up to which one they may be pruned."""

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("size", Integer, primary_key=True),
    Column("time", Double, nullable=False),
    Column("note", Text, nullable=False),
)
"""Signed checkpoints, and when they were made."""

PRUNED = Table(
    "pruned",
    METADATA,
    Column("first", Integer, primary_key=True),
    Column("leaves", LargeBinary, nullable=False),
)
"""What is left of pruned records: leaf hashes, one after another, beginning with that of the record `first`."""

INSTANCES = Table(
    "instances",
    METADATA,
    Column("archive", Text, primary_key=True),
    Column("sop_instance_uid", Text, primary_key=True),
    Column("transfer_syntax", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("time", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""The version of each stored SOP instance that counts, and the number and time of the record that says so. Rows stay
when that record is pruned: the alarm must not forget before the archive does."""

Row = tuple[Value, ...]
"""The values of one record in the order of FIELDS."""

TEXT_LIMIT = 65536
"""Longest text, in characters, that `rescued` keeps of one value."""

KINDS: Mapping[str, type] = {
    name: float if isinstance(kind := _TYPES.get(name), Double) else str if kind is None else int for name in FIELDS
}
"""What each column of a row holds, if it holds anything."""
canonical_text = canonical(KINDS)
"""A sequence number and a row in, the text for its leaf out."""

_INTEGERS = range(-(2**63), 2**63)


def _stand_in(value: object) -> str:
    return f"<{type(value).__name__}>"


_encode = json.JSONEncoder(separators=(",", ":"), skipkeys=True, default=_stand_in).encode


def row_of(record: Record) -> Row:
    """The row of a record. What JSON cannot hold in `detail` is replaced by the name of its type."""
    detail = _detail(record.detail) if record.detail else None
    return (record.time, str(record.event), str(record.outcome), *record[3:-1], detail)


def _detail(detail: Mapping[str, object]) -> str:
    try:
        return _encoded(tuple((name, type(value), value) for name, value in detail.items()))
    except TypeError:  # a list among the values: not worth remembering
        return _encode(dict(detail))


@lru_cache(maxsize=1024)
def _encoded(items: tuple[tuple[str, type, object], ...]) -> str:
    """Most details are among a few dozen; encoding one takes as long as all the rest of a row.

    The types belong to the key: 1, 1.0 and True are equal and yet three JSON texts.
    """
    return _encode({name: value for name, _, value in items})


def record_of(row: Sequence[object]) -> Record:
    """The record of a row in the order of FIELDS. ValueError when it holds what this version never wrote."""
    values = list(row)
    try:
        values[1], values[2], values[-1] = _EVENTS[row[1]], _OUTCOMES[row[2]], _decoded(row[-1])
        return Record._make(values)
    except (KeyError, TypeError, IndexError):
        raise ValueError("expected a row of a record") from None


def _decoded(detail: object) -> Mapping[str, object]:
    if detail is None:
        return NO_DETAIL
    return _remembered(detail) if isinstance(detail, str) and len(detail) < _SHORT else _loaded(detail)


def _loaded(detail: object) -> Mapping[str, object]:
    return MappingProxyType(json.loads(detail))  # type: ignore[arg-type]


_SHORT = 256
_remembered = lru_cache(maxsize=1024)(_loaded)
"""Most details are among a few dozen."""
_EVENTS: Mapping[object, Event] = {event.value: event for event in Event}
_OUTCOMES: Mapping[object, Outcome] = {outcome.value: outcome for outcome in Outcome}


def rescued(row: Row) -> Row:
    """The same row in values that SQLite surely takes.

    Used only after SQLite or the leaf encoding refused a row, so that one odd value (a lone surrogate out of a hostile
    name, a counter beyond 64 bits, a NaN) cannot keep all other records from the disk. Text that is not Unicode gets
    its odd characters as \\udcXX; a number that does not fit its column becomes NULL, a time 0.
    """
    time, *rest = (_RESCUE[kind](value) for value, kind in zip(row, KINDS.values(), strict=True))
    return (time or 0.0, *rest)


def _rescued_text(value: object) -> Value:
    if isinstance(value, str):
        return value[:TEXT_LIMIT].encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int | float):
        return repr(value)[:TEXT_LIMIT] if isinstance(value, float) or value in _INTEGERS else None
    return None if value is None else _stand_in(value)


def _rescued_integer(value: object) -> Value:
    return int(value) if isinstance(value, int) and value in _INTEGERS else None


def _rescued_number(value: object) -> Value:
    if isinstance(value, int):
        return float(value) if value in _INTEGERS else None
    return value if isinstance(value, float) and value - value == 0.0 else None


_RESCUE: Mapping[type, Callable[[object], Value]] = {
    str: _rescued_text,
    int: _rescued_integer,
    float: _rescued_number,
}
