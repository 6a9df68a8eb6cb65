"""Whether the trail is what the gate wrote: a store and its checkpoints in, every difference out. Works on a copy.

The tree is built anew from the records. A record that does not fit its leaf hash was altered; a number without a record
was removed; a root that does not fit a signed checkpoint means that a record was altered, replaced or moved together
with its leaf hash; a checkpoint beyond the last record means that the end was cut off, or that the store is an old one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from json import loads
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dicomgate.audit.checkpoint import Checkpoint, CheckpointError, PublicKey, Verify, logged, notes, opened
from dicomgate.audit.leaf import NotCanonicalError, is_salt, salted_leaf
from dicomgate.audit.merkle import HASH_BYTES, Frontier
from dicomgate.audit.record import FIELDS, Event
from dicomgate.store.database import StoreError, because, told
from dicomgate.store.schema import canonical_text
from dicomgate.store.tree import frontier_of

_LEAVES_AT_ONCE = 1000
_MOST_FAULTS = 1000
"""More than these are only counted: a wholly rewritten store must not fill the memory."""


class Fault(StrEnum):
    """What can be wrong with a trail."""

    ALTERED = "altered"
    REMOVED = "removed"
    CUT_OFF = "cut_off"
    ADDED = "added"
    REWRITTEN = "rewritten"
    PRUNED_UNANNOUNCED = "pruned_unannounced"
    CHECKPOINT = "checkpoint"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `first` and `last` are the records concerned, where there are any."""

    fault: Fault
    text: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A file of checkpoints: its name, its lines, and whether it is the gate's own, which has to be complete.

    `log`: it is a log that has some among its lines.
    """

    name: str
    lines: Iterable[str]
    own: bool
    log: bool = False

    def notes(self) -> Iterator[tuple[int, str]]:
        """Each with the line it begins at."""
        return logged(iter(self.lines)) if self.log else notes(iter(self.lines))


@dataclass(slots=True)
class Verification:
    """What was looked at, and what was found. The trail holds when there is no finding."""

    records: int = 0
    size: int = 0
    """Records there ever were, as the store says."""
    pruned: int = 0
    """All up to this record are pruned."""
    pruned_under: int | None = None
    """The size of the smallest checkpoint, of those that fit, which covers them."""
    checkpoints: int = 0
    """Different checkpoints that fit the tree."""
    signed: int = 0
    """All up to this record are under a checkpoint that fits."""
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.findings

    def add(self, fault: Fault, text: str, first: int | None = None, last: int | None = None) -> None:
        if len(self.findings) < _MOST_FAULTS:
            self.findings.append(Finding(fault, text, first, last))
        else:
            self.more_findings += 1


def verify_trail(engine: Engine, key: PublicKey, verify: Verify, files: Sequence[CheckpointFile]) -> Verification:
    """Judge a store against the checkpoints in it and in files.

    Reads one state of the store, also while a gate writes. StoreError only when nothing can be read at all.
    """
    found = Verification()
    with told(engine), engine.connect() as connection, connection.begin():
        # Text that is no longer UTF-8 has to be found in its record, not to end the reading.
        raw: Any = connection.connection.driver_connection
        raw.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
        judge = _Judge(connection, found, key, verify)
        try:
            judge.judge(files)
        except StoreError as problem:
            found.add(Fault.DAMAGED, str(problem).partition("\n")[0])
        except DBAPIError as problem:
            found.add(Fault.DAMAGED, f"the database cannot be read behind record {judge.at}: {because(problem)}")
    return found


class _Judge:
    def __init__(self, connection: Connection, found: Verification, key: PublicKey, verify: Verify) -> None:
        self.connection = connection
        self.found = found
        self.key = key
        self.verify = verify
        self.roots: dict[int, bytes] = {}  # by size: what signed checkpoints say
        self.conflicts: set[int] = set()
        self.frontier: Frontier | None = Frontier()  # None: a leaf is missing, and no root is known any more
        self.waiting: list[bytes] = []  # leaves that are still to go into the frontier
        self.fitting = 0  # the largest size up to which the tree fits
        self.misfits = 0
        self.announced = 0
        self.at = 0

    def judge(self, files: Sequence[CheckpointFile]) -> None:
        self._integrity()
        stored = frontier_of(self.connection)
        self.found.size = stored.size
        self._checkpoints(files)
        end = self._records(self._pruned())
        self._extend()
        self.found.records = end - self.found.pruned
        self._end(end, stored)

    # -- checkpoints ---------------------------------------------------------------------------------------

    def _checkpoints(self, files: Sequence[CheckpointFile]) -> None:
        """Collect every signed root; judge what the places say about each other."""
        in_store = set(self._opened("the store", self._stored_notes()))
        for file in files:
            in_file = set(self._opened(file.name, self._filed_notes(file)))
            if file.own:
                self._complete(file.name, in_store, in_file)
            elif not in_file:
                self.found.add(Fault.CHECKPOINT, f"{file.name} holds no checkpoint of this key")
            oldest = min(in_store, default=0)  # what is pruned has taken its checkpoints along
            for size in sorted(in_file - in_store):
                if oldest < size <= self.found.size:
                    self.found.add(Fault.CHECKPOINT, f"the checkpoint of {size} records is missing in the store")
        if not files:
            self.found.remarks.append(
                "no checkpoint file was given: a store that was cut off or put back as a whole cannot be told"
            )

    def _complete(self, name: str, in_store: set[int], in_file: set[int]) -> None:
        """The gate's own file begins anywhere (it may be moved away), and has all from there on.

        It may lack the newest: a gate that was killed appends that one when it starts again.
        """
        first = min(in_file, default=0)
        missing = sorted(size for size in in_store - in_file if size > first)
        if missing == [max(in_store, default=0)]:
            self.found.remarks.append(f"{name} lacks the newest checkpoint, of {missing[0]} records")
            return
        for size in missing:
            self.found.add(Fault.CHECKPOINT, f"the checkpoint of {size} records is missing in {name}")

    def _stored_notes(self) -> Iterator[tuple[str, object]]:
        rows = self.connection.exec_driver_sql("SELECT size, note FROM checkpoints ORDER BY size")
        yield from ((f"the checkpoint of {size} records in the store", note) for size, note in rows)

    def _filed_notes(self, file: CheckpointFile) -> Iterator[tuple[str, object]]:
        yield from ((f"{file.name}, line {line}", note) for line, note in file.notes())

    def _opened(self, place: str, found: Iterator[tuple[str, object]]) -> Iterator[int]:
        """The sizes of those that are signed; of others a finding."""
        for where, note in found:
            text = note if isinstance(note, str) else ""
            try:
                checkpoint = opened(text, self.key, self.verify)
            except CheckpointError as problem:
                if text.endswith("\n"):
                    self.found.add(Fault.CHECKPOINT, f"{where}: {problem}")
                else:  # only the last one can be like that
                    self.found.remarks.append(f"{where}: not whole; the gate cuts such a rest off when it starts")
                continue
            self._signed(checkpoint, where)
            yield checkpoint.size

    def _signed(self, checkpoint: Checkpoint, where: str) -> None:
        if self.roots.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
            self.conflicts.add(checkpoint.size)
            self.found.add(
                Fault.REWRITTEN,
                f"{where} has another root than one before: the key has signed two histories",
                1,
                checkpoint.size,
            )

    def _fits(self, size: int) -> None:
        """Compare the tree as built so far with a checkpoint of this size, if there is one."""
        root = self.roots.get(size)
        if root is None or size in self.conflicts or self.frontier is None:
            return
        if self.frontier.root == root:
            self.fitting = size
            self.found.signed = size
            self.found.checkpoints += 1
            if self.found.pruned and self.found.pruned_under is None and size >= self.found.pruned:
                self.found.pruned_under = size
        else:
            self.misfits += 1
            if self.misfits == 1:
                self.found.add(
                    Fault.REWRITTEN,
                    f"of the records {self.fitting + 1} to {size}, one or more were altered, replaced or moved with "
                    f"their leaf hashes: the signed checkpoint of {size} records has another root",
                    self.fitting + 1,
                    size,
                )

    # -- records -------------------------------------------------------------------------------------------

    def _integrity(self) -> None:
        for (problem,) in self.connection.exec_driver_sql("PRAGMA integrity_check(20)"):
            if problem != "ok":
                self.found.add(Fault.DAMAGED, f"the database is damaged: {problem}")

    def _pruned(self) -> int:
        """Go through the packed leaves; the number of the last pruned record."""
        last = 0
        for first, packed in self.connection.exec_driver_sql("SELECT first, leaves FROM pruned ORDER BY first"):
            if first != last + 1 or not isinstance(packed, bytes) or not packed or len(packed) % HASH_BYTES:
                self.found.add(Fault.DAMAGED, f"the leaf hashes of pruned records from {last + 1} on are damaged")
                self.frontier = None
                break
            for at in range(0, len(packed), HASH_BYTES):
                last += 1
                self._leaf(last, packed[at : at + HASH_BYTES])
        self.found.pruned = last
        if last and self.fitting == last:
            self.found.pruned_under = last
        return last

    def _records(self, pruned: int) -> int:
        """Go through the records; the number of the last one."""
        expected = pruned + 1
        for row in self.connection.exec_driver_sql(_RECORDS, (pruned,)):
            self.at = number = row[0]
            if number > self.found.size:
                break
            if number > expected:
                self._missing(expected, number - 1)
            self._record(row)
            self._leaf(number, row[-1])
            expected = number + 1
        return expected - 1

    def _record(self, row: Sequence[Any]) -> None:
        number, salt, leaf = row[0], row[-2], row[-1]
        try:
            if is_salt(salt) and salted_leaf(salt, canonical_text(number, row[1:-2])) == leaf:
                if row[_EVENT] == Event.RECORDS_PRUNED:
                    self.announced = max(self.announced, _last_announced(row[_DETAIL]))
                return
        except NotCanonicalError:
            pass
        self.found.add(Fault.ALTERED, f"record {number} was altered: it does not fit its leaf hash", number, number)

    def _leaf(self, number: int, leaf: object) -> None:
        if not isinstance(leaf, bytes) or len(leaf) != HASH_BYTES:
            self.frontier = None
        elif self.frontier is not None:
            self.waiting.append(leaf)
            if number in self.roots or len(self.waiting) == _LEAVES_AT_ONCE:
                self._extend()
                self._fits(number)

    def _extend(self) -> None:
        if self.frontier is not None:
            self.frontier = self.frontier.extended(self.waiting)
        self.waiting.clear()

    def _missing(self, first: int, last: int) -> None:
        self.frontier = None
        which = f"record {first} was" if first == last else f"records {first} to {last} were"
        self.found.add(Fault.REMOVED, f"{which} removed", first, last)

    def _end(self, end: int, stored: Frontier) -> None:
        if end < stored.size:
            self.found.add(
                Fault.CUT_OFF, f"records {end + 1} to {stored.size} were cut off the end", end + 1, stored.size
            )
        elif self.frontier is not None and not self.misfits and self.frontier != stored:
            self.found.add(
                Fault.REWRITTEN,
                f"of the records {self.fitting + 1} to {end}, one or more were altered with their leaf hashes: the "
                "tree in the store is another one",
                self.fitting + 1,
                end,
            )
        beyond = self.connection.exec_driver_sql(_BEYOND, (stored.size,)).one()
        if beyond[0]:
            self.found.add(
                Fault.ADDED, f"{beyond[0]} records from {beyond[1]} on were not added by a gate", beyond[1], beyond[2]
            )
        promised = max(self.roots, default=0)
        if promised > stored.size:
            self.found.add(
                Fault.CUT_OFF,
                f"records {stored.size + 1} to {promised} are missing: a checkpoint of {promised} records was signed, "
                f"and the store has {stored.size}. It was cut off, or an older copy was put in its place",
                stored.size + 1,
                promised,
            )
        if self.found.pruned > self.announced:
            self.found.add(
                Fault.PRUNED_UNANNOUNCED,
                f"records {self.announced + 1} to {self.found.pruned} are gone, and no record says that they were "
                "pruned",
                self.announced + 1,
                self.found.pruned,
            )
        if self.misfits > 1:
            self.found.remarks.append(f"{self.misfits - 1} later checkpoints do not fit either, as must be")
        if self.frontier is None and promised > self.fitting:
            self.found.remarks.append("checkpoints behind the first missing leaf hash could not be compared")
        if end > max(self.fitting, promised):
            self.found.remarks.append(
                f"records {max(self.fitting, promised) + 1} to {end} are not under a checkpoint yet: "
                "only their leaf hashes vouch for them"
            )


def _last_announced(detail: object) -> int:
    try:
        last = loads(detail)["last"] if isinstance(detail, str) else 0
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return last if type(last) is int else 0


_EVENT, _DETAIL = 1 + FIELDS.index("event"), 1 + FIELDS.index("detail")
_NAMES = ", ".join(f'"{name}"' for name in ("sequence", *FIELDS, "salt", "leaf"))
_RECORDS = f"SELECT {_NAMES} FROM records WHERE sequence > ? ORDER BY sequence"  # noqa: S608 - names, no values
_BEYOND = "SELECT COUNT(*), MIN(sequence), MAX(sequence) FROM records WHERE sequence > ?"
