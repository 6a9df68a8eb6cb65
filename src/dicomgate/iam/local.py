"""Users of the gate itself: a name and a passcode in, checked against an argon2id hash.

A name that does not exist costs what one costs that does: the same question to the store, and the same work for a hash
that nothing fits. Its parameters are those of the next account in the order of names, so that accounts whose hashes
are of an older cost do not stand out either.
"""

import os
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from argon2.low_level import Type

from dicomgate.iam import one_time_code
from dicomgate.iam.settings import LocalSettings
from dicomgate.identity.account import Account, Accounts
from dicomgate.identity.claims import Claims, Passcode
from dicomgate.identity.names import folded
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType

_SALT, _HASH = 16, 32
"""Bytes (RFC 9106 3.1 and 4)."""


def hasher(settings: LocalSettings) -> PasswordHasher:
    """One lane: its work is then on the thread that asks, and the number of threads bounds it."""
    return PasswordHasher(
        time_cost=settings.passes,
        memory_cost=settings.memory,
        parallelism=1,
        hash_len=_HASH,
        salt_len=_SALT,
        type=Type.ID,
    )


def at_once() -> int:
    """How many passcodes may be checked at a time: a processor is left to the event loop, where there are two."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class LocalVerifier:
    """The Verifier of `kind = "local"`."""

    identity_types = frozenset({IdentityType.USERNAME_AND_PASSCODE})

    def __init__(self, settings: LocalSettings, accounts: Accounts) -> None:
        self.name = settings.name
        self._accounts = accounts
        self._hasher = hasher(settings)
        self._fresh = f"$argon2id$v=19$m={settings.memory},t={settings.passes},p=1$"

    def verify(self, claims: Claims, now: float) -> Verification:
        match claims.credential:
            case Passcode(name, passcode):
                return self._check(name, passcode, now)
            case _:
                return Refuted(Cause.NOT_MINE, "a local user has a passcode")

    def close(self) -> None:
        """Holds nothing."""

    def _check(self, claimed: str, passcode: bytes, now: float) -> Verification:
        found = self._accounts.nearest(folded(claimed))
        if isinstance(found, Unavailable):
            return found
        account = found if found is not None and found.name == folded(claimed) else None
        encoded = account.passcode if account else self._decoy(found)
        step: int | None = None
        if account is not None and account.totp_secret is not None:
            passcode, code = passcode[: -one_time_code.DIGITS], passcode[-one_time_code.DIGITS :]
            step = one_time_code.step_of(account.totp_secret, code, now)
        try:
            self._hasher.verify(encoded, passcode)
            right = True
        except VerifyMismatchError:
            right = False
        except (Argon2Error, InvalidHashError) as problem:
            # No memory, or a row that was tampered with.
            return Unavailable(f"the passcode could not be checked: {type(problem).__name__}")
        if account is None:
            return Refuted(Cause.UNKNOWN_USER, "no local user has this name", claimed)
        if not right:
            return Refuted(Cause.WRONG_CREDENTIAL, "wrong passcode", claimed)
        if account.totp_secret is not None and step is None:
            return Refuted(Cause.WRONG_CREDENTIAL, "wrong one-time code, or none after the passcode", claimed)
        if (barred := _barred(account, claimed, now)) is not None:
            return barred
        if step is not None:
            fresh = self._accounts.use_step(account.name, step)
            if isinstance(fresh, Unavailable):
                return fresh
            if not fresh:
                return Refuted(Cause.REPLAYED, "this one-time code, or a later one, was used already", claimed)
        if self._hasher.check_needs_rehash(account.passcode):
            problem_there = self._accounts.rehash(account, self._hasher.hash(passcode))
            if problem_there is not None:
                return problem_there
        principal = Principal(
            name=account.name,
            verifier=self.name,
            identity_type=IdentityType.USERNAME_AND_PASSCODE,
            roles=frozenset(account.roles),
            expires=account.expires,
        )
        return Verified(principal)

    def _decoy(self, model: Account | None) -> str:
        """A hash of nothing, of the cost of the model's."""
        parameters = model.passcode.rpartition("$")[0].rpartition("$")[0] + "$" if model else self._fresh
        return f"{parameters}{_base64(os.urandom(_SALT))}${_base64(os.urandom(_HASH))}"


def _barred(account: Account, claimed: str, now: float) -> Refuted | None:
    """Said only to who has shown the passcode, and only in the record."""
    if account.disabled:
        return Refuted(Cause.DISABLED, "the user is disabled", claimed)
    if account.expires is not None and account.expires <= now:
        return Refuted(Cause.EXPIRED, "the user's time is over", claimed)
    return None


def _base64(data: bytes) -> str:
    return b64encode(data).rstrip(b"=").decode()
