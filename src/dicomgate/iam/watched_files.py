"""What stands in files, read again when they change. Paths and a reader in; the last good value out."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_EVERY = 2.0
"""Seconds between two looks."""


class FilesError(Exception):
    """Nothing good has been read yet; says why."""


class WatchedFiles(Generic[T]):
    """Threads may share it. What became unreadable or wrong changes nothing: the last good value stays."""

    def __init__(self, paths: tuple[Path, ...], read: Callable[[], T]) -> None:
        """`read` raises OSError or ValueError for what it cannot use; the text is shown."""
        self._paths = paths
        self._read = read
        self._lock = threading.Lock()
        self._value: T | None = None
        self._trouble = ""
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._next_look = float("-inf")

    def current(self) -> T:
        """The value; FilesError when there was never one."""
        with self._lock:
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _LOOK_EVERY
                self._look()
            if self._value is None:
                raise FilesError(self._trouble)
            return self._value

    def _look(self) -> None:
        try:
            seen = tuple(_stamp(path) for path in self._paths)
            if seen == self._seen:
                return
            self._seen = seen
            self._value = self._read()
        except OSError as error:
            where = error.filename or self._paths[0]
            self._trouble = f"{where} cannot be read: {(error.strerror or 'no reason given').lower()}"
        except ValueError as error:
            self._trouble = f"{self._paths[0]}: {error}"


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when a file is written, replaced, or given other rights."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
