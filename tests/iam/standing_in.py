"""Accounts and grants in a dictionary, for tests that need no store."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dicomgate.iam.local import hasher
from dicomgate.iam.settings import LocalSettings
from dicomgate.identity.account import Account
from dicomgate.identity.claims import Claims
from dicomgate.identity.emergency import Grant
from dicomgate.identity.verifier import Unavailable

CHEAP = LocalSettings("staff", memory=64, passes=1)
"""For tests that are not about the cost."""


def account(name: str, passcode: str = "open sesame", settings: LocalSettings = CHEAP, **fields: object) -> Account:
    made = Account(name, hasher(settings).hash(passcode.encode()), ("radiologist",), 1000.0, 1000.0)
    return replace(made, **fields)  # type: ignore[arg-type]


@dataclass
class Ledger:
    """An Accounts; `down` makes it unavailable."""

    accounts: dict[str, Account] = field(default_factory=dict)
    down: bool = False
    asked: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, *accounts: Account) -> "Ledger":
        return cls({each.name: each for each in accounts})

    def nearest(self, name: str) -> Account | Unavailable | None:
        self.asked.append(name)
        if self.down:
            return Unavailable("gate.db: database is locked")
        following = [each for each in sorted(self.accounts) if each >= name] + sorted(self.accounts)
        return self.accounts[following[0]] if following else None

    def enabled(self) -> Mapping[str, frozenset[str]] | Unavailable:
        if self.down:
            return Unavailable("gate.db: database is locked")
        return {each.name: frozenset(each.roles) for each in self.accounts.values() if not each.disabled}

    def rehash(self, account: Account, passcode: str) -> Unavailable | None:
        if self.down:
            return Unavailable("gate.db: database is locked")
        self.accounts[account.name] = replace(account, passcode=passcode)
        return None

    def use_step(self, name: str, step: int) -> bool | Unavailable:
        if self.down:
            return Unavailable("gate.db: database is locked")
        used = self.accounts[name].totp_step
        if used is not None and used >= step:
            return False
        self.accounts[name] = replace(self.accounts[name], totp_step=step)
        return True


@dataclass
class Safe:
    """A Grants; `down` makes it unavailable."""

    grants: list[Grant] = field(default_factory=list)
    down: bool = False
    used: list[tuple[tuple[Grant, ...], Claims]] = field(default_factory=list)

    def in_force(self, now: float, user: str | None = None) -> tuple[Grant, ...] | Unavailable:
        if self.down:
            return Unavailable("gate.db: disk I/O error")
        return tuple(
            each
            for each in self.grants
            if each.ended is None and each.granted <= now < each.ends and user in (None, each.user)
        )

    def record_use(self, grants: tuple[Grant, ...], claims: Claims, now: float) -> Unavailable | None:
        if self.down:
            return Unavailable("gate.db: disk I/O error")
        self.used.append((grants, claims))
        return None

    def end_due(self, now: float) -> tuple[Grant, ...] | Unavailable:
        if self.down:
            return Unavailable("gate.db: disk I/O error")
        due = tuple(each for each in self.grants if each.ended is None and each.ends <= now)
        self.grants = [replace(each, ended=each.ends) if each in due else each for each in self.grants]
        return due
