"""The contract between the gate, which asks, and whoever can vouch for a user. Adapters stand in iam/."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from dicomgate.identity.claims import Claims
from dicomgate.identity.principal import Principal
from dicomgate.wire.codes import IdentityType


class Cause(StrEnum):
    """Why a claim was not believed. For records only: the other side always sees the same refusal."""

    NOT_MINE = "not_mine"
    """Meant for another verifier: another issuer, realm, or a kind of claim it does not take."""
    UNKNOWN_USER = "unknown_user"
    WRONG_CREDENTIAL = "wrong_credential"
    EXPIRED = "expired"
    DISABLED = "disabled"
    REPLAYED = "replayed"
    MALFORMED = "malformed"
    LOCKED_OUT = "locked_out"
    """Too many failures; the claim was not even looked at."""


@dataclass(frozen=True, slots=True)
class Verified:
    """`server_response` is for the 59H item, where the type has one (PS3.7 D.3.3.7.2): Kerberos and SAML."""

    principal: Principal
    server_response: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Refuted:
    """Not believed. `reason` is a sentence for the administrator, without any secret.

    `user` is the name that was claimed, where one could be read.
    """

    cause: Cause
    reason: str
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody could be asked: the refusal is transient, and no failure is counted against the user."""

    reason: str


Verification = Verified | Refuted | Unavailable


class Verifier(Protocol):
    """One `[[verifier]]`. Called on a worker thread, so it may block; several threads may call it at once."""

    name: str
    identity_types: frozenset[IdentityType]

    def verify(self, claims: Claims, now: float) -> Verification:
        """Is it so? `now` is seconds since 1970. Every failure is a value; an exception is a bug.

        NOT_MINE and UNKNOWN_USER let the next verifier be asked; any other answer is final.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class IdentityDesk(Protocol):
    """Where the gate takes claims; never blocks its caller."""

    def submit(self, claims: Claims, verifiers: tuple[str, ...] | None, done: Callable[[Verification], None]) -> None:
        """Ask these verifiers (None: all) in the order of the file; `done` is called once, on the event loop.

        When too many wait already, `done` is called with Unavailable.
        """
        ...
