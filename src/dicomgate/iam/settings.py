"""The numbers and choices of user identity, made by config/; why these numbers: docs/design/defaults.md."""

from dataclasses import dataclass, field

from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.iam.ldap.settings import LdapSettings
from dicomgate.iam.oidc.settings import OidcSettings
from dicomgate.iam.saml.settings import SamlSettings


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """`deadline` in seconds, from the claim to the answer of the verifiers: the session's own (`limits.identity`)."""

    workers: int = 8
    """Claims that one verifier is asked at a time. A local verifier takes one for each processor but one."""
    queue: int = 500
    """Claims that wait or are asked, all verifiers together."""
    deadline: float = 10.0


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Failures before a lockout, and times in seconds. See guard.py for what each counts."""

    attempts: int = 10
    attempts_per_address: int = 100
    attempts_per_user: int = 100
    window: float = 900.0
    lockout: float = 900.0
    delay: float = 0.5
    longest_delay: float = 4.0
    familiar: float = 2_592_000.0


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """`memory` in KiB and `passes`: the cost of argon2id (RFC 9106 3.1: m and t; p is 1)."""

    name: str
    memory: int = 19 * 1024
    passes: int = 2


VerifierSettings = LocalSettings | LdapSettings | OidcSettings | KerberosSettings | SamlSettings


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """`verifiers` in the order of the file. `emergency_roles`: names of roles that only emergency access gives."""

    desk: DeskLimits = field(default_factory=DeskLimits)
    guard: GuardLimits = field(default_factory=GuardLimits)
    verifiers: tuple[VerifierSettings, ...] = ()
    emergency_roles: frozenset[str] = frozenset()

    @property
    def local(self) -> LocalSettings | None:
        """That of the gate's own users, if there is one."""
        return next((each for each in self.verifiers if isinstance(each, LocalSettings)), None)
