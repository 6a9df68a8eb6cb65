"""Tokens of the gate's own, by which an archive learns who the user is. A user and an archive in; a signed token out.

An archive with `identity = "mint"` never sees what the user proved it with: it gets a token that is good at this
archive only, and for less than a minute. The key that verifies it is published as a JWK set (RFC 7517).
"""

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc import jwt
from joserfc.jwk import ECKey

LIFE = 60.0
"""Seconds. It is used at once, for one association; what leaks later is worth nothing."""
_ALGORITHM = "ES256"


class MintError(Exception):
    """The signing key cannot be used or made; says where and why."""


class Mint:
    """`gate` is the name of the gate, and the issuer of its tokens. Threads may share it."""

    def __init__(self, gate: str, key: ec.EllipticCurvePrivateKey) -> None:
        self._gate = gate
        self._key = ECKey.import_key(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), {"use": "sig", "alg": _ALGORITHM}
        )
        self._key.ensure_kid()  # its thumbprint (RFC 7638): the same after a restart

    def token(self, user: str, roles: Iterable[str], archive: str, now: float, expires: float | None = None) -> str:
        """Who the user is, for this archive (RFC 7519). `now` and `expires`, the end of the user's own proof, are
        seconds since 1970: the token ends with the proof, if that is sooner."""
        ends = now + LIFE if expires is None else min(now + LIFE, expires)
        claims = {
            "iss": self._gate,
            "sub": user,
            "aud": archive,
            "roles": sorted(roles),
            "iat": int(now),
            "nbf": int(now),
            "exp": int(ends),
            "jti": secrets.token_urlsafe(16),
        }
        return jwt.encode({"alg": _ALGORITHM, "typ": "JWT", "kid": self._key.kid}, claims, self._key)

    def key_set(self) -> dict[str, Any]:
        """What archives verify the tokens with; public."""
        return {"keys": [dict(self._key.as_dict(private=False))]}


def signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in a file that belongs to its owner alone; made when there is none. MintError."""
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    try:
        _make(path)
        return _read(path)
    except OSError as error:
        raise MintError(f"{path} cannot be made: {(error.strerror or 'no reason given').lower()}") from None


def _read(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(65536)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MintError(f"{path} cannot be read: {(error.strerror or 'no reason given').lower()}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MintError(f"others may read {path}: remove it, and the gate makes another key")
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MintError(f"expected a private key (PEM) without a passphrase in {path}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MintError(f"expected a key on the curve P-256 in {path}")
    return key


def _make(path: Path) -> None:
    """Whole or not at all, and only once: of two gates that start together both take the key of the first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another gate was faster
            os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
