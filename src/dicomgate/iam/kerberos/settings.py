"""What the configuration says about one Kerberos service, with paths made absolute."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KerberosSettings:
    """One `[[verifier]]` of kind kerberos.

    `principal` is whom tickets must be for, with its realm; `realms` are those whose users are believed. `roles` are
    what every verified user gets; `groups_from` names the directory that knows more about them.
    """

    name: str
    keytab: Path
    principal: str
    realms: frozenset[str]
    replay_cache: Path
    strip_realm: bool = False
    roles: frozenset[str] = frozenset()
    groups_from: str | None = None
