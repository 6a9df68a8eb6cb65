"""Checkpoints of the tree: signed in the transaction that they are due in, then appended to a file outside the store.

The store says what happened, the file what the store has said: whoever changes the one has the other against him.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dicomgate.audit.checkpoint import LARGEST_NOTE, Checkpoint, CheckpointError, read, signed
from dicomgate.audit.merkle import Frontier
from dicomgate.store.database import StoreError, because, told
from dicomgate.store.keys import Signer, sync_folder
from dicomgate.store.settings import CHECKPOINT_RECORDS, CHECKPOINT_SECONDS
from dicomgate.store.tree import frontier_of

Announce = Callable[[], None]
"""There is a new checkpoint in the store, which others may read and push. Called on the writer's thread."""
Report = Callable[[str | None], None]
"""Told once when checkpoints can no longer be appended to the file (why), and once when they can again (None)."""

RETRY_SECONDS = 10.0
_NOTES_PER_WRITE = 100
_END_OF_NOTE = re.compile(rb"\xe2\x80\x94 [^\n]*\n\n")


class Checkpoints:
    """When and how the tree is signed. For the one thread that writes to the store, which also calls `report`
    and `announce`; neither may block.

    A checkpoint is made when `records` have come since the last one, or `interval` seconds after the first that came.
    A file that cannot be written loses nothing: what it lacks is appended when it can be written again.
    """

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        file: Path,
        *,
        interval: float = CHECKPOINT_SECONDS,
        records: int = CHECKPOINT_RECORDS,
        announce: Announce = lambda: None,
        report: Report = lambda reason: None,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """StoreError when the store or the file cannot be read."""
        self._announce = announce
        self._signer = signer
        self._file = file
        self._interval = interval
        self._records = records
        self._report = report
        self._clock = clock
        self._elapsed = elapsed
        self._since = elapsed()
        self._failing = False
        self._retry_at = self._since
        last, damage = _end_of(file, signer.key.name)
        with told(engine), engine.connect() as connection:
            self._size = frontier_of(connection).size
            self._signed = _newest_size(connection)
            self.conflict = damage if last is None else _conflict(connection, last, self._size)
            """Why the file and the store cannot both be what the gate wrote; None when they can."""
        self._filed = self._signed if self.conflict else last.size if last else 0
        self._separator = "\n\n\n" if damage else ""  # so that what follows can be read again

    def due_in(self) -> float | None:
        """Seconds until there is something to do (0: now), or None while there is nothing."""
        times = []
        if self._size > self._signed:
            times.append(self._since + (self._interval if self._size - self._signed < self._records else 0.0))
        if self._filed < self._signed:
            times.append(self._retry_at)
        return max(0.0, min(times) - self._elapsed()) if times else None

    def sign(self, connection: Connection, frontier: Frontier, *, at_once: bool = False) -> str | None:
        """Put a checkpoint of this tree into the caller's transaction if it is time for one; its note."""
        if self._size == self._signed:
            self._since = self._elapsed()
        new = frontier.size - self._signed
        if new <= 0 or not (at_once or new >= self._records or self._elapsed() >= self._since + self._interval):
            return None
        checkpoint = Checkpoint(self._signer.key.name, frontier.size, frontier.root)
        note = signed(checkpoint, self._signer.key, self._signer.sign)
        values = (frontier.size, self._clock(), note)
        connection.exec_driver_sql("INSERT OR REPLACE INTO checkpoints (size, time, note) VALUES (?, ?, ?)", values)
        return note

    def committed(self, connection: Connection, frontier: Frontier, note: str | None) -> None:
        """The caller's transaction, which made the tree this one, is on disk: bring the file up to date."""
        self._size = frontier.size
        if note is not None:
            self._signed = frontier.size
            self._announce()
        if self._filed >= self._signed or self._elapsed() < self._retry_at:
            return
        try:
            while self._filed < self._signed:
                with connection.begin():
                    notes = connection.exec_driver_sql(_UNFILED, (self._filed, _NOTES_PER_WRITE)).all()
                self._append("".join(f"{note}\n" for _, note in notes))
                self._filed = notes[-1][0] if notes else self._signed
        except (OSError, DBAPIError) as problem:
            self._retry_at = self._elapsed() + RETRY_SECONDS
            if not self._failing:
                why = because(problem) if isinstance(problem, DBAPIError) else problem.strerror
                self._report(f"{self._file}: {why}")  # the store itself, if it fails, is told with the next record
            self._failing = True
        else:
            if self._failing:
                self._report(None)
            self._failing = False

    def _append(self, text: str) -> None:
        """Opened each time: somebody may have moved the file away, so that a new one begins."""
        fresh = not self._file.exists()
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            before = os.fstat(descriptor).st_size
            content = (self._separator + text).encode()
            if os.write(descriptor, content) != len(content):
                os.ftruncate(descriptor, before)  # half a checkpoint must not stand in the middle of the file
                raise OSError(28, "not enough room for a checkpoint")
            os.fsync(descriptor)
            self._separator = ""
        finally:
            os.close(descriptor)
        if fresh:
            sync_folder(self._file)


_UNFILED = "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?"


def _newest_size(connection: Connection) -> int:
    size = connection.exec_driver_sql("SELECT MAX(size) FROM checkpoints").scalar_one()
    return size if isinstance(size, int) else 0


def _conflict(connection: Connection, last: Checkpoint, size: int) -> str | None:
    if last.size > size:
        return f"the checkpoint file knows {last.size} records, and the store has {size}"
    note = connection.exec_driver_sql("SELECT note FROM checkpoints WHERE size = ?", (last.size,)).scalar()
    try:
        if note is not None and read(note)[0] == last:
            return None
    except CheckpointError:
        pass
    return f"the checkpoint file ends with one of {last.size} records that the store has not, or has otherwise"


def _end_of(file: Path, origin: str) -> tuple[Checkpoint | None, str | None]:
    """The last checkpoint in a file, if it has any; or why there is none at its end.

    What a crash left of a next one is cut off.
    """
    try:
        with file.open("rb") as opened:
            begin = max(0, opened.seek(0, os.SEEK_END) - 2 * LARGEST_NOTE)
            opened.seek(begin)
            content = opened.read()
    except FileNotFoundError:
        return None, None
    except OSError as problem:
        raise StoreError(f"{file}: {problem.strerror}") from None
    ends = [found.end() for found in _END_OF_NOTE.finditer(content)]
    whole = ends[-1] if ends else 0
    rest, opening = content[whole:], f"{origin}\n".encode()
    if rest[: len(opening)] != opening[: len(rest)]:
        return None, "the checkpoint file ends with something else than a checkpoint of this log"
    if rest:
        os.truncate(file, begin + whole)
    if not ends:
        return None, None
    try:
        return read(content[ends[-2] if len(ends) > 1 else 0 : whole - 1].decode())[0], None
    except (CheckpointError, UnicodeDecodeError):
        return None, "the last checkpoint in the checkpoint file was edited"
