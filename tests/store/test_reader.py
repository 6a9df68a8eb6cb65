"""Questions to the store: what matches, in which order, and beside a writing gate."""

import sqlite3
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.database import StoreError, open_store, path_of
from dicomgate.store.reader import by_refusal_id, search
from store.standins import Loop, MakeRecorder

Make = Callable[..., Record]


@pytest.fixture
def keep(engine: Engine, loop: Loop, recorder: MakeRecorder) -> Callable[[list[Record]], None]:
    sink = recorder()

    def keep(records: list[Record]) -> None:
        loop.answers.clear()
        sink.submit(records, loop.done("kept"))
        loop.until(lambda: loop.answers == {"kept": True})

    return keep


def names(records: Iterable[Record]) -> list[str | None]:
    return [record.association for record in records]


def test_each_question(engine: Engine, keep: Callable[[list[Record]], None], record: Make) -> None:
    keep(
        [
            record("a", time=1.0, event=Event.ASSOCIATION_ADMITTED, calling_ae_title="CT1", peer="ct-1"),
            record("b", time=2.0, event=Event.OPERATION, called_ae_title="ARCHIVE", verb="store"),
            record("c", time=3.0, outcome=Outcome.REFUSED, refusal_id="R1", address="10.0.0.1"),
        ]
    )
    assert names(search(engine)) == ["a", "b", "c"]
    assert names(search(engine, newest_first=True)) == ["c", "b", "a"]
    assert names(search(engine, limit=2)) == ["a", "b"]
    assert names(search(engine, limit=0)) == []
    assert names(search(engine, since=2.0)) == ["b", "c"]
    assert names(search(engine, until=2.0)) == ["a"]
    assert names(search(engine, since=1.5, until=2.5)) == ["b"]
    assert names(search(engine, event=Event.ASSOCIATION_ADMITTED)) == ["a"]
    assert names(search(engine, outcome=Outcome.REFUSED)) == ["c"]
    assert names(search(engine, refusal_id="R1")) == ["c"]
    assert names(search(engine, association="b")) == ["b"]
    assert names(search(engine, calling="CT1")) == ["a"]
    assert names(search(engine, calling="ct1")) == []
    assert names(search(engine, called="ARCHIVE")) == ["b"]
    assert names(search(engine, address="10.0.0.1")) == ["c"]
    assert names(search(engine, peer="ct-1")) == ["a"]
    assert names(search(engine, verb="store")) == ["b"]
    assert names(search(engine, peer="ct-1", verb="store")) == []


def test_by_refusal_id(engine: Engine, keep: Callable[[list[Record]], None], record: Make) -> None:
    keep([record("old", time=1.0, refusal_id="R1"), record("new", time=2.0, refusal_id="R1")])
    found = by_refusal_id(engine, "R1")
    assert found is not None
    assert found.association == "new"
    assert by_refusal_id(engine, "R2") is None


@pytest.mark.parametrize("newest_first", [False, True])
def test_many_pages_in_the_order_of_time_then_of_commit(
    newest_first: bool, engine: Engine, keep: Callable[[list[Record]], None], record: Make
) -> None:
    # Three times only, so that page borders fall between records of the same time.
    written = [record(f"n{number}", time=float(number % 3)) for number in range(3100)]
    keep(written)
    expected = names(sorted(written, key=lambda each: each.time))
    if newest_first:
        expected.reverse()
    assert names(search(engine, newest_first=newest_first)) == expected


def test_another_connection_reads_while_the_gate_writes(
    engine: Engine, keep: Callable[[list[Record]], None], record: Make
) -> None:
    reader = open_store("sqlite:///gate.db", path_of(engine).parent, read_only=True)
    for number in range(20):
        keep([record(f"n{number}")])
        assert len(list(search(reader))) == number + 1


def test_a_dawdling_reader_does_not_keep_the_log_from_being_emptied(
    engine: Engine, keep: Callable[[list[Record]], None], record: Make
) -> None:
    keep([record(f"n{number}", time=float(number)) for number in range(1500)])
    reading = search(engine)
    first = names(islice(reading, 1))
    keep([record("late", time=9999.0)])
    other = sqlite3.connect(path_of(engine))
    busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    other.close()
    assert busy == 0
    assert [*first, *names(reading)] == [*(f"n{number}" for number in range(1500)), "late"]


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ({"refusal_id": "R1"}, "records_refusal_id (refusal_id=?"),
        ({"association": "a"}, "records_association (association=?"),
        ({"since": 5.0, "until": 6.0, "verb": "store"}, "records_time (time>? AND time<?"),
        ({"newest_first": True}, "SCAN records USING INDEX records_time"),
    ],
)
def test_the_indexes_serve_the_usual_questions(question: dict[str, Any], index: str, engine: Engine) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3])))
    assert list(search(engine, **question)) == []
    statement, values = asked[-1]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert index in plan[0][-1]
    assert statement.startswith("SELECT records.sequence")


def test_a_row_of_another_hand_is_named(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO records (time, event, outcome) VALUES (1, 'party', 'success')")
    with pytest.raises(StoreError, match=r"gate\.db: record 1 was not written by this version"):
        list(search(engine))


def test_a_store_that_went_away_is_named(engine: Engine) -> None:
    path_of(engine).unlink()
    with pytest.raises(StoreError, match=r"gate\.db: unable to open database file"):
        list(search(engine))
