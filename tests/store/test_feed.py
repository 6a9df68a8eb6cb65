"""The feed: records behind a sequence in the order of commits, cursors that stay, and a store that fails meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Record
from dicomgate.audit.sink import RecordSource, SourceError
from dicomgate.store.database import path_of
from dicomgate.store.feed import Feed
from store.standins import Loop, MakeRecorder, locked

Make = Callable[..., Record]


@pytest.fixture
def feed(engine: Engine) -> Feed:
    return Feed(engine)


def test_records_come_in_the_order_of_commits(
    engine: Engine, feed: Feed, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    source: RecordSource = feed
    assert (source.newest(), list(source.read(0, 10))) == (0, [])
    made = [record(f"a{number}", time=1000.0 - number, detail={"x": number}) for number in range(5)]
    recorder().submit(made, loop.done("all"))
    loop.until(lambda: "all" in loop.answers)
    rows = source.read(0, 10)
    assert [each for _, each in rows] == made, "not in the order of their times"
    numbers = [number for number, _ in rows]
    assert numbers == sorted(numbers)
    assert source.newest() == numbers[-1]
    assert source.read(numbers[1], 2) == rows[2:4]
    assert source.read(numbers[-1], 2) == []


def test_news_of_each_commit(engine: Engine, feed: Feed, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    seen: list[int] = []
    running = recorder(committed=lambda: seen.append(feed.newest()))  # type: ignore[call-arg]
    running.submit([record("a")], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    assert seen == [1], "when it is called, the records can be read"


def test_cursors_are_kept(engine: Engine, feed: Feed) -> None:
    assert feed.cursor("repository") is None
    feed.keep("repository", 7)
    feed.keep("siem", 3)
    feed.keep("repository", 9)
    again = Feed(engine)
    assert (again.cursor("repository"), again.cursor("siem")) == (9, 3)


def test_a_record_that_cannot_be_made_out_is_none(
    engine: Engine, feed: Feed, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    recorder().submit([record("a"), record("b"), record("c")], loop.done("all"))
    loop.until(lambda: "all" in loop.answers)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE records SET detail = '{broken' WHERE association = 'b'")
        connection.exec_driver_sql("UPDATE records SET event = 'invented' WHERE association = 'c'")
    assert [each and each.association for _, each in feed.read(0, 10)] == ["a", None, None]


def test_a_store_that_cannot_be_asked_says_so(engine: Engine, feed: Feed) -> None:
    with locked(engine), pytest.raises(SourceError, match=r"gate\.db: database is locked"):
        feed.keep("repository", 1)
    path = path_of(engine)
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(SourceError, match=r"gate\.db: unable to open database file"):
        feed.read(0, 1)


def test_a_damaged_store_says_so(engine: Engine, feed: Feed, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    running = recorder()
    running.submit([record(str(number)) for number in range(500)], loop.done("all"))
    loop.until(lambda: "all" in loop.answers)
    running.close(20)
    with path_of(engine).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path_of(engine).stat().st_size - 4096))
    with pytest.raises(SourceError, match=r"gate\.db: "):
        feed.read(0, 1000)


def test_it_reads_while_the_recorder_writes(
    engine: Engine, feed: Feed, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    running = recorder()
    found: list[str | None] = []
    stop = threading.Event()

    def follow() -> None:
        after = 0
        while not (stop.is_set() and feed.newest() == after):
            for number, each in feed.read(after, 50):
                after = number
                found.append(each.association if each else None)
            feed.keep("repository", after)

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(300):
        running.submit([record(str(number))], loop.done(str(number)))
    loop.until(lambda: len(loop.answers) == 300)
    stop.set()
    thread.join(20)
    assert all(loop.answers.values()), "no admission was refused because a sink was reading"
    assert found == [str(number) for number in range(300)]
