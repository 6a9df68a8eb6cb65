"""Secrets in files beside the store: made on first use, for their owner only. Paths in, keys out, or a StoreError.

The signing key is a line in the form that Go's note package and the tools of transparency logs read, the public key
beside it a C2SP verifier key. The name in both is that of the gate when they were made: a log keeps its name.
"""

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dicomgate.audit.checkpoint import ED25519, CheckpointError, PublicKey, Sign
from dicomgate.audit.pseudonym import KEY_BYTES, PseudonymKey
from dicomgate.store.database import StoreError

_PRIVATE = "PRIVATE+KEY+"
_LARGEST_FILE = 4096


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs checkpoints."""

    key: PublicKey
    sign: Sign


def signer(path: Path, name: str) -> Signer:
    """The signing key in this file; a missing one is made, for a log of this name, with its public key beside it.

    Raises StoreError: not a signing key, readable by others, cannot be read or made.
    """
    try:
        text = _read_secret(path)
    except FileNotFoundError:
        return _new_signer(path, name)
    found = text.strip()
    try:
        key_name, id_, encoded = found.removeprefix(_PRIVATE).split("+", 2)
        content = b64decode(encoded, validate=True)
        if not found.startswith(_PRIVATE) or not content.startswith(ED25519):
            raise ValueError
        made = _signer(key_name, Ed25519PrivateKey.from_private_bytes(content[1:]))
        if made.key.id.hex() != id_:
            raise ValueError
    except ValueError:
        raise StoreError(f"{path}: expected a signing key\nhint: restore it from a backup") from None
    return made


def public_path(signing_key: Path) -> Path:
    """Where the public key of a signing key lies."""
    return signing_key.with_name(signing_key.name + ".pub")


def public_key(path: Path) -> PublicKey:
    """The public key in this file. StoreError when there is none."""
    with _explained(path):
        try:
            with path.open(encoding="utf-8") as file:
                return PublicKey.parse(file.read(_LARGEST_FILE))
        except FileNotFoundError:
            raise StoreError(
                f"{path}: there is no public key here\nhint: dicomgate audit public-key prints it"
            ) from None
        except (CheckpointError, UnicodeDecodeError) as problem:
            told = problem if isinstance(problem, CheckpointError) else "expected a public key in text"
            raise StoreError(f"{path}: {told}") from None


def verify_ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is good (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def pseudonym_key(path: Path) -> PseudonymKey:
    """The key for pseudonyms in this file; a missing one is made. StoreError as with `signer`."""
    try:
        text = _read_secret(path)
    except FileNotFoundError:
        return _new_pseudonym_key(path)
    try:
        return PseudonymKey(bytes.fromhex(text.strip()))
    except ValueError:
        raise StoreError(f"{path}: expected a pseudonym key\nhint: restore it from a backup") from None


def rotate_pseudonym_key(path: Path) -> tuple[PseudonymKey | None, PseudonymKey]:
    """Destroy the key in this file and put a new one in its place: the old one, if there was one, and the new one.

    The old bytes are overwritten where they lie first. A file system that writes elsewhere, a disk that does, and
    every backup may still have them.
    """
    old = pseudonym_key(path) if path.exists() else None
    if old is not None:
        with _explained(path), path.open("r+b") as file:
            file.write(bytes(len(old.secret) * 2))
            file.flush()
            os.fsync(file.fileno())
    return old, _new_pseudonym_key(path)


def _new_pseudonym_key(path: Path) -> PseudonymKey:
    made = PseudonymKey(os.urandom(KEY_BYTES))
    _write(path, made.secret.hex() + "\n", 0o600)
    return made


def _new_signer(path: Path, name: str) -> Signer:
    private = Ed25519PrivateKey.generate()
    made = _signer(name, private)
    secret = b64encode(ED25519 + private.private_bytes_raw()).decode()
    _write(public_path(path), f"{made.key}\n", 0o644)
    _write(path, f"{_PRIVATE}{name}+{made.key.id.hex()}+{secret}\n", 0o600)  # last: where it is, the other is too
    return made


def _signer(name: str, private: Ed25519PrivateKey) -> Signer:
    return Signer(PublicKey(name, private.public_key().public_bytes_raw()), private.sign)


def _read_secret(path: Path) -> str:
    """FileNotFoundError when there is no such file; everything else as a StoreError."""
    with _explained(path):
        # O_NONBLOCK: a named pipe in place of a file must not stop the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise StoreError(f"{path}: expected a file, found a folder or a device")
            if mode & 0o077:
                raise StoreError(
                    f"{path}: others can read or change this secret (mode {stat.S_IMODE(mode):04o})\n"
                    "hint: chmod 600 on it, and think of who may have read it"
                )
            return file.read(_LARGEST_FILE).decode("ascii", "replace")


def _write(path: Path, text: str, mode: int) -> None:
    """Create or replace a file at one stroke: whoever is killed in between leaves the old one."""
    beside = path.with_name(path.name + ".new")
    with _explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
        sync_folder(path)


def sync_folder(path: Path) -> None:
    """Without this a new name in a folder may be lost when the power is."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise StoreError(f"{path}: {problem.strerror}") from None
