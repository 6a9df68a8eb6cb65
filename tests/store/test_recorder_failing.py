"""The recorder while the disk says no: who is refused, what waits, what is lost, how it comes back."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.database import path_of
from dicomgate.store.reader import search
from store.standins import NEVER, Loop, MakeRecorder, Pragma, kept, locked

Make = Callable[..., Record]


def test_a_locked_store_refuses_says_so_once_and_recovers_by_itself(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    sink = recorder()
    with locked(engine):
        sink.submit([record("admission")], loop.done("admission"))
        sink.submit([record("beside it")])
        loop.until(lambda: "admission" in loop.answers)
        assert loop.answers == {"admission": False}
        assert sink.failing is not None
        assert sink.failing.endswith("gate.db: database is locked")
        sink.submit([record("refusal")])
        sink.submit([record("next admission")], loop.done("next"))
        loop.until(lambda: "next" in loop.answers)
        assert not loop.answers["next"]
        assert loop.health == [sink.failing]
    loop.until(lambda: len(loop.health) == 2)
    assert loop.health[1] is None
    assert sink.failing is None
    sink.submit([record("after")], loop.done("after"))
    loop.until(lambda: "after" in loop.answers)
    assert kept(engine) == ["beside it", "refusal", "after"], "what was not admitted was not written"


def test_it_recovers_though_nothing_waits(engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    sink = recorder()
    with locked(engine):
        sink.submit([record("admission")], loop.done("admission"))
        loop.until(lambda: len(loop.health) == 1)
    loop.until(lambda: len(loop.health) == 2)
    assert loop.health[1] is None
    assert kept(engine) == []


def test_while_failing_the_answer_is_no_before_any_retry(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    sink = recorder(retry=NEVER)
    with locked(engine):
        sink.submit([record("a")], loop.done("a"))
        loop.until(lambda: "a" in loop.answers)
    sink.submit([record("b")], loop.done("b"))
    assert loop.answers == {"a": False}, "never called inside submit"
    loop.until(lambda: "b" in loop.answers)
    assert loop.answers == {"a": False, "b": False}


@contextmanager
def _no_room(engine: Engine) -> Iterator[None]:
    fault = Pragma(engine, "PRAGMA max_page_count = 1")  # SQLite takes the present size instead
    yield
    fault.off()


@contextmanager
def _read_only(engine: Engine) -> Iterator[None]:
    fault = Pragma(engine, "PRAGMA query_only = ON")
    yield
    fault.off()


@contextmanager
def _write_error(engine: Engine) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def _moved_away(engine: Engine) -> Iterator[None]:
    path = path_of(engine)
    path.rename(path.with_suffix(".away"))
    yield
    path.with_suffix(".away").rename(path)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (_no_room, "database or disk is full"),
        (_read_only, "attempt to write a readonly database"),
        (_write_error, "disk I/O error"),
        (_moved_away, "unable to open database file"),
    ],
)
def test_every_fault_refuses_and_ends(
    *,
    fault: Callable[[Engine], AbstractContextManager[None]],
    told: str,
    engine: Engine,
    loop: Loop,
    recorder: MakeRecorder,
    record: Make,
) -> None:
    large = "x" * 2_000_000
    with fault(engine):
        sink = recorder()
        sink.submit([record("refused", reason=large)], loop.done("refused"))
        sink.submit([record("waits", reason=large)])
        loop.until(lambda: "refused" in loop.answers)
        assert loop.answers == {"refused": False}
        assert sink.failing == f"{path_of(engine)}: {told}"
    loop.until(lambda: len(loop.health) == 2)
    assert loop.health == [f"{path_of(engine)}: {told}", None]
    sink.submit([record("after")], loop.done("after"))
    loop.until(lambda: "after" in loop.answers)
    assert loop.answers["after"]
    assert kept(engine) == ["waits", "after"]


def test_a_file_replaced_under_the_gate_is_noticed(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    sink, path = recorder(), path_of(engine)
    sink.submit([record("a")], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    os.replace(path, path.with_suffix(".old"))
    path.touch()
    sink.submit([record("b")], loop.done("b"))
    loop.until(lambda: "b" in loop.answers)
    assert loop.answers == {"a": True, "b": False}
    assert loop.health == [f"{path}: replaced by another file while in use"]


def test_a_damaged_table_is_told_and_does_not_end_the_writer(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    path = path_of(engine)
    sound = path.read_bytes()
    path.write_bytes(sound[:4096] + b"\xa5" * (len(sound) - 4096))
    sink = recorder()
    sink.submit([record("a")], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    assert sink.failing == f"{path}: database disk image is malformed"
    restored = path.with_name("restored")
    restored.write_bytes(sound)
    restored.replace(path)  # at once: the writer, which looks all the time, must not take half a file for a new one
    loop.until(lambda: loop.health[-1] is None)


def test_what_does_not_fit_is_counted_and_the_count_is_recorded(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    sink = recorder(capacity=3, clock=lambda: 77.0)
    with locked(engine):
        sink.submit([record("refused")], loop.done("refused"))
        loop.until(lambda: "refused" in loop.answers)
        for name in "abcdefg":
            sink.submit([record(name)])
    loop.until(lambda: loop.health[-1] is None)
    assert kept(engine) == ["a", "b", "c", None]
    (lost,) = search(engine, event=Event.RECORDS_LOST)
    assert (lost.time, lost.outcome, lost.detail) == (77.0, Outcome.FAILURE, {"count": 4})
    sink.submit([record("h")], loop.done("h"))
    loop.until(lambda: "h" in loop.answers)
    assert len(list(search(engine, event=Event.RECORDS_LOST))) == 1, "recorded once"


def test_a_long_queue_is_written_in_order_after_a_failure(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    names = [f"n{number}" for number in range(2500)]
    sink = recorder()
    with locked(engine):
        sink.submit([record("refused")], loop.done("refused"))
        loop.until(lambda: "refused" in loop.answers)
        for name in names:
            sink.submit([record(name)])
    loop.until(lambda: loop.health[-1] is None)
    assert sink.close(20.0) == 0
    assert kept(engine) == names


def test_closing_counts_what_it_could_not_keep(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    sink = recorder(capacity=2, retry=NEVER)
    with locked(engine):
        sink.submit([record("refused")], loop.done("refused"))
        loop.until(lambda: "refused" in loop.answers)
        for name in "abc":
            sink.submit([record(name)])
        assert sink.close(20.0) == 3
    assert kept(engine) == []


def test_closing_tries_once_more_after_a_failure(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    sink = recorder(retry=NEVER)
    with locked(engine):
        sink.submit([record("refused")], loop.done("refused"))
        loop.until(lambda: "refused" in loop.answers)
        sink.submit([record("waits")])
    assert sink.close(20.0) == 0
    assert kept(engine) == ["waits"]


def test_who_wants_to_know_of_lost_records_is_told(engine: Engine, recorder: MakeRecorder, record: Make) -> None:
    Pragma(engine, "PRAGMA busy_timeout = 10")
    noticed: list[Record] = []
    sink = recorder(capacity=1, noticed=noticed.append)
    with locked(engine):
        for number in range(3):
            sink.submit([record(f"a{number}")])
    sink.close(20.0)
    assert sum(int(str(each.detail["count"])) for each in noticed) == 2
    assert {each.event for each in noticed} == {Event.RECORDS_LOST}
