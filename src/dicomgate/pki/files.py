"""Files that survive interruption and keep secrets: bytes in; whole files or what is wrong with them out.

A file appears or changes at one stroke: it is written beside its place, flushed to the disk and renamed, and then the
folder is flushed. Whoever is killed in between leaves the old file and a `.new` beside it, which the next run replaces.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicomgate.pki.problem import PkiError

PRIVATE, PUBLIC, FOLDER = 0o600, 0o644, 0o700
UNFINISHED = ".new"
LARGEST_FILE = 16 * 1024 * 1024
"""A revocation list of a hospital has kilobytes; what is larger is another file."""
LOCK = "lock"


def write(path: Path, data: bytes, mode: int) -> None:
    """Create or replace a file at one stroke, with exactly this mode."""
    beside = path.with_name(path.name + UNFINISHED)
    with explained(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(beside, flags, PRIVATE)
        try:
            os.fchmod(descriptor, mode)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(beside, path)
        flush_folder(path.parent)


def link(path: Path, target: str) -> None:
    """Let a symbolic link point somewhere else at one stroke."""
    beside = path.with_name(path.name + UNFINISHED)
    with explained(path):
        beside.unlink(missing_ok=True)
        os.symlink(target, beside)
        os.replace(beside, path)
        flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """A folder of the owner alone; it must not exist."""
    with explained(path):
        os.mkdir(path, FOLDER)
        flush_folder(path.parent)


def remove(path: Path) -> None:
    """Delete a file for good."""
    with explained(path):
        os.unlink(path)
        flush_folder(path.parent)


def move_folder(source: Path, target: Path) -> None:
    """Give a finished folder its name."""
    with explained(target):
        os.replace(source, target)
        flush_folder(target.parent)


def flush_folder(path: Path) -> None:
    """Without this a rename may be lost when the power is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """A file that is no secret."""
    return _read(path, secret=False)


def read_secret(path: Path) -> bytes:
    """A key or a passphrase; PkiError if anybody else can read it."""
    return _read(path, secret=True)


def check_folder(path: Path) -> str | None:
    """PkiError if others may change what is in a folder; a warning if they may look into it."""
    with explained(path):
        mode = path.stat().st_mode
    if mode & 0o022:
        raise PkiError(
            str(path), f"others can write into it (mode {stat.S_IMODE(mode):04o})", f"chmod {FOLDER:o} on it"
        )
    if mode & 0o055:
        return f"{path}: others can look into it (mode {stat.S_IMODE(mode):04o})\n  hint: chmod {FOLDER:o} on it"
    return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One change at a time; PkiError at once when another one is going on. The kernel frees it however a run ends."""
    path = folder / LOCK
    with explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PkiError(str(path), "another dicomgate pki is changing this authority", "wait for it") from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What the operating system refused, as an error with a place."""
    try:
        yield
    except FileNotFoundError:
        raise PkiError(str(path), "does not exist", "is the path right, and is the authority complete?") from None
    except FileExistsError:
        raise PkiError(str(path), "exists already", "nothing is overwritten; choose another path") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise PkiError(str(path), f"the operating system refused: {why}", "free space, owner and mode?") from None


def _read(path: Path, *, secret: bool) -> bytes:
    with explained(path):
        # O_NONBLOCK: a named pipe in place of a file must not stop us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file, explained(path):
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise PkiError(str(path), "expected a file, came something else", "is the path right?")
        if found.st_size > LARGEST_FILE:
            raise PkiError(str(path), f"expected at most {LARGEST_FILE} bytes, came {found.st_size}", "the right file?")
        if secret and found.st_mode & 0o077:
            raise PkiError(
                str(path),
                f"others can read or change this secret (mode {stat.S_IMODE(found.st_mode):04o})",
                f"chmod {PRIVATE:o} on it, and think of who may have read it",
            )
        if secret and found.st_uid not in (0, os.geteuid()):
            raise PkiError(str(path), "this secret belongs to another user", "run as its owner, or chown it")
        return file.read()
