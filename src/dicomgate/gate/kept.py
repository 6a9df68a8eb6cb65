"""Data sets that are held back as a whole: in memory while they are small and few, else in a file without a name.

In: bytes, never blocking the event loop; out: the same bytes, piece by piece, when they are asked for. The file is
open to this process only and is gone when it is closed, also after a crash. A disk that is full, slow or broken fails
what is held back and nothing else.
"""

import errno
import os
import queue
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

SMALL = 1024 * 1024
"""Bytes of one data set that may stay in memory: a slice of a CT does."""
MEMORY = 64 * 1024 * 1024
"""The same of all together."""
PIECE = 256 * 1024
"""Bytes that come back at a time."""
UNWRITTEN = 256 * 1024
"""With so much on its way to the disk, its sender is not read: one read more than what stays in memory, at most."""
RESERVE = 1024 * 1024 * 1024
"""Free bytes that are left to others on that disk: the record store may live there."""
_THREADS = 2

Job = Callable[[], None]
Deliver = Callable[[bytes, bool], None]
"""The next piece, and whether it is the last."""


class Kept:
    """What one gate holds back. `call_soon` is asyncio's `loop.call_soon_threadsafe`; `most` bounds all together."""

    def __init__(
        self, directory: Path | None, call_soon: Callable[[Job], object], most: int, *, reserve: int = RESERVE
    ) -> None:
        self.most = most
        self.directory = directory
        self.reserve = reserve
        self.memory = 0
        self.size = 0
        self._call_soon = call_soon
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._threads = 0

    def begin(self, progress: Job, failed: Callable[[str], None]) -> "KeptDataSet":
        """Room for one data set. `progress`: something was written; `failed` is called once, and why."""
        return KeptDataSet(self, progress, failed)

    def work(self, job: Job) -> None:
        """Have it done on a thread."""
        if self._threads < _THREADS:
            self._threads += 1
            threading.Thread(target=self._run, name="dicomgate-kept", daemon=True).start()
        self._jobs.put(job)

    def tell(self, job: Job) -> None:
        """Have it done on the event loop."""
        with suppress(RuntimeError):  # the loop is closed, and with it whoever wanted to know
            self._call_soon(job)

    def _run(self) -> None:
        while True:
            self._jobs.get()()


class KeptDataSet:
    """One of them. Every method is called on the event loop; at most one job for it is under way."""

    __slots__ = (
        "_busy",
        "_closed",
        "_failed",
        "_file",
        "_in_memory",
        "_pieces",
        "_position",
        "_progress",
        "_size",
        "_spilled",
        "_store",
        "_unwritten",
        "_wanted",
    )

    def __init__(self, store: Kept, progress: Job, failed: Callable[[str], None]) -> None:
        self._store = store
        self._progress = progress
        self._failed: Callable[[str], None] | None = failed
        self._pieces: deque[bytes] = deque()  # in memory, or on their way to the file
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self._spilled = self._busy = self._closed = False
        self._size = self._position = self._unwritten = 0
        self._wanted: Deliver | None = None

    @property
    def full(self) -> bool:
        """Too much is on its way to the disk."""
        return self._unwritten >= UNWRITTEN

    def add(self, data: bytes | memoryview) -> None:
        """More of it, behind what came before. The view is not used any more afterwards."""
        if self._failed is None or self._closed:
            return
        store, size = self._store, len(data)
        if store.size + size > store.most:
            self._fail(f"all that is held back may be {store.most} bytes (limits.held_objects)")
            return
        self._pieces.append(bytes(data))
        self._size += size
        store.size += size
        if not self._spilled and self._in_memory + size <= SMALL and store.memory + size <= MEMORY:
            self._in_memory += size
            store.memory += size
            return
        if not self._spilled:
            self._spilled = True
            self._unwritten = self._in_memory  # it goes first
            self._forget_memory()
        self._unwritten += size
        self._go_on()

    def fetch(self, deliver: Deliver) -> None:
        """Have the next piece delivered, later; nothing is added any more."""
        if self._failed is None or self._closed:
            return
        self._wanted = deliver
        if self._spilled:
            self._go_on()
            return
        piece = self._pieces.popleft() if self._pieces else b""
        self._store.tell(partial(self._deliver, piece, not self._pieces))

    def close(self) -> None:
        """Forget it; nobody is told anything any more."""
        if self._closed:
            return
        self._closed = True
        self._wanted = None
        self._pieces.clear()
        self._forget_memory()
        self._store.size -= self._size
        if not self._busy:
            self._close_file()

    # -- on the way to the disk and back -------------------------------------------------------------------

    def _go_on(self) -> None:
        """Write what waits; when nothing does, read what is wanted."""
        if self._busy or self._closed or self._failed is None:
            return
        if self._pieces:
            pieces, self._pieces = self._pieces, deque()
            self._busy = True
            self._store.work(partial(self._write, pieces))
        elif self._wanted is not None:
            self._busy = True
            self._store.work(self._read)

    def _write(self, pieces: deque[bytes]) -> None:
        """On a thread."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._store.directory, buffering=0)  # noqa: SIM115
            number = self._file.fileno()
            for piece in pieces:
                disk = os.fstatvfs(number)
                if disk.f_bavail * disk.f_frsize < self._store.reserve + len(piece):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                view = memoryview(piece)
                while view:
                    view = view[os.write(number, view) :]
        except OSError as error:
            self._store.tell(partial(self._done, str(error.strerror or error)))
        else:
            self._store.tell(partial(self._done, None, sum(map(len, pieces))))

    def _read(self) -> None:
        """On a thread."""
        try:
            if self._file is None:
                raise OSError(errno.EBADF, "it was never written")
            piece = os.pread(self._file.fileno(), min(PIECE, self._size - self._position), self._position)
            if not piece:
                raise OSError(errno.EIO, "it is shorter than what was written")
        except OSError as error:
            self._store.tell(partial(self._done, str(error.strerror or error)))
        else:
            self._store.tell(partial(self._done, None, 0, piece))

    def _done(self, failure: str | None, written: int = 0, piece: bytes | None = None) -> None:
        self._busy = False
        if self._closed:
            self._close_file()
            return
        if failure is not None:
            self._fail(failure)
            return
        self._unwritten -= written
        if piece is not None:
            self._position += len(piece)
            self._deliver(piece, self._position >= self._size)
            return
        self._go_on()
        self._progress()

    def _deliver(self, piece: bytes, last: bool) -> None:
        deliver, self._wanted = self._wanted, None
        if deliver is not None and not self._closed:
            deliver(piece, last)

    def _fail(self, why: str) -> None:
        failed, self._failed = self._failed, None
        self._pieces.clear()
        self._unwritten = 0
        if failed is not None:
            self._store.tell(partial(self._tell_failed, failed, why))

    def _tell_failed(self, failed: Callable[[str], None], why: str) -> None:
        if not self._closed:
            failed(why)

    def _forget_memory(self) -> None:
        self._store.memory -= self._in_memory
        self._in_memory = 0

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._store.work(file.close)  # of a large one that takes a while
