"""The newest records in memory: never one that is not in the store, never a gap, and never more than some."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.database import path_of
from dicomgate.store.feed import Feed
from dicomgate.store.schema import row_of
from dicomgate.store.tail import Tail
from dicomgate.store.tree import append_at_once
from store.standins import NEVER, Loop, MakeRecorder

Make = Callable[..., Record]


def rows(first: int, count: int) -> list[tuple[object, ...]]:
    return [row_of(Record(float(at), Event.OPERATION, Outcome.SUCCESS)) for at in range(first, first + count)]


def after(tail: Tail, number: int, limit: int = 100) -> list[tuple[int, object]]:
    """Each number, and the number that its row was made with."""
    return [(at, row[0]) for at, row in tail.after(number, limit)]


def test_what_was_committed_comes_out_in_order() -> None:
    tail = Tail()
    tail.extend(1, rows(1, 3))  # type: ignore[arg-type]
    tail.extend(4, [])
    tail.extend(4, rows(4, 2))  # type: ignore[arg-type]
    assert after(tail, 0) == [(at, float(at)) for at in (1, 2, 3, 4, 5)]
    assert after(tail, 2, 2) == [(3, 3.0), (4, 4.0)]
    assert after(tail, 5) == []


def test_a_gap_forgets_what_came_before() -> None:
    tail = Tail()
    tail.extend(1, rows(1, 3))  # type: ignore[arg-type]
    tail.extend(5, rows(5, 2))  # type: ignore[arg-type]
    assert after(tail, 3) == [], "record 4 is somebody else's: the database has it"
    assert after(tail, 4) == [(5, 5.0), (6, 6.0)]
    tail.clear()
    assert after(tail, 4) == []


@pytest.mark.parametrize("step", [1, 3, 7, 50])
def test_it_holds_no_more_than_some(step: int) -> None:
    tail = Tail(10)
    for first in range(1, 500, step):
        tail.extend(first, rows(first, step))  # type: ignore[arg-type]
        newest = first + step - 1
        held = after(tail, newest - 5 if newest > 5 else 0, 1000)
        assert held[-1] == (newest, float(newest))
        assert [number for number, _ in held] == list(range(held[0][0], newest + 1))
    assert sum(len(after(tail, number, 1)) for number in range(600)) <= max(20, step + 10)


def test_a_sink_reads_the_same_from_memory_as_from_the_store(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    tail = Tail()
    running = recorder(tail=tail)  # type: ignore[call-arg]
    feed, stored = Feed(engine, tail), Feed(engine)
    odd = record("c", reason="\ud800", detail={"x": {1, 2}, "y": [1, "z"], "z": 2**70})
    for each in (record("a", detail={"x": 1, "y": None}), record("b", port=104, duration=0.5), odd, record("d")):
        running.submit([each], loop.done(str(each.association)))
    loop.until(lambda: len(loop.answers) == 4)
    assert len(tail.after(0, 10)) == 4
    assert feed.read(0, 10) == stored.read(0, 10)
    append_at_once(engine, [record("of a command")])
    assert feed.read(4, 10) == stored.read(4, 10), "the tail does not know it, and does not hide it"
    running.submit([record("e")], loop.done("e"))
    loop.until(lambda: "e" in loop.answers)
    assert [number for number, _ in feed.read(3, 10)] == [4, 5, 6]
    assert [number for number, _ in tail.after(5, 10)] == [6]


def test_what_could_not_be_committed_is_not_in_it(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    tail = Tail()
    running = recorder(tail=tail, retry=NEVER)  # type: ignore[call-arg]
    running.submit([record("a")], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    store = path_of(engine)
    store.rename(store.with_name("elsewhere"))
    running.submit([record("b")], loop.done("b"))
    loop.until(lambda: "b" in loop.answers)
    assert loop.answers == {"a": True, "b": False}
    assert tail.after(0, 10) == [], "what is at that place next may be another store"
    store.with_name("elsewhere").rename(store)
