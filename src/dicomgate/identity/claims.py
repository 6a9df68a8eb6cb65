"""What a user presents in a user identity item, typed once. Nothing here is believed yet.

Passcodes, tickets, assertions and tokens stay out of repr, so that neither a log nor a traceback shows them.
"""

from dataclasses import dataclass, field

from dicomgate.facts import Origin
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.pdu import Malformed, UserIdentity
from dicomgate.wire.text import is_plain_text

LONGEST_NAME = 256
"""Characters of a user name. Directories take at most a fraction of this."""


@dataclass(frozen=True, slots=True)
class Username:
    """Type 1: a name and no proof at all."""

    name: str


@dataclass(frozen=True, slots=True)
class Passcode:
    """Type 2. The standard names no character set for the passcode, so it stays bytes (PS3.7 D.3.3.7.1)."""

    name: str
    passcode: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KerberosTicket:
    """Type 3: a GSS token, or a bare AP-REQ (RFC 4120)."""

    ticket: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SamlAssertion:
    """Type 4: an assertion in XML."""

    assertion: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JsonWebToken:
    """Type 5: the compact form (RFC 7519), in ASCII."""

    token: str = field(repr=False)


Credential = Username | Passcode | KerberosTicket | SamlAssertion | JsonWebToken


@dataclass(frozen=True, slots=True)
class Claims:
    """A credential, and the circumstances that a verifier may tie it to."""

    credential: Credential
    identity_type: IdentityType
    origin: Origin
    calling_ae_title: str
    called_ae_title: str


def credential_of(identity: UserIdentity) -> Credential | Malformed:
    """The item's fields as one typed credential; what cannot be one is refused before any verifier sees it."""
    primary, secondary = identity.primary_field, identity.secondary_field
    match identity.identity_type:
        case IdentityType.USERNAME:
            name = _name(primary)
            return name if isinstance(name, Malformed) else Username(name)
        case IdentityType.USERNAME_AND_PASSCODE:
            name = _name(primary)
            if isinstance(name, Malformed):
                return name
            # A directory takes an empty passcode for an anonymous bind, and calls that a success (RFC 4513 5.1.2).
            return Passcode(name, secondary) if secondary else Malformed("an empty passcode")
        case IdentityType.KERBEROS:
            return KerberosTicket(primary) if primary else Malformed("an empty Kerberos ticket")
        case IdentityType.SAML:
            return SamlAssertion(primary) if primary else Malformed("an empty SAML assertion")
        case IdentityType.JWT:
            if not primary.isascii() or not primary:
                return Malformed("a token that is empty or not ASCII")
            return JsonWebToken(primary.decode("ascii"))


def _name(raw: bytes) -> str | Malformed:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Malformed("a user name that is not UTF-8")
    # Some clients pad it to even length, as PS3.5 has it for other text.
    name = name.rstrip(" \0")
    if not name or len(name) > LONGEST_NAME or not is_plain_text(name):
        return Malformed(f"expected a user name of 1 to {LONGEST_NAME} printable characters")
    return name
