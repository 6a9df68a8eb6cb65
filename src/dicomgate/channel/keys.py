"""Secrets of channels, made here and kept in files of mode 0600: WireGuard key pairs, preshared secrets.

A key is renewed in two steps, because both ends change together: `prepare` makes the next one beside the present one
and `activate` puts it in its place.
"""

import base64
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dicomgate.channel.problem import ChannelError

NEXT = ".next"
_LONGEST = 4096


def new_private_key() -> str:
    """A WireGuard private key (Curve25519, base64)."""
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


def new_shared_secret() -> str:
    """256 bits, base64; WireGuard's preshared keys have exactly that form."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def public_key(private: str) -> str:
    """Of a private key in base64."""
    try:
        raw = base64.b64decode(private, validate=True)
        key = X25519PrivateKey.from_private_bytes(raw)
    except ValueError:
        raise ChannelError(
            "expected a WireGuard private key (32 bytes, base64), came something else", "make it anew"
        ) from None
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def read_secret(path: Path) -> str:
    """The one line of a secret's file; ChannelError when others can read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            about = os.fstat(descriptor)
            data = os.read(descriptor, _LONGEST + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise ChannelError(f"{path}: there is no such file", "dicomgate channel keys makes it") from None
    except OSError as error:
        raise ChannelError(f"{path}: cannot be read: {error.strerror}", "check path and permissions") from None
    if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077:
        raise ChannelError(f"{path}: expected a file that its owner alone can read", f"chmod 600 {path.name}")
    text = data.decode("ascii", errors="replace").strip()
    if not text or len(data) > _LONGEST or not text.isprintable() or not text.isascii():
        raise ChannelError(f"{path}: expected one line with a secret, came something else", "make it anew")
    return text


def ensure(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """The secret of this file, made if there is none; whether it was made now."""
    if not os.path.lexists(path):
        _create(path, make())
        return read_secret(path), True
    return read_secret(path), False


def prepare(path: Path, make: Callable[[], str]) -> str:
    """The next secret, beside the present one; made once, and the same when asked again."""
    return ensure(path.with_name(path.name + NEXT), make)[0]


def activate(path: Path) -> str:
    """Put the prepared secret in the present one's place, at one stroke."""
    beside = path.with_name(path.name + NEXT)
    text = read_secret(beside)
    try:
        os.replace(beside, path)
        _flush(path.parent)
    except OSError as error:
        raise ChannelError(f"{path}: cannot be replaced: {error.strerror}", "check permissions") from None
    return text


def _create(path: Path, text: str) -> None:
    """Never over another file, and never readable for others, not even for a moment."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        _flush(path.parent)
    except OSError as error:
        raise ChannelError(f"{path}: cannot be written: {error.strerror}", "make its folder, mode 0700") from None


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
