"""The tables: what their columns are, and how a Record becomes a row and a row a Record again."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

from dicomgate.audit.record import FIELDS, NO_DETAIL, Event, Outcome, Record

METADATA = MetaData()
REVISION = "0002"
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
)
"""One column per field of a Record (the rest is text); `sequence` is the order in which rows were committed."""

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

Value = str | int | float | None
Row = tuple[Value, ...]
"""The values of one record in the order of FIELDS."""

TEXT_LIMIT = 65536
"""Longest text, in characters, that `rescued` keeps of one value."""

_INTEGERS = range(-(2**63), 2**63)
_fields = attrgetter(*("event.value" if name == "event" else name for name in FIELDS[:-1]))


def _stand_in(value: object) -> str:
    return f"<{type(value).__name__}>"


_encode = json.JSONEncoder(separators=(",", ":"), skipkeys=True, default=_stand_in).encode


def row_of(record: Record) -> Row:
    """The row of a record. What JSON cannot hold in `detail` is replaced by the name of its type."""
    values: Row = _fields(record)
    return (*values, _detail(record.detail) if record.detail else None)


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
    values: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    values["event"] = Event(values["event"])
    values["outcome"] = Outcome(values["outcome"])
    values["detail"] = NO_DETAIL if values["detail"] is None else json.loads(values["detail"])
    return Record(**values)


def rescued(row: Row) -> Row:
    """The same row in values that SQLite surely takes.

    Used only after SQLite refused a row, so that one odd value (a lone surrogate out of a hostile name, a
    counter beyond 64 bits, a NaN) cannot keep all other records from the disk. Text that is not Unicode
    gets its odd characters as \\udcXX; a number that does not fit becomes NULL, a time 0.
    """
    time, *rest = (_rescued(value) for value in row)
    return (time or 0.0, *rest)


def _rescued(value: object) -> Value:
    if isinstance(value, str):
        return value[:TEXT_LIMIT].encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, int):
        return int(value) if value in _INTEGERS else None
    if isinstance(value, float):
        return value if value == value else None  # noqa: PLR0124 - only a NaN differs from itself
    return None if value is None else _stand_in(value)
