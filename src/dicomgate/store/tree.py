"""The hash tree in the database: rows in, the same rows with number, salt and leaf hash out, in one transaction."""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, ProgrammingError

from dicomgate.audit.leaf import RANDOM_BYTES, NotCanonicalError, salted, salted_leaf
from dicomgate.audit.merkle import HASH_BYTES, Frontier, Range
from dicomgate.audit.record import FIELDS, Record
from dicomgate.store.database import StoreError, at_once, path_of, told
from dicomgate.store.schema import Row, canonical_text, rescued, row_of

ODD_VALUE = (
    NotCanonicalError,
    InterfaceError,
    ProgrammingError,
    IntegrityError,
    DataError,
    UnicodeError,
    OverflowError,
)
"""What a value that SQLite or the leaf encoding does not take makes `Tree.append` raise; `rescued` rows never do."""

_ROWS_PER_STATEMENT = 64
_LEAVES_PER_QUERY = 1000


class Tree:
    """Appends to the tree of one database; knows its frontier as long as nobody else appends too.

    For one thread. Whoever appends commits, and then says `keep`; until then the tree is what it was.
    """

    def __init__(self) -> None:
        self._frontier: Frontier | None = None

    def append(self, connection: Connection, rows: Sequence[Row]) -> Frontier:
        """Insert rows as the next records, in the caller's transaction, which must hold the write lock.

        Returns the frontier with them. Raises one of ODD_VALUE when a row cannot be written as it is.
        """
        before = self.frontier(connection)
        while True:
            stamped = list(_stamped(rows, before.size + 1))
            after = before.extended(row[-1] for row in stamped)
            values = (after.size, after.to_bytes(), before.size, before.to_bytes())
            if at_once(connection, _ADVANCE, values).rowcount == 1:
                break
            before = frontier_of(connection)  # another process has appended meanwhile, or the database was put back
        for start in range(0, len(stamped), _ROWS_PER_STATEMENT):
            part = stamped[start : start + _ROWS_PER_STATEMENT]
            at_once(connection, _insert(len(part)), tuple(chain.from_iterable(part)))
        return after

    def frontier(self, connection: Connection) -> Frontier:
        """The tree as it is."""
        return self._frontier or frontier_of(connection)

    def keep(self, frontier: Frontier | None) -> None:
        """The transaction is committed, and the tree is this one; or (None) it is to be read again."""
        self._frontier = frontier


def append(connection: Connection, record: Record) -> None:
    """Keep a record in the caller's transaction: with a change of the store that must not happen without it.

    The transaction must hold the write lock.
    """
    Tree().append(connection, [rescued(row_of(record))])


def append_at_once(engine: Engine, records: Sequence[Record]) -> None:
    """Make records durable, now, on the caller's thread: for a command, beside a gate that may be running.

    Raises StoreError when they cannot be kept.
    """
    rows = [row_of(record) for record in records]
    immediate = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
    with told(engine):
        try:
            with immediate.begin() as connection:
                Tree().append(connection, rows)
        except ODD_VALUE:
            with immediate.begin() as connection:
                Tree().append(connection, [rescued(row) for row in rows])


def frontier_of(connection: Connection) -> Frontier:
    """The frontier that the database holds. StoreError when it is none."""
    row = connection.exec_driver_sql("SELECT size, nodes FROM tree WHERE only = 1").one_or_none()
    try:
        if row is not None and isinstance(row[0], int) and isinstance(row[1], bytes):
            return Frontier.from_bytes(row[0], row[1])
    except ValueError:
        pass
    raise StoreError(f"{path_of(connection.engine)}: the hash tree over the records is damaged")


def leaves(connection: Connection, first: int, last: int) -> Iterator[bytes]:
    """The leaf hashes of the records with these numbers, also of pruned ones, a page at a time.

    StoreError when one is missing.
    """
    expected = first
    for begin, packed in _packed(connection, first):
        if begin > expected or begin > last:
            break
        whole = packed[: len(packed) - len(packed) % HASH_BYTES]
        for at in range((expected - begin) * HASH_BYTES, len(whole), HASH_BYTES):
            if expected > last:
                return
            yield whole[at : at + HASH_BYTES]
            expected += 1
    while expected <= last:
        page = connection.exec_driver_sql(_LEAVES, (expected, last, _LEAVES_PER_QUERY)).all()
        for number, leaf in page:
            if number != expected or not isinstance(leaf, bytes) or len(leaf) != HASH_BYTES:
                break
            yield leaf
            expected += 1
        if not page or page[-1][0] >= expected:
            raise StoreError(
                f"{path_of(connection.engine)}: record {expected} or its leaf hash is missing\n"
                "hint: dicomgate audit verify"
            )


def range_root(connection: Connection, leaf_range: Range) -> bytes:
    """The root over a range of leaves (indices from 0, see audit/merkle.py)."""
    low, high = leaf_range
    return Frontier().extended(leaves(connection, low + 1, high)).root


def pruned_size(connection: Connection) -> int:
    """How many records have been pruned: all up to this number."""
    newest = connection.exec_driver_sql("SELECT first, leaves FROM pruned ORDER BY first DESC LIMIT 1").one_or_none()
    return 0 if newest is None else newest[0] - 1 + len(newest[1]) // HASH_BYTES


def _packed(connection: Connection, first: int) -> Iterator[tuple[int, bytes]]:
    """The packs of pruned leaves from the one on that `first` may be in."""
    at = "COALESCE((SELECT MAX(first) FROM pruned WHERE first <= ?), 0)"
    while pack := connection.exec_driver_sql(
        f"SELECT first, leaves FROM pruned WHERE first >= {at} ORDER BY first LIMIT 1",  # noqa: S608 - constant
        (first,),
    ).one_or_none():
        yield pack[0], pack[1]
        first, at = pack[0] + 1, "?"


def _stamped(rows: Sequence[Row], number: int) -> Iterator[tuple[Any, ...]]:
    """Each row between its number, and its salt and leaf hash."""
    random = os.urandom(RANDOM_BYTES * len(rows))
    for at, row in enumerate(rows):
        salt = salted(random[at * RANDOM_BYTES : (at + 1) * RANDOM_BYTES])
        yield number, *row, salt, salted_leaf(salt, canonical_text(number, row))
        number += 1


_ADVANCE = "UPDATE tree SET size = ?, nodes = ? WHERE only = 1 AND size = ? AND nodes = ?"
_LEAVES = "SELECT sequence, leaf FROM records WHERE sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?"
_COLUMNS = ("sequence", *FIELDS, "salt", "leaf")


@lru_cache(maxsize=_ROWS_PER_STATEMENT)
def _insert(rows: int) -> str:
    """An INSERT of many rows. Not executemany: sqlite3 gives up the interpreter lock at every row of that, and
    beside a busy event loop gets it back milliseconds later, so that a batch of 32 rows took 130 ms."""
    row = f"({', '.join('?' * len(_COLUMNS))})"
    columns = ", ".join(f'"{name}"' for name in _COLUMNS)
    return f"INSERT INTO records ({columns}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - names, no values
