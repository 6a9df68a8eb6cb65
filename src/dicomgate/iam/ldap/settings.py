"""What the configuration says about one directory, with paths made absolute. No default is weaker than the others."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicomgate.iam.ldap import filters
from dicomgate.iam.ldap.filters import Filter
from dicomgate.iam.secret import SecretSource

BY_UID = filters.parse("(uid={user})")
BY_MEMBER = filters.parse("(member={dn})")
CONNECTIONS = 4
CONNECT, OPERATION, TOTAL = 3.0, 4.0, 8.0
"""Seconds."""


class Groups(StrEnum):
    """How the groups of a user are found."""

    NONE = "none"
    MEMBER_OF = "memberof"
    """The attribute memberOf of the user's entry."""
    SEARCH = "search"
    """A search for groups whose entry names the user."""
    MATCHING_RULE = "matching-rule"
    """A search with Active Directory's rule 1.2.840.113556.1.4.1941, which follows groups within groups itself."""


@dataclass(frozen=True, slots=True)
class Server:
    """`ldaps://HOST:PORT` (`tls_at_once`), or `ldap://HOST:PORT`, where TLS begins with StartTLS."""

    host: str
    port: int
    tls_at_once: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.tls_at_once else 'ldap'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who searches. Its passcode is read anew for each connection, so that it can be changed while the gate runs."""

    dn: str
    passcode: SecretSource


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """One `[[verifier]]` of kind ldap. Times are seconds.

    `ca` None: no TLS, which the file has to call unsafe. `service` None: searches are anonymous. `total_timeout`
    bounds a whole verification, the others one step of it.
    """

    name: str
    servers: tuple[Server, ...]
    ca: Path | None
    user_base: str
    service: ServiceAccount | None = None
    user_filter: Filter = BY_UID
    name_attribute: str = "uid"
    groups: Groups = Groups.MEMBER_OF
    group_base: str = ""
    group_filter: Filter = BY_MEMBER
    nested_groups: bool = False
    connections: int = CONNECTIONS
    connect_timeout: float = CONNECT
    operation_timeout: float = OPERATION
    total_timeout: float = TOTAL
