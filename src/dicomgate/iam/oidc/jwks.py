"""A provider's public keys (RFC 7517): what it publishes, or a file, in; the keys that may have signed a token out.

Fetched keys are kept and fetched again now and then, and when a token names a key that is not among them, but never
more often than every `RETRY` seconds: tokens are made by strangers, and must not make the gate a hammer.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, RSAKey

from dicomgate.iam.oidc.strict_json import WrongJsonError, base64url, json_object
from dicomgate.iam.oidc.urls import is_safe_url
from dicomgate.iam.oidc.web import LARGEST_ANSWER, Web, WebError
from dicomgate.iam.watched_files import FilesError, WatchedFiles

FRESH = 900.0
"""Seconds for which fetched keys are used without asking again."""
RETRY = 20.0
"""Seconds between two requests that tokens or failures cause."""
MOST_KEYS = 100
SMALLEST_RSA = 2048
"""Bits."""

PublicKey = RSAKey | ECKey


class KeysError(Exception):
    """No key can be had now; says why."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Keys that verify signatures, in the order of their publication."""

    keys: tuple[PublicKey, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "PublicKeys":
        """From a JWK set; WrongJsonError without `keys`. What is no public key for signatures, or weak, is left out."""
        listed = document.get("keys")
        if not isinstance(listed, list):
            raise WrongJsonError('expected a JSON object with an array "keys"')
        return cls(tuple(_usable(listed[:MOST_KEYS])))

    def candidates(self, kid: str | None, algorithm: str) -> tuple[PublicKey, ...]:
        """Those that may have made a signature. Without a key ID it must be clear which key is meant."""
        fitting = [key for key in self.keys if _fits(key, algorithm)]
        if kid is None:
            return tuple(fitting) if len(fitting) == 1 else ()
        return tuple(key for key in fitting if key.kid == kid)


def _usable(listed: list[object]) -> Iterable[PublicKey]:
    for each in listed:
        # A shared secret ("oct") would let everybody who can read the set sign tokens.
        if not isinstance(each, dict) or each.get("kty") not in ("RSA", "EC"):
            continue
        # Nor is a key any use whose private half is published with it.
        if each.get("use", "sig") != "sig" or "d" in each or not isinstance(each.get("kid", ""), str):
            continue
        operations = each.get("key_ops", ["verify"])
        if not isinstance(operations, list) or "verify" not in operations:
            continue
        try:
            if each["kty"] == "RSA" and len(base64url(str(each.get("n")).encode())) * 8 < SMALLEST_RSA:
                continue
            key = JWKRegistry.import_key(each)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            continue  # RFC 7517 5: a set may hold keys that a reader does not understand
        if isinstance(key, RSAKey | ECKey):
            yield key


_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def _fits(key: PublicKey, algorithm: str) -> bool:
    if key.alg is not None and key.alg != algorithm:
        return False
    if isinstance(key, ECKey):
        return _CURVES.get(algorithm) == key.curve_name
    return algorithm[:2] in ("RS", "PS")


class Keys(Protocol):
    """Where a verifier takes the provider's keys from."""

    def candidates(self, kid: str | None, algorithm: str, deadline: float) -> tuple[PublicKey, ...]:
        """Keys that may have made a signature, none if no such key is known; KeysError."""
        ...


class FileKeys:
    """A JWK set in a file, for a site without a provider."""

    def __init__(self, path: Path) -> None:
        self._file = WatchedFiles((path,), lambda: read_keys(path))

    def candidates(self, kid: str | None, algorithm: str, deadline: float) -> tuple[PublicKey, ...]:
        try:
            return self._file.current().candidates(kid, algorithm)
        except FilesError as error:
            raise KeysError(str(error)) from None


def read_keys(path: Path) -> PublicKeys:
    """A JWK set from a file. OSError, or WrongJsonError when no usable key is in it."""
    with path.open("rb") as file:
        content = file.read(LARGEST_ANSWER + 1)
    if len(content) > LARGEST_ANSWER:
        raise WrongJsonError(f"expected at most {LARGEST_ANSWER} bytes")
    keys = PublicKeys.of(json_object(content))
    if not keys.keys:
        raise WrongJsonError("expected a public key (RSA of at least 2048 bits, or EC) for signatures")
    return keys


class Provider:
    """What an issuer says of itself (OpenID Connect Discovery 1.0 4) and its keys: fetched when needed, and kept."""

    def __init__(self, web: Web, issuer: str, stale: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`stale`: seconds for which keys are still used after they were fetched, if the provider is down."""
        self._web = web
        self._issuer = issuer
        self._stale = stale
        self._clock = clock
        self._lock = threading.Lock()
        self._document: Mapping[str, Any] = {}
        self._keys: PublicKeys | None = None
        self._fetched = self._tried = float("-inf")
        self._trouble = ""

    def candidates(self, kid: str | None, algorithm: str, deadline: float) -> tuple[PublicKey, ...]:
        """`deadline` is of time.monotonic()."""
        known = self._known(kid, algorithm)
        if known and self._clock() < self._fetched + FRESH:
            return known
        # Who knows the key goes on with it while another thread fetches; who does not waits for what it brings.
        self._refresh(deadline, wait=not known)
        known = self._known(kid, algorithm)
        if self._clock() > self._fetched + self._stale or (self._trouble and not known):
            raise KeysError(self._trouble or f"no keys of {self._issuer} yet")
        return known

    def endpoint(self, name: str, deadline: float) -> str:
        """The URL that discovery names, for instance `token_endpoint`; WebError."""
        if not self._document:
            self._refresh(deadline, wait=True)
        if not self._document:
            raise WebError(self._trouble or f"no answer of {self._issuer} yet")
        return self._url(name)

    def _known(self, kid: str | None, algorithm: str) -> tuple[PublicKey, ...]:
        keys = self._keys
        return () if keys is None else keys.candidates(kid, algorithm)

    def _refresh(self, deadline: float, *, wait: bool) -> None:
        if not self._lock.acquire(blocking=wait, timeout=max(deadline - time.monotonic(), 0) if wait else -1):
            return
        try:
            # Again: another thread may have done it while this one waited.
            if self._clock() < self._tried + RETRY:
                return
            self._tried = self._clock()
            self._fetch(deadline)
            self._trouble = ""
        except WebError as error:
            self._trouble = str(error)
        finally:
            self._lock.release()

    def _fetch(self, deadline: float) -> None:
        if not self._document or self._clock() >= self._fetched + FRESH:
            url = self._issuer.rstrip("/") + "/.well-known/openid-configuration"
            document = self._ask(url, deadline)
            if document.get("issuer") != self._issuer:
                # Discovery 1.0 4.3: or one provider could speak for another
                raise WebError(f"expected the issuer {self._issuer}, came another one from {url}")
            self._document = document
        url = self._url("jwks_uri")
        try:
            self._keys = PublicKeys.of(self._ask(url, deadline))
        except WrongJsonError as error:
            raise WebError(f"{url}: {error}") from None
        self._fetched = self._clock()

    def _ask(self, url: str, deadline: float) -> Mapping[str, Any]:
        answer = self._web.get(url, deadline)
        if answer.status != HTTPStatus.OK:
            raise WebError(f"expected status 200, came {answer.status} from {url}")
        return answer.body

    def _url(self, name: str) -> str:
        url = self._document.get(name)
        if not isinstance(url, str) or not is_safe_url(url):
            raise WebError(f"{self._issuer} names no {name} with an https URL")
        return url
