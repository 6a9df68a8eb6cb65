"""Records as JSON lines with ECS names, appended to a file or written to stdout."""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from dicomgate.audit.ecs import line
from dicomgate.audit.record import Record
from dicomgate.sinks.spool import DeliveryError, Sent
from dicomgate.sinks.words import spoken

_STDOUT = 1
T = TypeVar("T")


class AppendedFile(ABC, Generic[T]):
    """`path` None is stdout. A file may be renamed, removed or truncated at any time: it is opened anew by its name."""

    patience = 0.0
    overlap = 0.0
    mode = 0o640

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None
        self._name = "stdout" if path is None else str(path)

    @abstractmethod
    def lines(self, sequence: int, content: T) -> str:
        """What becomes of one record or checkpoint, with the end of its last line."""

    def mend(self, last: bytes) -> bytes:
        """What has to stand between a file that ends with this byte and the next line.

        A machine that lost its power may have left half a line; the next one must not be glued to it.
        """
        return b"" if last == b"\n" else b"\n"

    def send(self, records: Sequence[tuple[int, T]]) -> Sent:
        lines = "".join([self.lines(number, each) for number, each in records])
        try:
            file = self._opened()
            self._append(file, lines.encode())
        except OSError as error:
            raise DeliveryError(f"{self._name}: {spoken(error)}") from None
        return Sent(records[-1][0])

    def settle(self) -> None:
        if self._file is None:
            return
        try:
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                os.fsync(self._file)
        except OSError as error:
            raise DeliveryError(f"{self._name}: {spoken(error)}") from None

    def check(self) -> None:
        """A file that was written to is not lost before it is synced."""

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None and file != _STDOUT:
            with suppress(OSError):
                os.close(file)

    def _opened(self) -> int:
        if self._path is None:
            self._file = _STDOUT
        elif self._file is None or not self._is_still(self._file, self._path):
            self.close()
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(self._path, flags, self.mode)
            self._begin_line(self._file, self._path)
        return self._file

    def _is_still(self, file: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(path))
        except FileNotFoundError:
            return False

    def _begin_line(self, file: int, path: Path) -> None:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return
        with path.open("rb") as reading:
            reading.seek(-1, os.SEEK_END)
            between = self.mend(reading.read(1))
        if between:
            self._append(file, between)

    def _append(self, file: int, content: bytes) -> None:
        """All of it, or, in a regular file, none of it."""
        before = os.fstat(file)
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError:
            if stat.S_ISREG(before.st_mode):
                with suppress(OSError):
                    os.ftruncate(file, before.st_size)
            raise


class JsonlOutlet(AppendedFile[Record]):
    """A line for each record."""

    def __init__(self, path: Path | None, gate: str) -> None:
        super().__init__(path)
        self._gate = gate

    def lines(self, sequence: int, content: Record) -> str:
        return line(content, sequence, self._gate) + "\n"
