"""The tree grows with the rows, in their transaction: never without them, never twice, also beside another process."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, event

from dicomgate.audit.leaf import salted_leaf
from dicomgate.audit.merkle import Frontier
from dicomgate.audit.record import FIELDS, Record
from dicomgate.store.database import StoreError, open_store, path_of
from dicomgate.store.migration import _config
from dicomgate.store.schema import canonical_text
from dicomgate.store.tree import append, append_at_once, frontier_of, leaves, pruned_size, range_root
from store.standins import Loop, MakeRecorder, kept
from store.trail import Trail, names

Make = Callable[..., Record]


def stored(engine: Engine) -> list[tuple[int, bytes, bytes]]:
    """Number, leaf as stored, leaf as it has to be."""
    columns = ", ".join(f'"{name}"' for name in FIELDS)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT sequence, {columns}, salt, leaf FROM records ORDER BY sequence")
        return [(row[0], row[-1], salted_leaf(row[-2], canonical_text(row[0], row[1:-2]))) for row in rows]


def fits(engine: Engine, size: int) -> bool:
    """Whether the tree has this size and is that of the records."""
    rows = stored(engine)
    assert [number for number, _, _ in rows] == list(range(1, size + 1))
    assert all(leaf == again for _, leaf, again in rows)
    with engine.connect() as connection:
        return frontier_of(connection) == Frontier().extended(leaf for _, leaf, _ in rows)


def test_each_commit_takes_the_tree_along(engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    sink = recorder()
    for number in range(1, 201):
        sink.submit([record(f"n{number}")] * 2, loop.done(f"n{number}"))
        if number % 20 == 0:
            loop.until(lambda number=number: f"n{number}" in loop.answers)  # type: ignore[misc]
            assert fits(engine, 2 * number)


def test_every_record_has_a_salt_of_its_own(engine: Engine, record: Make) -> None:
    append_at_once(engine, [record("same")] * 100)
    with engine.connect() as connection:
        salts = connection.exec_driver_sql("SELECT salt FROM records").scalars().all()
    assert len(set(salts)) == 100
    assert {(len(salt), salt[0]) for salt in salts} == {(17, 1)}


def test_a_commit_that_fails_leaves_the_tree_as_it_was(
    engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    sink = recorder()
    sink.submit([record("first")], loop.done("first"))
    loop.until(lambda: "first" in loop.answers)
    broken = [True]

    def commit(connection: object) -> None:
        if broken:
            raise sqlite3.OperationalError("disk I/O error")

    event.listen(engine, "commit", commit)
    sink.submit([record("second")], loop.done("second"))
    loop.until(lambda: "second" in loop.answers)
    assert loop.answers["second"] is False
    broken.clear()
    loop.until(lambda: loop.health[-1] is None)
    sink.submit([record("third")], loop.done("third"))
    loop.until(lambda: "third" in loop.answers)
    assert kept(engine) == ["first", "third"]
    assert fits(engine, 2)


def test_another_process_may_append_too(engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make) -> None:
    sink = recorder()
    for number in range(5):
        sink.submit([record(f"gate {number}")], loop.done(f"{number}"))
        loop.until(lambda number=number: f"{number}" in loop.answers)  # type: ignore[misc]
        append_at_once(open_store("sqlite:///gate.db", path_of(engine).parent), [record(f"command {number}")])
    assert fits(engine, 10)
    assert kept(engine) == [f"{who} {number}" for number in range(5) for who in ("gate", "command")]


def test_a_record_that_belongs_to_another_change_comes_and_goes_with_it(engine: Engine, record: Make) -> None:
    writing = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    with writing.begin() as connection:
        append(connection, record("kept"))
        append(connection, record("lone \udc80 surrogate"))
    with writing.connect() as connection:
        connection.begin()
        append(connection, record("taken back"))
        connection.rollback()
    assert kept(engine) == ["kept", "lone \\udc80 surrogate"]
    assert fits(engine, 2)


@pytest.mark.parametrize(
    "odd",
    [
        {"calling_ae_title": "lone \udc80 surrogate"},
        {"bytes": 2**64},
        {"bytes": 5.0},
        {"duration": float("nan")},
        {"duration": float("inf")},
        {"duration": 3},
        {"duration": -0.0},
        {"time": 7},
        {"port": True},
        {"user": 5},
        {"user": ["no", "text"]},
        {"reason": "nul\0inside \x1b[2J\r\n\u202e"},
    ],
)
def test_odd_values_fit_their_leaves_as_sqlite_gives_them_back(
    *, odd: dict[str, object], engine: Engine, loop: Loop, recorder: MakeRecorder, record: Make
) -> None:
    sink = recorder()
    sink.submit([record("odd", **odd), record("sound")], loop.done("a"))
    loop.until(lambda: "a" in loop.answers)
    assert loop.answers == {"a": True}
    append_at_once(engine, [record("odd", **odd)])
    assert fits(engine, 3)


def test_a_damaged_tree_is_told(engine: Engine, record: Make) -> None:
    for change in ("nodes = x'00'", "size = 3", "size = 'many'", "nodes = 'text'"):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE tree SET {change}")
        with pytest.raises(StoreError, match=r"gate\.db: the hash tree over the records is damaged"):
            append_at_once(engine, [record("a")])
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE tree SET size = 0, nodes = x''")
    append_at_once(engine, [record("a")])


def test_leaves_of_any_range(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    trail.write(names(30))
    engine = open_store("sqlite:///gate.db", tmp_path)
    wanted = [leaf for _, leaf, _ in stored(engine)]
    trail.execute(
        *(
            f"INSERT INTO pruned SELECT {first}, x'{b''.join(wanted[first - 1 : last]).hex()}'"
            for first, last in ((1, 7), (8, 8), (9, 15))
        ),
        "DELETE FROM records WHERE sequence <= 15",
    )
    with engine.connect() as connection:
        assert pruned_size(connection) == 15
        for first in range(1, 31):
            for last in range(first, 31):
                assert list(leaves(connection, first, last)) == wanted[first - 1 : last]
        assert range_root(connection, (3, 20)) == Frontier().extended(wanted[3:20]).root
        with pytest.raises(StoreError, match="record 31 or its leaf hash is missing"):
            list(leaves(connection, 1, 31))


# -- migration ----------------------------------------------------------------------------------------------------

OLD = """
INSERT INTO records (sequence, time, event, outcome, association, duration, port, detail) VALUES
  (1, 1000.5, 'operation', 'success', 'first', 0.25, 104, '{"ünï":1}'),
  (2, 1001, 'operation', 'success', 'second', NULL, NULL, NULL),
  (7, 1002.5, 'operation', 'success', 'behind a gap', 1, NULL, NULL),
  (8, 1003.5, 'operation', 'success', CAST(x'ff' AS BLOB), 1, NULL, NULL);
"""


def make_old(folder: Path) -> None:
    """A store as the first version left it."""
    engine = open_store("sqlite:///gate.db", folder)
    path_of(engine).unlink()
    made = sqlite3.connect(folder / "gate.db")
    made.close()
    with engine.begin() as connection:
        config: Config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    other = sqlite3.connect(folder / "gate.db")
    other.executescript(OLD)
    other.close()


def test_old_records_get_salts_and_leaves(tmp_path: Path, record: Make) -> None:
    make_old(tmp_path)
    engine = open_store("sqlite:///gate.db", tmp_path)
    with engine.connect() as connection:
        assert frontier_of(connection).size == 4
        rows = connection.exec_driver_sql("SELECT sequence, association FROM records ORDER BY sequence").all()
    assert rows[:3] == [(1, "first"), (2, "second"), (3, "behind a gap")], "numbered without a gap"
    append_at_once(engine, [record("new")])
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM records WHERE sequence > 3")
        three = connection.exec_driver_sql("SELECT leaf FROM records ORDER BY sequence").scalars().all()
        frontier = Frontier().extended(three)
        connection.exec_driver_sql("UPDATE tree SET size = 3, nodes = ?", (frontier.to_bytes(),))
    assert fits(engine, 3)


def test_a_row_that_no_version_wrote_does_not_stop_the_gate_and_is_named(tmp_path: Path) -> None:
    make_old(tmp_path)
    trail = Trail(tmp_path)
    trail.write(["new"])
    verification = trail.verify()
    assert [(finding.fault, finding.first) for finding in verification.findings] == [("altered", 4)]
    assert verification.signed == 5


def test_many_old_records(tmp_path: Path) -> None:
    make_old(tmp_path)
    other = sqlite3.connect(tmp_path / "gate.db")
    other.execute("DELETE FROM records")
    values = ((float(number), "operation", "success", f"n{number}") for number in range(2500))
    other.executemany("INSERT INTO records (time, event, outcome, association) VALUES (?, ?, ?, ?)", values)
    other.commit()
    other.close()
    assert fits(open_store("sqlite:///gate.db", tmp_path), 2500)
