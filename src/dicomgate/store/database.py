"""A `state` URL in, an engine on a checked and migrated SQLite file out; everything else is a StoreError."""

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from dicomgate.store.problem import StoreError as StoreError  # noqa: PLC0414 - here is where one looks for it
from dicomgate.store.schema import REVISION

BUSY_SECONDS = 2.0
"""How long a connection waits for another one's lock before it says "database is locked"."""

_WAL_BYTES = 64 * 1024 * 1024  # what a burst left of the write-ahead log is cut to at the next checkpoint


def open_store(url: str, base: Path, *, read_only: bool = False) -> Engine:
    """An engine on the store that `url` names.

    `sqlite:///gate.db` is relative to `base` (the folder of the configuration file), `sqlite:////srv/gate.db`
    is absolute. A missing file is created for its owner only (0600, missing folders 0700), an older one is
    migrated, and one row is written and taken back, so a store that opens can be written.
    With `read_only` nothing is created, migrated or written, and the file must have this version's schema.
    Each `connect()` opens the file anew; the connections of a read-only engine cannot write.

    Raises StoreError: another kind of URL, no such file, no permission, not a database, somebody else's
    database, damaged, locked by another process, full disk, or made by a newer version.
    """
    path = state_path(url, base)
    if not read_only:
        _create(path)
    _require(path)
    engine = _engine(path, read_only)
    if read_only:
        _check_revision(engine)
    else:
        migrate(engine)
    return engine


def open_copy(path: Path) -> Engine:
    """A read-only engine on a copy of a store, wherever it lies, also on a medium that cannot be written.

    Beside a copy without a write-ahead log no file is made. Raises StoreError as open_store does.
    """
    _require(path)
    untouched = not path.with_name(path.name + "-wal").exists()
    engine = _engine(path.absolute(), read_only=True, immutable=untouched)
    _check_revision(engine)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to this version's in one transaction. Raises StoreError, see open_store."""
    immediate = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    with told(engine), immediate.begin() as connection:
        present = revisions(connection)
        if not present and inspect(connection).get_table_names():
            raise StoreError(f"{path_of(engine)}: expected a dicomgate store, found another program's tables")
        if present != (REVISION,):
            # Loading alembic takes as long as all the rest of a start, and it is needed once per version.
            from dicomgate.store.migration import upgrade  # noqa: PLC0415

            if unknown := upgrade(connection, present):
                raise _newer(engine, unknown)
        try_write(connection)


def revisions(connection: Connection) -> tuple[str, ...]:
    """The schema revisions the file says it has; none for an empty file."""
    try:
        if not inspect(connection).has_table("alembic_version"):
            return ()
        return tuple(map(str, connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()))
    except (UnicodeDecodeError, TypeError):  # what SQLite and SQLAlchemy make of a schema with other bytes in it
        raise StoreError(f"{path_of(connection.engine)}: its schema is damaged") from None


def try_write(connection: Connection) -> None:
    """Write a row and take it back: the caller's commit then proves that a record could be kept."""
    connection.exec_driver_sql("INSERT INTO records (time, event, outcome) VALUES (0, '', '')")
    connection.exec_driver_sql("DELETE FROM records WHERE sequence = last_insert_rowid()")


def at_once(connection: Connection, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
    """Run a statement in the caller's transaction past SQLAlchemy, for those that every commit has.

    SQLAlchemy would take several times as long as SQLite. Raises what it would raise.
    """
    try:
        cursor: sqlite3.Cursor = connection.connection.cursor().execute(statement, values)
    except sqlite3.Error as problem:
        raise DBAPIError.instance(None, None, problem, sqlite3.Error) from None
    return cursor


def path_of(engine: Engine) -> Path:
    """The file that an engine of `open_store` is on."""
    return Path(unquote(str(engine.url.database).removeprefix("file:")))


def because(problem: DBAPIError) -> str:
    """SQLite's own words ("database is locked"), without the statement and its values."""
    return str(problem.orig)


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Turns what the database raises inside into a StoreError that names the file."""
    try:
        yield
    except DBAPIError as problem:
        raise StoreError(f"{path_of(engine)}: {because(problem)}") from None


def state_path(url: str, base: Path) -> Path:
    """The file that a `state` URL names. Raises StoreError for another kind of URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("state: expected sqlite:///FILE, found what is not a URL") from None
    if parsed.drivername.startswith("postgres"):
        raise StoreError("state: postgresql:// is not supported in this version\nhint: use sqlite:///state/gate.db")
    if parsed.drivername != "sqlite" or parsed.host or parsed.query:
        raise StoreError(f"state: expected sqlite:///FILE and nothing more, found a {parsed.drivername} URL")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("state: expected a file in sqlite:///FILE, found none\nhint: records must outlive the gate")
    return (base / parsed.database).absolute()


def _create(path: Path) -> None:
    try:
        for folder in reversed(path.parents):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            # SQLite would create it with the umask's permissions; its -wal and -shm files copy those of this one.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return  # another gate was faster
    except OSError as problem:
        raise StoreError(f"{path}: cannot be created: {problem.strerror}") from None


def _require(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise StoreError(f"{path}: there is no store here yet\nhint: `dicomgate run` creates it") from None
    except OSError as problem:
        raise StoreError(f"{path}: {problem.strerror}") from None
    if not stat.S_ISREG(mode):
        raise StoreError(f"{path}: expected a file, found a folder or a device")


def _engine(path: Path, read_only: bool, *, immutable: bool = False) -> Engine:
    # A URI, because only its mode= stops SQLite from creating an empty database where the file went missing.
    mode = {"uri": "true", "mode": "ro" if read_only else "rw"}
    if immutable:
        mode["immutable"] = "1"
    url = URL.create("sqlite", database="file:" + quote(str(path)), query=mode)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3 begins no transaction by itself; `begin` below does
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            connection.execute("PRAGMA secure_delete = ON")  # what is pruned is overwritten, not only forgotten

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        at_once(connection, connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _check_revision(engine: Engine) -> None:
    with told(engine), engine.connect() as connection:
        present = revisions(connection)
    if present == (REVISION,):
        return
    from dicomgate.store.migration import unknown_of  # noqa: PLC0415 - as in migrate

    if unknown := unknown_of(present):
        raise _newer(engine, unknown)
    raise StoreError(
        f"{path_of(engine)}: expected schema revision {REVISION}, "
        f"found {', '.join(present) or 'none'}\nhint: `dicomgate run` migrates it"
    )


def _newer(engine: Engine, unknown: list[str]) -> StoreError:
    return StoreError(
        f"{path_of(engine)}: made by a newer dicomgate: expected schema revision "
        f"{REVISION} or older, found {', '.join(unknown)[:40]!r}\nhint: use that newer version"
    )
