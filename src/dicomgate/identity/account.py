"""A local user as the store keeps it, and what the local verifier may ask of the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Unavailable


@dataclass(frozen=True, slots=True)
class Account:
    """`name` is folded (names.account_name). Times are seconds since 1970 UTC.

    `passcode` is the argon2id hash in its encoded form (`$argon2id$v=19$m=…`). `totp_secret` is Base32 (RFC 4648),
    None without one-time codes; `totp_step` is the newest time step whose code was used (RFC 6238 4.2).
    """

    name: str
    passcode: str = field(repr=False)
    roles: tuple[str, ...]
    created: float
    changed: float
    disabled: bool = False
    expires: float | None = None
    totp_secret: str | None = field(default=None, repr=False)
    totp_step: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Who is a local user at a moment: the enabled ones by name, with their roles.

    `verifiers` are the names of those that vouch for local users; `granted` are roles that come from elsewhere.
    """

    roles: Mapping[str, frozenset[str]]
    verifiers: frozenset[str]
    granted: frozenset[str] = frozenset()

    def fallen(self, principal: Principal) -> str | None:
        """Why this user may not go on with what a login has begun; None when nothing speaks against it."""
        if principal.verifier not in self.verifiers:
            return None
        held = self.roles.get(principal.name)
        if held is None:
            return f"{principal.name} was disabled or removed"
        lost = principal.roles - held - self.granted
        return f"{principal.name} lost the role {min(lost)}" if lost else None


class Accounts(Protocol):
    """Read anew for every claim, so that a change counts at once. Called on worker threads."""

    def nearest(self, name: str) -> Account | Unavailable | None:
        """The account of this name; else the next one in the order of names, or the first; None: there are none.

        A name that does not exist is looked up like one that does, and brings a hash to take the parameters of.
        """
        ...

    def enabled(self) -> Mapping[str, frozenset[str]] | Unavailable:
        """The names of the users that are not disabled, each with its roles."""
        ...

    def rehash(self, account: Account, passcode: str) -> Unavailable | None:
        """Replace the hash, unless somebody has changed it since `account` was read."""
        ...

    def use_step(self, name: str, step: int) -> bool | Unavailable:
        """Take this time step for used; False when it, or a later one, was used before. Durable when it returns."""
        ...
