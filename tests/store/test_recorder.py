"""The recorder on a sound disk: one commit for many, an answer for each, odd values, the end."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Record
from dicomgate.audit.sink import RecordSink
from dicomgate.store.reader import search
from dicomgate.store.recorder import Recorder
from store.standins import NEVER, Held, Loop, MakeRecorder, kept

Make = Callable[..., Record]


def test_it_is_a_record_sink_and_says_when_records_are_durable(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    sink: RecordSink = recorder()
    sink.submit([record("a"), record("b")], loop.done("first"))
    loop.until(lambda: "first" in loop.answers)
    assert loop.answers == {"first": True}
    assert kept(engine) == ["a", "b"]
    assert sink.failing is None
    assert loop.health == []


def test_what_arrives_during_a_commit_goes_into_the_next_one(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    held, names = Held(engine), [f"n{number}" for number in range(300)]
    sink = recorder()
    sink.submit([record("first")], loop.done("first"))
    assert held.inside.wait(20.0)
    for name in names:
        sink.submit([record(name)], loop.done(name))
    assert loop.answers == {}
    held.release.set()
    loop.until(lambda: len(loop.answers) == 301)
    assert kept(engine) == ["first", *names]
    assert held.commits == 2
    assert loop.count == 2, "one call_soon per commit"
    assert list(loop.answers) == ["first", *names], "answered in order"


def test_after_a_shared_commit_the_next_waits_for_as_many(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    held = Held(engine)
    sink = recorder(gather=NEVER)
    sink.submit([record("alone")], loop.done("alone"))
    assert held.inside.wait(20.0)
    for name in ("one", "two"):
        sink.submit([record(name)], loop.done(name))
    held.release.set()
    loop.until(lambda: len(loop.answers) == 3)
    sink.submit([record("three")], loop.done("three"))
    sink.submit([record("four")], loop.done("four"))
    loop.until(lambda: len(loop.answers) == 5)
    assert held.commits == 3, "three and four share one"
    assert kept(engine) == ["alone", "one", "two", "three", "four"]


def test_who_comes_alone_after_a_shared_commit_waits_only_for_a_while(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    held = Held(engine)
    sink = recorder(gather=0.01)
    sink.submit([record("alone")], loop.done("alone"))
    assert held.inside.wait(20.0)
    for name in ("one", "two"):
        sink.submit([record(name)], loop.done(name))
    held.release.set()
    loop.until(lambda: len(loop.answers) == 3)
    sink.submit([record("last")], loop.done("last"))
    loop.until(lambda: "last" in loop.answers)
    assert kept(engine) == ["alone", "one", "two", "last"]


def test_a_caller_that_raises_does_not_cost_the_others_their_answer(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    held = Held(engine)
    sink = recorder()
    sink.submit([record("first")])
    assert held.inside.wait(20.0)

    def broken(durable: bool) -> None:
        raise ZeroDivisionError

    sink.submit([record("broken")], broken)
    sink.submit([record("behind")], loop.done("behind"))
    held.release.set()
    with pytest.raises(ZeroDivisionError):
        loop.until(lambda: False)
    loop.until(lambda: "behind" in loop.answers)
    assert loop.answers == {"behind": True}


def test_nothing_to_keep_is_kept(loop: Loop, recorder: MakeRecorder) -> None:
    recorder().submit([], loop.done("empty"))
    loop.until(lambda: "empty" in loop.answers)
    assert loop.answers == {"empty": True}


HOSTILE = [
    "nul\0inside",
    "\x1b[2J\r\nFAKE LINE\x07\x7f",
    "'; DROP TABLE records; --",
    '"?:name%s{}',
    "\u202ereversed\u200b\ufeff\uffff\U0010ffff",
    "x" * 10_000,
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_as_it_was(
    text: str, engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    written = record(text, refusal_id=text, calling_ae_title=text, detail={"text": text, text: [text]})
    recorder().submit([written], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    assert loop.answers == {"a": True}
    assert list(search(engine, association=text)) == list(search(engine, calling=text)) == [written]


@pytest.mark.parametrize(
    ("odd", "found"),
    [
        ({"calling_ae_title": "lone \udc80 surrogate"}, {"calling_ae_title": "lone \\udc80 surrogate"}),
        ({"bytes": 2**64}, {"bytes": None}),
        ({"time": float("nan")}, {"time": 0.0}),
        ({"user": ["no", "text"]}, {"user": "<list>"}),
    ],
)
def test_one_odd_value_stops_neither_its_record_nor_the_others(
    *,
    odd: dict[str, object],
    found: dict[str, object],
    engine: Engine,
    loop: Loop,
    recorder: MakeRecorder,
    record: Make,
) -> None:
    held = Held(engine)
    sink = recorder()
    sink.submit([record("first")])
    assert held.inside.wait(20.0)
    sink.submit([record("before")], loop.done("before"))
    sink.submit([record("odd", **odd)], loop.done("odd"))
    sink.submit([record("after")], loop.done("after"))
    held.release.set()
    loop.until(lambda: len(loop.answers) == 3)
    assert all(loop.answers.values())
    assert loop.health == []
    assert kept(engine) == ["first", "before", "odd", "after"]
    (stored,) = search(engine, association="odd")
    assert {name: getattr(stored, name) for name in found} == found


def test_closing_writes_what_waits(engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    held = Held(engine)
    sink = recorder()
    sink.submit([record("a")])
    assert held.inside.wait(20.0)
    sink.submit([record("b")], loop.done("b"))
    sink.submit([record("c")])
    held.release.set()
    assert sink.close(20.0) == 0
    assert kept(engine) == ["a", "b", "c"]
    assert sink.close(20.0) == 0, "twice is no harm"
    loop.until(lambda: loop.answers == {"b": True})


def test_closing_does_not_wait_longer_than_told(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    held = Held(engine)
    sink = recorder()
    sink.submit([record("a"), record("b")])
    assert held.inside.wait(20.0)
    assert sink.close(0.01) == 2
    held.release.set()
    assert sink.close(20.0) == 0


def test_after_closing_it_keeps_nothing_and_says_so(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    sink = recorder()
    assert sink.close(20.0) == 0
    sink.submit([record("late")], loop.done("late"))
    sink.submit([record("later")])
    loop.until(lambda: "late" in loop.answers)
    assert loop.answers == {"late": False}
    assert sink.close(20.0) == 1
    assert kept(engine) == []


def test_records_are_written_though_the_event_loop_is_gone(engine: Engine, record: Make) -> None:
    def closed(call: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    held = Held(engine)
    sink = Recorder(engine, closed, lambda reason: None)
    sink.submit([record("a")], lambda durable: None)
    assert held.inside.wait(20.0)
    sink.submit([record("b")], lambda durable: None)
    held.release.set()
    assert sink.close(20.0) == 0
    assert kept(engine) == ["a", "b"]


def test_the_writer_ends_with_close(engine: Engine, recorder: MakeRecorder, tmp_path: Path) -> None:
    before = threading.active_count()
    sink = recorder()
    assert threading.active_count() == before + 1
    sink.close(20.0)
    assert threading.active_count() == before


def test_a_slow_disk_bounds_the_queue_too(engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    held = Held(engine)
    sink = recorder(capacity=2)
    sink.submit([record("a")])
    assert held.inside.wait(20.0)
    sink.submit([record("b")])
    sink.submit([record("c")], loop.done("c"))  # somebody waits for it: it is not bounded, and goes first
    sink.submit([record("d")])
    held.release.set()
    loop.until(lambda: "c" in loop.answers)
    assert loop.answers == {"c": True}
    assert sink.close(20.0) == 0
    assert kept(engine) == ["a", "c", "b", None]
    assert [dict(lost.detail) for lost in search(engine, event=Event.RECORDS_LOST)] == [{"count": 1}]
    assert loop.health == []


def test_a_flood_of_records_does_not_hold_up_who_waits(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    held = Held(engine)
    sink = recorder()
    sink.submit([record("first")])
    assert held.inside.wait(20.0)
    for _ in range(5000):
        sink.submit([record("flood")])
    sink.submit([record("waited-for")], loop.done("waited-for"))
    held.release.set()
    loop.until(lambda: "waited-for" in loop.answers)
    assert sink.close(60.0) == 0
    assert kept(engine).index("waited-for") == 1
    assert len(kept(engine)) == 5002
