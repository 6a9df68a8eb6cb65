"""Questions in, Records out, oldest or newest first; also from another process while a gate is writing."""

from collections.abc import Iterator
from itertools import islice

from sqlalchemy import ColumnElement, Engine, Row, Select, select, tuple_

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.store.database import StoreError, path_of, told
from dicomgate.store.schema import RECORDS, record_of

_PAGE = 1000
_KEY = (RECORDS.c.time, RECORDS.c.sequence)


def search(
    engine: Engine,
    *,
    since: float | None = None,
    until: float | None = None,
    event: Event | None = None,
    outcome: Outcome | None = None,
    refusal_id: str | None = None,
    association: str | None = None,
    calling: str | None = None,
    called: str | None = None,
    address: str | None = None,
    peer: str | None = None,
    verb: str | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> Iterator[Record]:
    """The records that match everything given, in the order of their time (UTC seconds; since ≤ time < until).

    Read a page at a time, each in its own short transaction: a reader that dawdles (a pager, a slow network)
    would otherwise keep the write-ahead log from being emptied. Raises StoreError when the store cannot be
    read or holds a row that no version up to this one writes.
    """
    equal = {
        "event": event,
        "outcome": outcome,
        "refusal_id": refusal_id,
        "association": association,
        "calling_ae_title": calling,
        "called_ae_title": called,
        "address": address,
        "peer": peer,
        "verb": verb,
    }
    asked = [RECORDS.c[name] == value for name, value in equal.items() if value is not None]
    if since is not None:
        asked.append(RECORDS.c.time >= since)
    if until is not None:
        asked.append(RECORDS.c.time < until)
    return islice(_records(engine, asked, newest_first), limit)


def by_refusal_id(engine: Engine, refusal_id: str) -> Record | None:
    """The newest record with this refusal ID."""
    return next(search(engine, refusal_id=refusal_id, newest_first=True), None)


def _records(engine: Engine, asked: list[ColumnElement[bool]], newest_first: bool) -> Iterator[Record]:
    order = [column.desc() if newest_first else column.asc() for column in _KEY]
    question = select(RECORDS.c.sequence, *(RECORDS.c[name] for name in FIELDS)).where(*asked).order_by(*order)
    page = _page(engine, question)
    while page:
        for row in page:
            yield _record(engine, row)
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
