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
_LONGEST, _LONGEST_LINE = 1024 * 1024, 4096
"""Bytes of a file of certificates or keys, and of one that holds one line."""


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


def read_secret(path: Path, key: str) -> str:
    """The one line of a secret's file. `key` is where the configuration names it; ChannelError as of `read_private`."""
    text = read_private(path, key, longest=_LONGEST_LINE).decode("ascii", errors="replace").strip()
    if not text or not text.isprintable() or not text.isascii():
        raise ChannelError(f"{key}: {path}: expected one line with a secret, came something else", "make it anew")
    return text


def read_private(path: Path, key: str, *, longest: int = _LONGEST) -> bytes:
    """What stands in a secret's file; ChannelError when anybody but its owner can read, change or swap it."""
    about, data = _read(path, key, longest)
    if about.st_mode & 0o077:
        raise ChannelError(
            f"{key}: {path}: others can read or change this secret (mode {stat.S_IMODE(about.st_mode):04o})",
            f"chmod 600 {path.name}, and think of who may have read it",
        )
    _check_owners(path, key, about)
    return data


def read_trusted(path: Path, key: str) -> bytes:
    """What stands in a file that everybody may know and nobody else may choose: certificates, authorities."""
    about, data = _read(path, key, _LONGEST)
    if about.st_mode & 0o022:
        raise ChannelError(
            f"{key}: {path}: others can change this file (mode {stat.S_IMODE(about.st_mode):04o})",
            f"chmod 644 {path.name}, and look whether it still holds what it should",
        )
    _check_owners(path, key, about)
    return data


def _read(path: Path, key: str, longest: int) -> tuple[os.stat_result, bytes]:
    try:
        # O_NONBLOCK: a named pipe in place of a file must not stop us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise ChannelError(f"{key}: {path}: expected a file, came something else", "is the path right?")
            data = file.read(longest + 1)
    except FileNotFoundError:
        raise ChannelError(f"{key}: {path}: there is no such file", "dicomgate channel keys makes secrets") from None
    except OSError as error:
        raise ChannelError(f"{key}: {path}: cannot be read: {error.strerror}", "check path and permissions") from None
    if len(data) > longest:
        raise ChannelError(f"{key}: {path}: expected at most {longest} bytes, came more", "is the path right?")
    return about, data


def _check_owners(path: Path, key: str, about: os.stat_result) -> None:
    """A link is followed where root or we have set it: whoever else owns it chooses what we read."""
    trusted = (0, os.geteuid())
    if about.st_uid not in trusted:
        raise ChannelError(
            f"{key}: {path}: belongs to another user (uid {about.st_uid})", "chown it to root, or to whom runs this"
        )
    owner = os.lstat(path).st_uid
    if owner not in trusted:
        raise ChannelError(
            f"{key}: {path}: is a link that another user has set (uid {owner})", "name the file itself, or set it anew"
        )


def ensure(path: Path, key: str, make: Callable[[], str]) -> tuple[str, bool]:
    """The secret of this file, made if there is none; whether it was made now."""
    if not os.path.lexists(path):
        _create(path, key, make())
        return read_secret(path, key), True
    return read_secret(path, key), False


def prepare(path: Path, key: str, make: Callable[[], str]) -> str:
    """The next secret, beside the present one; made once, and the same when asked again."""
    return ensure(path.with_name(path.name + NEXT), key, make)[0]


def activate(path: Path, key: str) -> str:
    """Put the prepared secret in the present one's place, at one stroke."""
    beside = path.with_name(path.name + NEXT)
    text = read_secret(beside, key)
    try:
        os.replace(beside, path)
        _flush(path.parent)
    except OSError as error:
        raise ChannelError(f"{key}: {path}: cannot be replaced: {error.strerror}", "check permissions") from None
    return text


def _create(path: Path, key: str, text: str) -> None:
    """Never over another file, and never readable for others, not even for a moment."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        _flush(path.parent)
    except OSError as error:
        raise ChannelError(
            f"{key}: {path}: cannot be written: {error.strerror}", "make its folder, mode 0700"
        ) from None


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
