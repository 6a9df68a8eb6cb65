"""Emergency access ("break-glass"): a role for a person, for a reason, for a time."""

from dataclasses import dataclass
from typing import Protocol

from dicomgate.identity.claims import Claims
from dicomgate.identity.verifier import Unavailable

LONGEST_REASON = 200
"""Characters."""
LONGEST_GRANT = 86400.0
"""Seconds. An emergency that lasts longer is a change of roles, and should be granted anew or be made one."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`user` is folded (names.folded). `operator` is who granted it. Times are seconds since 1970 UTC.

    In force from `granted` until `ends`; `ended` is when that was recorded, or when it was revoked before.
    """

    id: str
    user: str
    role: str
    reason: str
    operator: str
    granted: float
    ends: float
    ended: float | None = None


class Grants(Protocol):
    """Where grants are kept. Each beginning, use and end is recorded together with it, or does not happen."""

    def in_force(self, now: float, user: str | None = None) -> tuple[Grant, ...] | Unavailable:
        """The grants of this folded name (None: of everybody) that are neither over nor revoked."""
        ...

    def record_use(self, grants: tuple[Grant, ...], claims: Claims, now: float) -> Unavailable | None:
        """Record that these are used by who makes these claims. Durable when it returns."""
        ...

    def end_due(self, now: float) -> tuple[Grant, ...] | Unavailable:
        """Record the end of every grant whose time is over; these, and each only once."""
        ...
