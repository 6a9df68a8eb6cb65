"""What a verifier of assertions is told. config/ makes it from the file."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SamlSettings:
    """One `[[verifier]]` with kind = "saml": either metadata, or an issuer and certificates.

    `recipients` is what an assertion may be addressed to; `reuse` lets one be presented until it ends. Seconds.
    """

    name: str
    audience: str
    recipients: frozenset[str]
    metadata: Path | None = None
    issuer: str | None = None
    certificates: tuple[Path, ...] = ()
    user_attribute: str | None = None
    groups_attribute: str = "groups"
    reuse: bool = False
    leeway: float = 30.0
