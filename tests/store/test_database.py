"""Opening the store: which URLs, which permissions, and why it refuses."""

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from dicomgate.store.database import StoreError, migrate, open_store, path_of


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_fresh_store_is_for_its_owner_only(tmp_path: Path) -> None:
    engine = open_store("sqlite:///deep/er/gate.db", tmp_path)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM records")
        made = sorted(path.name for path in (tmp_path / "deep/er").iterdir())
        assert made == ["gate.db", "gate.db-shm", "gate.db-wal"]
        assert {permissions(tmp_path / "deep/er" / name) for name in made} == {0o600}
    assert permissions(tmp_path / "deep") == permissions(tmp_path / "deep/er") == 0o700


@pytest.mark.usefixtures("open_umask")
def test_permissions_of_what_was_there_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o750)
    (tmp_path / "state/gate.db").touch(mode=0o640)
    open_store("sqlite:///state/gate.db", tmp_path)
    assert (permissions(tmp_path / "state"), permissions(tmp_path / "state/gate.db")) == (0o750, 0o640)


def test_relative_to_the_base_or_absolute(tmp_path: Path) -> None:
    assert path_of(open_store("sqlite:///x/gate.db", tmp_path)) == tmp_path / "x/gate.db"
    assert path_of(open_store(f"sqlite:///{tmp_path}/y/gate.db", Path("/nonexistent"))) == tmp_path / "y/gate.db"


def test_odd_file_names(tmp_path: Path) -> None:
    engine = open_store("sqlite:///a b/%25 #%3F ü.db", tmp_path)
    assert path_of(engine) == tmp_path / "a b/% #? ü.db"
    assert path_of(engine).stat().st_size > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://gate:secret@db/gate", "not supported in this version"),
        ("postgresql+psycopg://gate:secret@db/gate", "not supported in this version"),
        ("mysql://gate:secret@db/gate", "found a mysql URL"),
        ("sqlite://secret/gate.db", "expected sqlite:///FILE and nothing more"),
        ("sqlite:///gate.db?mode=memory", "expected sqlite:///FILE and nothing more"),
        ("sqlite://", "expected a file"),
        ("sqlite:///:memory:", "expected a file"),
        ("secret", "not a URL"),
        ("", "not a URL"),
    ],
)
def test_other_urls_are_refused_without_repeating_them(url: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=told) as refused:
        open_store(url, tmp_path)
    assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_every_commit_is_synced_and_readers_do_not_block(engine: Engine) -> None:
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 2
    assert pragma(engine, "busy_timeout") == 2000


def test_opening_again_keeps_records(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO records (time, event, outcome) VALUES (1, 'operation', 'success')")
    migrate(open_store("sqlite:///gate.db", tmp_path))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT sequence, time FROM records").all() == [(1, 1.0)]


def test_a_newer_store_is_refused_and_left_alone(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = path_of(engine).read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"gate\.db: made by a newer dicomgate: .*'9999'"):
            open_store("sqlite:///gate.db", tmp_path, read_only=read_only)
    assert path_of(engine).read_bytes() == before


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "gate.db")
    other.execute("CREATE TABLE patients (name)")
    other.close()
    with pytest.raises(StoreError, match="another program's tables"):
        open_store("sqlite:///gate.db", tmp_path)
    other = sqlite3.connect(tmp_path / "gate.db")
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("patients",)]
    other.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database, " * 1000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def trampled(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [garbage, cut, trampled, folder])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_damaged_file_is_named(damage: Callable[[Path], None], read_only: bool, engine: Engine) -> None:
    path = path_of(engine)
    damage(path)
    with pytest.raises(StoreError, match=r"gate\.db: (file is not a database|database disk image|expected a file)"):
        open_store("sqlite:///gate.db", path.parent, read_only=read_only)


def test_read_only_neither_creates_nor_migrates_nor_writes(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here yet"):
        open_store("sqlite:///other/gate.db", tmp_path, read_only=True)
    assert not (tmp_path / "other").exists()

    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="found none"):
        open_store("sqlite:///empty.db", tmp_path, read_only=True)
    assert (tmp_path / "empty.db").stat().st_size == 0

    reader = open_store("sqlite:///gate.db", tmp_path, read_only=True)
    with pytest.raises(Exception, match="readonly"), reader.begin() as connection:
        connection.exec_driver_sql("DELETE FROM records")


@pytest.fixture
def every_connection() -> Iterator[Callable[[str], None]]:
    """Runs a statement on each connection that any engine opens, after the engine's own."""
    hooks: list[Callable[..., None]] = []

    def run(statement: str) -> None:
        def connected(connection: Any, _: object) -> None:
            connection.execute(statement)

        hooks.append(connected)
        event.listen(Engine, "connect", connected)

    yield run
    for hook in hooks:
        event.remove(Engine, "connect", hook)


def test_a_store_that_cannot_be_written_does_not_open(
    engine: Engine, every_connection: Callable[[str], None], tmp_path: Path
) -> None:
    every_connection("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"gate\.db: attempt to write a readonly database"):
        open_store("sqlite:///gate.db", tmp_path)


def test_a_migration_without_room_leaves_nothing_behind(
    every_connection: Callable[[str], None], tmp_path: Path
) -> None:
    every_connection("PRAGMA max_page_count = 4")
    with pytest.raises(StoreError, match=r"gate\.db: database or disk is full"):
        open_store("sqlite:///gate.db", tmp_path)
    found = sqlite3.connect(tmp_path / "gate.db")
    assert found.execute("SELECT name FROM sqlite_schema").fetchall() == []
    found.close()
    every_connection("PRAGMA max_page_count = 4000")
    open_store("sqlite:///gate.db", tmp_path)


def test_a_locked_store_does_not_open(engine: Engine, every_connection: Callable[[str], None], tmp_path: Path) -> None:
    other = sqlite3.connect(path_of(engine), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    every_connection("PRAGMA busy_timeout = 10")
    with pytest.raises(StoreError, match=r"gate\.db: database is locked"):
        open_store("sqlite:///gate.db", tmp_path)
    other.close()
    open_store("sqlite:///gate.db", tmp_path)


def test_no_way_to_create_it(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(StoreError, match=r"state/gate\.db: cannot be created: Not a directory"):
        open_store("sqlite:///state/gate.db", tmp_path)


def test_many_may_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    opened: list[Engine] = []
    start = threading.Barrier(4)

    def go() -> None:
        start.wait()
        opened.append(open_store("sqlite:///state/gate.db", tmp_path))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
