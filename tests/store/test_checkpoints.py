"""When the tree is signed, what stands in the file, and what a crash, a full disk or a foreign hand does to it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicomgate.audit.checkpoint import notes, opened
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.checkpoints import Checkpoints
from dicomgate.store.database import StoreError, open_store, path_of
from dicomgate.store.feed import CheckpointFeed
from dicomgate.store.keys import Signer, signer, verify_ed25519
from dicomgate.store.recorder import Recorder
from dicomgate.store.schema import row_of
from dicomgate.store.tree import Tree
from lab.process import wait_until
from store.standins import Loop, Pragma, locked
from store.trail import Trail, names

Make = Callable[..., Record]


class Clock:
    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def key(tmp_path: Path) -> Signer:
    return signer(tmp_path / "gate.signing-key", "north")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gate.checkpoints"


def sizes(file: Path, key: Signer) -> list[int]:
    lines = file.read_text("utf-8").splitlines(keepends=True)
    return [opened(note, key.key, verify_ed25519).size for _, note in notes(iter(lines))]


class Writer:
    """The thread of the recorder, in slow motion."""

    def __init__(self, engine: Engine, checkpoints: Checkpoints) -> None:
        self.connection = engine.connect().execution_options(sqlite_begin="BEGIN IMMEDIATE")
        self.tree = Tree()
        self.checkpoints = checkpoints

    def commit(self, rows: int, *, at_once: bool = False, lost: bool = False) -> str | None:
        row = row_of(Record(1.0, Event.OPERATION, Outcome.SUCCESS))
        with self.connection.begin() as transaction:
            frontier = self.tree.append(self.connection, [row] * rows) if rows else self.tree.frontier(self.connection)
            note = self.checkpoints.sign(self.connection, frontier, at_once=at_once)
            if lost:
                transaction.rollback()
                return None
        self.tree.keep(frontier)
        self.checkpoints.committed(self.connection, frontier, note)
        return note


@pytest.fixture
def writer(engine: Engine, key: Signer, file: Path, clock: Clock) -> Iterator[Writer]:
    made = Writer(engine, Checkpoints(engine, key, file, records=10, interval=60.0, elapsed=clock))
    yield made
    made.connection.close()


def test_nothing_is_signed_while_there_is_nothing(writer: Writer, file: Path, clock: Clock) -> None:
    assert writer.checkpoints.due_in() is None
    clock.now += 1000
    assert writer.commit(0) is None
    assert writer.commit(0, at_once=True) is None
    assert not file.exists()


def test_so_many_records_or_so_long_whichever_is_first(writer: Writer, file: Path, key: Signer, clock: Clock) -> None:
    writer.commit(9)
    assert writer.checkpoints.due_in() == 60.0
    writer.commit(3)
    assert sizes(file, key) == [12]
    assert writer.checkpoints.due_in() is None
    clock.now += 500
    writer.commit(1)
    assert writer.checkpoints.due_in() == 60.0, "counted from the first record, not from the last checkpoint"
    clock.now += 59
    writer.commit(1)
    assert writer.checkpoints.due_in() == 1.0
    clock.now += 1
    assert writer.checkpoints.due_in() == 0.0
    writer.commit(0)
    assert sizes(file, key) == [12, 14]
    writer.commit(1)
    writer.commit(0, at_once=True)
    assert sizes(file, key) == [12, 14, 15]


def test_a_transaction_that_is_lost_takes_its_checkpoint_along(writer: Writer, file: Path, key: Signer) -> None:
    writer.commit(15, lost=True)
    assert not file.exists()
    writer.commit(12)
    assert sizes(file, key) == [12]


def test_a_file_that_cannot_be_written_is_told_once_and_made_up_for(
    engine: Engine, file: Path, key: Signer, clock: Clock
) -> None:
    told: list[str | None] = []
    checkpoints = Checkpoints(engine, key, file, records=10, elapsed=clock, report=told.append)
    writer = Writer(engine, checkpoints)
    file.mkdir()
    writer.commit(10)
    writer.commit(10)
    assert told == [f"{file}: Is a directory"]
    assert checkpoints.due_in() == 10.0
    clock.now += 10
    writer.commit(10)
    assert len(told) == 1
    file.rmdir()
    clock.now += 10
    assert checkpoints.due_in() == 0.0
    writer.commit(0)
    assert told[1:] == [None]
    assert sizes(file, key) == [10, 20, 30]
    writer.connection.close()


def test_a_full_disk_leaves_no_half_checkpoint(
    writer: Writer, file: Path, key: Signer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.commit(10)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:50]))
    writer.commit(10)
    assert sizes(file, key) == [10]
    monkeypatch.undo()
    clock.now += 10
    writer.commit(10)
    assert sizes(file, key) == [10, 20, 30]


def test_a_file_that_was_moved_away_begins_anew(writer: Writer, file: Path, key: Signer, tmp_path: Path) -> None:
    writer.commit(10)
    file.rename(tmp_path / "last month")
    writer.commit(10)
    assert sizes(file, key) == [20]
    assert sizes(tmp_path / "last month", key) == [10]


def test_after_a_crash_the_file_catches_up(engine: Engine, file: Path, key: Signer, clock: Clock) -> None:
    writer = Writer(engine, Checkpoints(engine, key, file, records=10, elapsed=clock))
    for _ in range(3):
        writer.commit(10)
    whole = file.read_text("utf-8")
    first = whole.index("north\n20")
    for crashed in (whole[:first], whole[: first + 5], whole[: first + 100], whole[:-1], ""):
        file.write_text(crashed, "utf-8")
        again = Checkpoints(engine, key, file, records=10, elapsed=clock)
        assert again.conflict is None
        assert again.due_in() == 0.0
        next_writer = Writer(engine, again)
        next_writer.commit(0)
        assert file.read_text("utf-8") == whole
        next_writer.connection.close()
    writer.connection.close()


def test_a_store_that_was_put_back_is_noticed_at_the_start(tmp_path: Path, file: Path) -> None:
    trail = Trail(tmp_path)
    trail.write(names(5))
    old = trail.store.read_bytes()
    trail.write(names(5, 6))
    trail.store.write_bytes(old)
    engine = open_store("sqlite:///gate.db", tmp_path)
    start = Checkpoints(engine, signer(trail.key, "north"), trail.checkpoints)
    assert start.conflict == "the checkpoint file knows 10 records, and the store has 5"
    trail.write(names(20, 11))
    assert Checkpoints(engine, signer(trail.key, "north"), trail.checkpoints).conflict is None, "said once"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("\n5\n", "\n4\n"), "ends with one of 4 records that the store has not"),
        (lambda text: text.replace("=\n\n", "A=\n\n", 1), "was edited"),
        (lambda text: text + "something else\n", "something else than a checkpoint"),
        (lambda text: "x" * 300_000, "something else than a checkpoint"),
    ],
)
def test_a_file_that_was_edited_does_not_stop_the_gate(change: Callable[[str], str], why: str, tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    trail.write(names(5))
    trail.checkpoints.write_text(change(trail.checkpoints.read_text("utf-8")), "utf-8")
    engine = open_store("sqlite:///gate.db", tmp_path)
    assert why in str(Checkpoints(engine, signer(trail.key, "north"), trail.checkpoints).conflict)
    trail.write(names(5, 6))
    assert not trail.verify().holds
    lines = trail.checkpoints.read_text("utf-8").splitlines(keepends=True)
    assert any(note.startswith("north\n10\n") for _, note in notes(iter(lines))), "what follows can be read"


def test_a_file_that_cannot_be_read_is_told(engine: Engine, key: Signer, file: Path) -> None:
    file.mkdir()
    with pytest.raises(StoreError, match=r"gate\.checkpoints: Is a directory"):
        Checkpoints(engine, key, file)


# -- with the recorder --------------------------------------------------------------------------------------------


def test_the_recorder_signs_in_time_though_no_record_comes(
    engine: Engine, loop: Loop, key: Signer, file: Path, record: Make
) -> None:
    announced: list[int] = []
    feed = CheckpointFeed(engine)
    checkpoints = Checkpoints(engine, key, file, interval=0.05, announce=lambda: announced.append(feed.newest()))
    recorder = Recorder(engine, loop.call_soon, loop.health.append, checkpoints=checkpoints)
    recorder.submit([record("a")])
    wait_until(lambda: len(announced) == 1, 20, "the first")
    recorder.submit([record("b")])
    wait_until(lambda: len(announced) == 2, 20, "the second")
    recorder.submit([record("c")])
    assert recorder.close(20.0) == 0
    assert sizes(file, key) == [1, 2, 3]
    assert announced == [1, 2, 3], "whoever is told can read it"
    found = feed.read(1, 10)
    assert [(size, opened(each.note, key.key, verify_ed25519).size) for size, each in found if each] == [(2, 2), (3, 3)]
    assert loop.health == []


def test_the_clock_may_jump(engine: Engine, loop: Loop, key: Signer, file: Path, record: Make, tmp_path: Path) -> None:
    times = iter([1e9, -5.0, 4e9, 0.0])
    checkpoints = Checkpoints(engine, key, file, records=1, clock=lambda: next(times))
    recorder = Recorder(engine, loop.call_soon, loop.health.append, checkpoints=checkpoints)
    for name, when in (("a", 2e9), ("b", -3.0), ("c", 1e9)):
        recorder.submit([record(name, time=when)], loop.done(name))
        loop.until(lambda name=name: name in loop.answers)  # type: ignore[misc]
    recorder.close(20.0)
    assert sizes(file, key) == [1, 2, 3]
    assert Trail(tmp_path).verify().holds


def test_a_locked_store_is_signed_when_it_is_free_again(
    engine: Engine, loop: Loop, key: Signer, file: Path, record: Make
) -> None:
    short = Pragma(engine, "PRAGMA busy_timeout = 10")
    checkpoints = Checkpoints(engine, key, file, interval=0.3)
    recorder = Recorder(engine, loop.call_soon, loop.health.append, checkpoints=checkpoints, retry=0.01)
    recorder.submit([record("a")], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    with locked(engine):
        loop.until(lambda: bool(loop.health))
        assert loop.health == [f"{path_of(engine)}: database is locked"]
        assert not file.exists()
    loop.until(lambda: loop.health[-1] is None)
    short.off()
    assert recorder.close(20.0) == 0
    assert sizes(file, key) == [1]
