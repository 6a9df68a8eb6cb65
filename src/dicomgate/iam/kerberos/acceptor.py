"""The Kerberos library: a token in; who sent it, until when, and the reply out, or why it was refused.

The only module that needs the package gssapi. Errors are told by their numbers: the library's own words repeat names
that stand unprotected in a ticket.
"""

from dataclasses import dataclass, field

from gssapi.raw import accept_sec_context, acquire_cred_from, display_name, import_name
from gssapi.raw.misc import GSSError
from gssapi.raw.types import MechType, NameType, RequirementFlag

from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.identity.verifier import Cause, Refuted, Unavailable

_FIRST = -1765328384
"""The number 0 of Kerberos' own errors in the library's numbering (RFC 4120 7.5.9 has the list)."""
_REFUSALS = {
    31: (Cause.WRONG_CREDENTIAL, "the ticket cannot be decrypted with the key in the keytab"),
    32: (Cause.EXPIRED, "the ticket has expired"),
    33: (Cause.EXPIRED, "the ticket is not valid yet"),
    34: (Cause.REPLAYED, "the same token was presented before"),
    35: (Cause.NOT_MINE, "the ticket is for another service"),
    36: (Cause.WRONG_CREDENTIAL, "the ticket and the proof of its key name different clients"),
    37: (Cause.EXPIRED, "the clocks of client and gate differ by more than the allowed skew"),
    38: (Cause.WRONG_CREDENTIAL, "the ticket was issued for another address"),
    39: (Cause.MALFORMED, "another version of the protocol"),
    40: (Cause.MALFORMED, "another message than an AP-REQ"),
    41: (Cause.WRONG_CREDENTIAL, "the token was changed on its way"),
    44: (Cause.WRONG_CREDENTIAL, "the keytab has no key of the ticket's version"),
    45: (Cause.WRONG_CREDENTIAL, "the keytab has no key for the ticket"),
    50: (Cause.MALFORMED, "the proof of the key has no checksum of the expected kind"),
    60: (Cause.MALFORMED, "the library cannot read the token"),
    144: (Cause.NOT_MINE, "the ticket is for another service"),
    145: (Cause.WRONG_CREDENTIAL, "the ticket is not valid"),
    181: (Cause.NOT_MINE, "the keytab has no key for the service of the ticket"),
    188: (Cause.WRONG_CREDENTIAL, "the ticket is encrypted in a way that the library does not take"),
    230: (Cause.WRONG_CREDENTIAL, "the keytab has no key of the ticket's version"),
}
_OURS = (
    range(1, 200),
    range(_FIRST + 159, _FIRST + 173),
    range(_FIRST + 179, _FIRST + 185),
    (_FIRST + 211, _FIRST + 215),
)
"""Numbers that say nothing of the token: those of the operating system, of the replay cache and of the keytab."""
_NO_CREDENTIALS = 7 << 16


@dataclass(frozen=True, slots=True)
class Accepted:
    """`lifetime` in seconds, with the allowed skew; `reply` is empty unless the client asked for it."""

    client: str
    lifetime: float
    reply: bytes = field(repr=False)


def accept(token: bytes, settings: KerberosSettings) -> Accepted | Refuted | Unavailable:
    """Judge one GSS token; remembers it in the replay cache."""
    try:
        service = import_name(settings.principal.encode(), NameType.kerberos_principal)
        store = {b"keytab": b"FILE:" + bytes(settings.keytab), b"rcache": b"file2:" + bytes(settings.replay_cache)}
        # Only this service's tickets, whatever else stands in the keytab.
        credentials = acquire_cred_from(store, service, mechs=[MechType.kerberos], usage="accept").creds
    except GSSError as error:
        return Unavailable(f"no key of {settings.principal} in {settings.keytab} can be used ({_number(error)})")
    try:
        result = accept_sec_context(token, credentials)
    except GSSError as error:
        return _refusal(error)
    if result.more_steps:
        return Refuted(Cause.MALFORMED, "the client wants a third message, for which DICOM has no room")
    mutual = RequirementFlag.mutual_authentication in result.flags
    name = display_name(result.initiator_name, False).name.decode("utf-8", "replace")
    return Accepted(name, float(result.lifetime), (result.token or b"") if mutual else b"")


def _number(error: GSSError) -> str:
    return f"GSS {error.maj_code:#x}, Kerberos {_minor(error)}"


def _minor(error: GSSError) -> int:
    """As the library's headers have it: signed."""
    minor = int(error.min_code) & 0xFFFFFFFF
    return minor - 2**32 if minor >= 2**31 else minor


def _refusal(error: GSSError) -> Refuted | Unavailable:
    known = _REFUSALS.get(_minor(error) - _FIRST)
    if known is not None:
        return Refuted(*known)
    if error.routine_code == _NO_CREDENTIALS or any(_minor(error) in numbers for numbers in _OURS):
        return Unavailable(f"the keytab or the replay cache cannot be used ({_number(error)})")
    return Refuted(Cause.MALFORMED, f"the library cannot read the token ({_number(error)})")
