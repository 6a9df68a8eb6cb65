"""What a verifier of tokens, and the gate's own sign-in, are told. config/ makes it from the file."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicomgate.iam.secret import SecretSource


class Algorithm(StrEnum):
    """Signatures of private keys (RFC 7518 3.1). With a shared secret, who checks a token could also make it."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say. `clients` None: tokens that any client of the issuer asked for; times in seconds."""

    issuer: str
    audiences: frozenset[str]
    clients: frozenset[str] | None = None
    algorithms: tuple[Algorithm, ...] = (Algorithm.RS256, Algorithm.PS256, Algorithm.ES256)
    types: frozenset[str] = frozenset({"at+jwt", "jwt"})
    leeway: float = 30.0
    certificate_bound: bool = False


class Introspection(StrEnum):
    """Which tokens the provider is asked about (RFC 7662)."""

    NEVER = "never"
    OPAQUE = "opaque"
    """Those that are no JSON Web Tokens."""
    ALWAYS = "always"
    """Every token: one that was withdrawn is refused before it ends."""


@dataclass(frozen=True, slots=True)
class Client:
    """The gate itself, as the provider knows it."""

    client_id: str
    secret: SecretSource | None = None


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """One `[[verifier]]` with kind = "oidc". Paths of claims are names from the outside in; times are seconds."""

    name: str
    rules: TokenRules
    ca: Path | None = None
    jwks: Path | None = None
    user_claim: tuple[str, ...] = ("sub",)
    groups_claim: tuple[str, ...] = ("groups",)
    client: Client | None = None
    introspection: Introspection = Introspection.NEVER
    password_grant: bool = False
    scope: str = "openid"
    timeout: float = 5.0
    stale_keys: float = 7200.0


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """The `[login]` table: who signs this gate in, and where its tokens are kept if there is no keyring."""

    issuer: str
    client_id: str
    tokens: Path
    scope: str = "openid offline_access"
    resource: str | None = None
    ca: Path | None = None
