"""What is known of stored instances: it comes with the records, survives restarts, and is asked without waiting."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from dicomgate.audit.instance import Content, Instance, Known, Version
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.instances import StoredInstances
from store.standins import Held, Loop, MakeRecorder

SYNTAX = "1.2.840.10008.1.2.1"
FIRST, SECOND = Version(SYNTAX, "11" * 32), Version(SYNTAX, "22" * 32)
INSTANCE = Instance("main", "1.2.3")


def stored(version: Version = FIRST, content: str = Content.FIRST, status: str = "0000", **fields: object) -> Record:
    """The record of a C-STORE."""
    detail: dict[str, object] = {"sha256": version.sha256, "transfer_syntax": version.transfer_syntax}
    values: dict[str, object] = {
        "archive": "main",
        "sop_instance_uid": "1.2.3",
        "status": status,
        "detail": {**detail, "content": content},
        **fields,
    }
    return Record(1000.0, Event.OPERATION, Outcome.SUCCESS, **values)  # type: ignore[arg-type]


@pytest.fixture
def instances(engine: Engine, loop: Loop) -> Iterator[StoredInstances]:
    made = StoredInstances(engine, loop.call_soon)
    yield made
    made.close(20.0)


@pytest.fixture
def known(instances: StoredInstances, loop: Loop) -> Callable[..., Known]:
    """What the store answers about an instance."""

    def ask(instance: Instance = INSTANCE) -> Known:
        answers: list[Known] = []
        instances.ask(instance, answers.append)
        loop.until(lambda: answers != [])
        return answers[0]

    return ask


def kept(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT sop_instance_uid, hex(sha256), sequence, time FROM instances")
        return [tuple(row) for row in rows]


def write(recorder: MakeRecorder, *records: Record) -> None:
    made = recorder()
    for record in records:
        made.submit([record])
    assert made.close(20.0) == 0


def test_a_stored_instance_is_known_with_the_number_of_its_record(engine, recorder, known) -> None:
    write(recorder, Record(1.0, Event.GATE_STARTED, Outcome.SUCCESS), stored())
    assert known() == FIRST
    assert known(Instance("main", "1.2.4")) is None
    assert known(Instance("other", "1.2.3")) is None, "what another archive has is another matter"
    assert kept(engine) == [("1.2.3", "11" * 32, 2, 1000.0)]


@pytest.mark.parametrize(
    "record",
    [
        stored(status="A700"),
        stored(status="FE00"),
        stored(status=None),  # type: ignore[arg-type]
        stored(content=Content.CHANGED),
        stored(archive=None),
        stored(sop_instance_uid=None),
        stored(detail={"sender": "requestor"}),
        stored(detail={"sha256": 7, "transfer_syntax": SYNTAX}),
        Record(1.0, Event.INSTANCE_CHANGED, Outcome.REFUSED, detail=stored().detail, status="0124", archive="main"),
    ],
)
def test_what_the_archive_has_not_taken_or_was_only_warned_of_is_not_known(recorder, known, record) -> None:
    write(recorder, record)
    assert known() is None


def test_a_warning_is_a_success(recorder, known) -> None:
    write(recorder, stored(status="B000"))
    assert known() == FIRST


def test_only_a_correction_replaces_what_is_known(engine, recorder, known) -> None:
    write(recorder, stored(), stored(SECOND), stored(SECOND, Content.UNKNOWN))
    assert known() == FIRST
    write(recorder, stored(SECOND, Content.CORRECTION))
    assert known() == SECOND
    assert kept(engine) == [("1.2.3", "22" * 32, 4, 1000.0)]


def test_record_and_memory_are_kept_together_or_not_at_all(engine, loop, recorder) -> None:
    rename(engine, "instances", "gone")
    made = recorder()
    made.submit([stored()])
    loop.until(lambda: loop.health != [])
    assert records(engine) == 0
    rename(engine, "gone", "instances")
    loop.until(lambda: loop.health[-1] is None)
    assert (records(engine), len(kept(engine))) == (1, 1)


def rename(engine: Engine, table: str, to: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {to}")


def records(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM records").scalar_one())


def test_it_is_said_once_the_memory_is_on_disk(engine, loop, recorder) -> None:
    held, settled = Held(engine), []
    made = recorder(settled=settled.extend)
    made.submit([stored()])
    assert held.inside.wait(20.0)
    assert settled == []
    held.release.set()
    loop.until(lambda: settled != [])
    assert settled == [INSTANCE]


def test_it_is_said_of_what_is_lost_as_well(engine, loop, recorder) -> None:
    settled: list[Instance] = []
    made = recorder(settled=settled.extend, capacity=0)
    made.submit([stored()])
    loop.until(lambda: settled != [])
    assert settled == [INSTANCE]


def test_odd_values_in_other_records_do_not_cost_the_memory(recorder, known) -> None:
    write(recorder, Record(1.0, Event.OPERATION, Outcome.SUCCESS, reason="\udc80"), stored())
    assert known() == FIRST


def test_a_store_that_cannot_be_read_says_so_and_recovers(engine, recorder, known) -> None:
    write(recorder, stored())
    rename(engine, "instances", "gone")
    assert known() == "no such table: instances"
    rename(engine, "gone", "instances")
    assert known() == FIRST


def test_a_row_that_is_none_is_an_answer_too(engine, known) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO instances VALUES ('main', '1.2.3', 'x', 7, 1, 1)")
    assert known() == "AttributeError"


def test_too_many_questions_are_answered_at_once(engine, loop) -> None:
    made = StoredInstances(engine, loop.call_soon, questions=0)
    answers: list[Known] = []
    made.ask(INSTANCE, answers.append)
    loop.until(lambda: answers != [])
    made.close(20.0)
    assert answers == ["too many questions wait for the store"]


def test_after_the_end_nobody_waits(instances, loop) -> None:
    instances.close(20.0)
    answers: list[Known] = []
    instances.ask(INSTANCE, answers.append)
    loop.until(lambda: answers != [])
    assert answers == ["too many questions wait for the store"]
