"""What is pruned, when, and what is left: old records go, the tree and evidence stay, a wrong clock prunes nothing."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.checkpoints import Checkpoints
from dicomgate.store.database import StoreError, open_store
from dicomgate.store.keys import signer
from dicomgate.store.proving import prove
from dicomgate.store.reader import search
from dicomgate.store.recorder import Recorder
from dicomgate.store.retention import ROWS_PER_STEP, Retention
from dicomgate.store.tree import Tree
from dicomgate.store.verification import Fault
from store.standins import Loop
from store.trail import Trail, found, names

DAY = 86400.0


class Clocks:
    """The clock on the wall, and the time that passes."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.passed = 0.0

    def go(self, seconds: float, *, jump: float = 0.0) -> None:
        self.passed += seconds
        self.wall += seconds + jump


class Pruner:
    """The thread of the recorder, in slow motion."""

    def __init__(self, trail: Trail, clocks: Clocks, keep: float = 365 * DAY, needed: int | None = None) -> None:
        self.engine = open_store("sqlite:///gate.db", trail.folder)
        self.retention = Retention(
            keep, needed=lambda: needed, clock=lambda: clocks.wall, elapsed=lambda: clocks.passed
        )
        self.checkpoints = Checkpoints(self.engine, signer(trail.key, "north"), trail.checkpoints)
        self.connection = self.engine.connect().execution_options(sqlite_begin="BEGIN IMMEDIATE")

    def turn(self, *, steps: int = 1000) -> int:
        """One look, and what follows from it; how many steps of pruning that were."""
        tree = Tree()
        with self.connection.begin():
            row = self.retention.announcement(self.connection)
            frontier = tree.append(self.connection, [row]) if row else tree.frontier(self.connection)
            note = self.checkpoints.sign(self.connection, frontier, at_once=True)
        self.checkpoints.committed(self.connection, frontier, note)
        taken = 0
        while self.retention.due_in() == 0.0 and taken < steps:
            with self.connection.begin():
                self.retention.step(self.connection)
            taken += 1
        return taken

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    """50 records at 1000, 1001, … seconds after 1970."""
    made = Trail(tmp_path)
    made.write(names(50))
    return made


@pytest.fixture
def prune(trail: Trail) -> Iterator[Callable[..., Pruner]]:
    made: list[Pruner] = []

    def make(clocks: Clocks, **options: object) -> Pruner:
        made.append(Pruner(trail, clocks, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close()


def left(trail: Trail) -> list[int]:
    with closing(sqlite3.connect(trail.store)) as store:
        return [row[0] for row in store.execute("SELECT sequence FROM records ORDER BY sequence")]


def test_only_what_is_old_and_under_a_checkpoint_goes(trail: Trail, prune: Callable[..., Pruner]) -> None:
    clocks = Clocks(1000 + 44.5 + 365 * DAY - 3600)  # in an hour, 45 records are a year old
    pruner = prune(clocks)
    assert pruner.turn() == 1
    assert left(trail) == [*range(1, 51)], "not in the first hour"
    clocks.go(3600)
    pruner.turn()
    assert left(trail) == [*range(41, 52)], "up to the checkpoint of 40, and the record of it"
    verification = trail.verify()
    assert verification.holds
    assert (verification.pruned, verification.pruned_under, verification.records) == (40, 40, 11)
    (announced,) = search(pruner.engine, event=Event.RECORDS_PRUNED)
    assert announced.detail == {"first": 1, "last": 40, "before": "1970-01-01T00:17:24.500Z"}
    clocks.go(365 * DAY)
    pruner.turn()
    assert left(trail) == [51, 52], "up to the checkpoint of 50"
    assert trail.verify().holds
    assert trail.verify().pruned == 50


def test_salts_and_words_are_gone_from_the_file(trail: Trail, prune: Callable[..., Pruner]) -> None:
    with closing(sqlite3.connect(trail.store)) as store:
        (salt,) = store.execute("SELECT salt FROM records WHERE sequence = 3").fetchone()
    assert salt in trail.store.read_bytes()
    clocks = Clocks(500 * DAY)
    pruner = prune(clocks)
    pruner.turn()
    clocks.go(3600)
    pruner.turn()
    pruner.close()
    trail.execute()
    assert salt not in trail.store.read_bytes()
    assert b"a33" not in trail.store.read_bytes()
    engine = open_store("sqlite:///gate.db", trail.folder)
    with pytest.raises(StoreError, match="record 3 was pruned"):
        prove(engine, 3)
    assert prove(engine, 51)


def test_it_goes_on_after_a_crash_with_what_was_announced(
    trail: Trail, prune: Callable[..., Pruner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomgate.store.retention.ROWS_PER_STEP", 7)
    clocks = Clocks(500 * DAY)
    pruner = prune(clocks)
    pruner.turn()
    clocks.go(3600)
    assert pruner.turn(steps=3) == 3
    assert left(trail)[0] == 22
    assert trail.verify().holds, "half pruned is pruned that far"
    assert trail.verify().pruned == 21
    again = prune(clocks)
    again.turn()
    assert left(trail) == [51]
    assert trail.verify().holds
    assert ROWS_PER_STEP > 7


@pytest.mark.parametrize("jump", [400 * DAY, -400 * DAY])
def test_a_clock_that_jumps_prunes_nothing(jump: float, trail: Trail, prune: Callable[..., Pruner]) -> None:
    clocks = Clocks(1000 + 100 * DAY)
    pruner = prune(clocks)
    pruner.turn()
    clocks.go(1800, jump=jump)
    clocks.go(1800)
    pruner.turn()
    clocks.go(1800, jump=-jump)
    clocks.go(1800)
    pruner.turn()
    clocks.go(3600)
    pruner.turn()
    assert left(trail) == [*range(1, 51)]


def test_what_a_sink_has_not_read_stays(trail: Trail, prune: Callable[..., Pruner]) -> None:
    clocks = Clocks(500 * DAY)
    pruner = prune(clocks, needed=41)
    pruner.turn()
    clocks.go(3600)
    pruner.turn()
    assert left(trail) == [*range(41, 52)]


def test_a_young_record_keeps_those_behind_it(trail: Trail, prune: Callable[..., Pruner]) -> None:
    with closing(sqlite3.connect(trail.store)) as store:
        store.execute("UPDATE records SET time = ? WHERE sequence = 30", (499 * DAY,))
        store.commit()
    clocks = Clocks(500 * DAY)
    pruner = prune(clocks)
    pruner.turn()
    clocks.go(3600)
    pruner.turn()
    assert left(trail)[0] == 21


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE records SET reason = 'another' WHERE sequence = 5",
        "UPDATE records SET salt = NULL WHERE sequence = 5",
        "UPDATE records SET port = 'text' WHERE sequence = 5",
        "DELETE FROM records WHERE sequence = 5",
    ],
)
def test_evidence_is_not_pruned(change: str, trail: Trail, prune: Callable[..., Pruner]) -> None:
    trail.execute(change)
    clocks = Clocks(500 * DAY)
    pruner = prune(clocks)
    pruner.turn()
    clocks.go(3600)
    with pytest.raises(StoreError, match="record 5 was altered or removed, so it is not pruned"):
        pruner.turn()
    assert left(trail)[:4] == [1, 2, 3, 4]
    assert pruner.retention.due_in() == 3600.0, "and it is not tried at once again"
    assert found(trail.verify())[0][1:] == (5, 5)


def test_a_pruning_that_no_record_announces_is_found(trail: Trail) -> None:
    with closing(sqlite3.connect(trail.store)) as store:
        leaves = b"".join(row[0] for row in store.execute("SELECT leaf FROM records WHERE sequence <= 20"))
        store.execute("INSERT INTO pruned VALUES (1, ?)", (leaves,))
        store.execute("DELETE FROM records WHERE sequence <= 20")
        store.execute("UPDATE tree SET prune_to = 20")
        store.commit()
    assert found(trail.verify()) == [(Fault.PRUNED_UNANNOUNCED, 1, 20)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pruned SET leaves = zeroblob(length(leaves))",
        "UPDATE pruned SET leaves = substr(leaves, 33)",
        "UPDATE pruned SET leaves = substr(leaves, 2)",
        "UPDATE pruned SET leaves = 'text'",
        "UPDATE pruned SET first = 2",
        "DELETE FROM pruned",
    ],
)
def test_leaves_of_pruned_records_cannot_be_changed(change: str, trail: Trail, prune: Callable[..., Pruner]) -> None:
    clocks = Clocks(500 * DAY)
    pruner = prune(clocks)
    pruner.turn()
    clocks.go(3600)
    pruner.turn()
    pruner.close()
    assert trail.verify().holds
    trail.execute(change)
    assert not trail.verify().holds


def test_the_recorder_prunes_between_commits(tmp_path: Path, trail: Trail, loop: Loop) -> None:
    engine: Engine = open_store("sqlite:///gate.db", tmp_path)
    clocks = Clocks(500 * DAY)
    retention = Retention(365 * DAY, clock=lambda: clocks.wall, elapsed=lambda: clocks.passed)
    checkpoints = Checkpoints(engine, signer(trail.key, "north"), trail.checkpoints, records=20)
    recorder = Recorder(engine, loop.call_soon, loop.health.append, checkpoints=checkpoints, retention=retention)
    for number, pause in enumerate((0.0, 3600.0, 0.0)):
        clocks.go(pause)
        recorder.submit([Record(clocks.wall, Event.OPERATION, Outcome.SUCCESS)], loop.done(str(number)))
        loop.until(lambda number=number: str(number) in loop.answers)  # type: ignore[misc]
    assert recorder.close(20.0) == 0
    assert loop.health == []
    assert left(trail) == [51, 52, 53, 54]
    assert trail.verify().holds
    assert trail.verify().pruned == 50


def test_a_step_that_fails_is_told_and_stops_nothing(tmp_path: Path, trail: Trail, loop: Loop) -> None:
    trail.execute("UPDATE records SET reason = 'another' WHERE sequence = 5")
    engine = open_store("sqlite:///gate.db", tmp_path)
    clocks, told = Clocks(500 * DAY), []
    retention = Retention(365 * DAY, clock=lambda: clocks.wall, elapsed=lambda: clocks.passed, report=told.append)
    recorder = Recorder(engine, loop.call_soon, loop.health.append, retention=retention)
    for number, pause in enumerate((0.0, 3600.0, 0.0)):
        clocks.go(pause)
        recorder.submit([Record(clocks.wall, Event.OPERATION, Outcome.SUCCESS)], loop.done(str(number)))
        loop.until(lambda number=number: str(number) in loop.answers)  # type: ignore[misc]
    assert recorder.close(20.0) == 0
    assert all(loop.answers.values())
    assert [reason.partition(" was")[0].partition(": ")[2] for reason in told] == ["record 5"]
    assert loop.health == []
