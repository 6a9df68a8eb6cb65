"""Questions in, Records out, oldest or newest first; also from another process while a gate is writing."""

from collections.abc import Iterator
from itertools import islice
from typing import TypedDict, Unpack

from sqlalchemy import ColumnElement, Engine, Row, Select, select, tuple_

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.store.database import StoreError, path_of, told
from dicomgate.store.schema import RECORDS, record_of

_PAGE = 1000
_KEY = (RECORDS.c.time, RECORDS.c.sequence)


class Question(TypedDict, total=False):
    """What records are asked for: all that is given must fit (UTC seconds; since ≤ time < until)."""

    since: float | None
    until: float | None
    event: Event | None
    outcome: Outcome | None
    refusal_id: str | None
    association: str | None
    calling: str | None
    called: str | None
    address: str | None
    peer: str | None
    verb: str | None
    study: str | None
    patient: str | None
    limit: int | None
    newest_first: bool


def search(engine: Engine, **question: Unpack[Question]) -> Iterator[Record]:
    """The records that fit the question, in the order of their time.

    Read a page at a time, each in its own short transaction: a reader that dawdles (a pager, a slow network)
    would otherwise keep the write-ahead log from being emptied. Raises StoreError when the store cannot be
    read or holds a row that no version up to this one writes.
    """
    return (record for _, record in numbered(engine, **question))


def numbered(engine: Engine, **question: Unpack[Question]) -> Iterator[tuple[int, Record]]:
    """As `search`, each record with its sequence number."""
    asked = [RECORDS.c[_COLUMNS.get(name, name)] == value for name, value in question.items() if _is_equal(name, value)]
    if (since := question.get("since")) is not None:
        asked.append(RECORDS.c.time >= since)
    if (until := question.get("until")) is not None:
        asked.append(RECORDS.c.time < until)
    return islice(_records(engine, asked, question.get("newest_first", False)), question.get("limit"))


_COLUMNS = {"calling": "calling_ae_title", "called": "called_ae_title", "study": "study_instance_uid"}


def _is_equal(name: str, value: object) -> bool:
    return value is not None and name not in ("since", "until", "limit", "newest_first")


def by_refusal_id(engine: Engine, refusal_id: str) -> Record | None:
    """The newest record with this refusal ID."""
    return next(search(engine, refusal_id=refusal_id, newest_first=True), None)


def _records(engine: Engine, asked: list[ColumnElement[bool]], newest_first: bool) -> Iterator[tuple[int, Record]]:
    order = [column.desc() if newest_first else column.asc() for column in _KEY]
    question = select(RECORDS.c.sequence, *(RECORDS.c[name] for name in FIELDS)).where(*asked).order_by(*order)
    page = _page(engine, question)
    while page:
        for row in page:
            yield row.sequence, _record(engine, row)
        last = tuple_(page[-1].time, page[-1].sequence)
        beyond = tuple_(*_KEY) < last if newest_first else tuple_(*_KEY) > last
        page = _page(engine, question.where(beyond)) if len(page) == _PAGE else []


def _page(engine: Engine, question: Select[tuple[object, ...]]) -> list[Row[tuple[object, ...]]]:
    with told(engine), engine.connect() as connection:
        return list(connection.execute(question.limit(_PAGE)))


def _record(engine: Engine, row: Row[tuple[object, ...]]) -> Record:
    try:
        return record_of(row[1:])
    except ValueError:
        raise StoreError(f"{path_of(engine)}: record {row.sequence} was not written by this version") from None
