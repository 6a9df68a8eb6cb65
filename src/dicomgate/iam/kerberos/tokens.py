"""What may stand in a user identity item of type 3: bytes in, a token for the Kerberos library out, or why not.

PS3.7 D.3.3.7.1 says "service ticket" and no more. A ticket alone proves nothing, for whoever sees it can send it too:
what counts is an AP-REQ, which holds the ticket and proof of its key, bare (RFC 4120 5.5.1) or in a GSS token
(RFC 4121 4.1). The reply comes back in the same dress.
"""

from dataclasses import dataclass, field

from dicomgate.iam import ber
from dicomgate.iam.ber import NotBerError
from dicomgate.wire.pdu import Malformed

KERBEROS = bytes.fromhex("06092a864886f712010202")
"""The mechanism 1.2.840.113554.1.2.2, with its tag and length."""
SPNEGO = bytes.fromhex("06062b0601050502")
AP_REQ_TOKEN, AP_REP_TOKEN = b"\x01\x00", b"\x02\x00"
_GSS, _AP_REQ, _AP_REP, _TICKET = 0x60, 0x6E, 0x6F, 0x61


@dataclass(frozen=True, slots=True)
class Presented:
    """A GSS token; `bare` when the client sent the AP-REQ without it."""

    token: bytes = field(repr=False)
    bare: bool


def presented(ticket: bytes) -> Presented | Malformed:
    """Judge the outer form only; the library does the rest."""
    first = ticket[0] if ticket else 0
    if first == _TICKET:
        return Malformed("expected an AP-REQ, came a ticket alone, which proves nothing")
    if first not in (_GSS, _AP_REQ):
        return Malformed(f"expected a GSS token or an AP-REQ, came bytes that begin with 0x{first:02x}")
    try:
        header = ber.header_of(ticket[:6])
    except NotBerError:
        header = None
    if header is None or sum(header) != len(ticket):
        return Malformed("expected one token of exactly the length that it says")
    contents = ticket[header[0] :]
    if first == _AP_REQ:
        return Presented(ber.encode(_GSS, KERBEROS, AP_REQ_TOKEN, ticket), bare=True)
    if contents.startswith(SPNEGO):
        return Malformed("expected a token of Kerberos, came one that negotiates (SPNEGO)")
    if not contents.startswith(KERBEROS + AP_REQ_TOKEN):
        return Malformed("expected the first token of a Kerberos client, came another GSS token")
    return Presented(ticket, bare=False)


def reply(token: bytes, asked: Presented) -> bytes:
    """The server response: as a GSS token, or the AP-REP in it for who sent a bare AP-REQ."""
    if not asked.bare:
        return token
    header = ber.header_of(token[:6])
    inner = token[header[0] + len(KERBEROS) + len(AP_REP_TOKEN) :] if header is not None else b""
    if not inner or inner[0] != _AP_REP:
        raise ValueError("the Kerberos library made a reply that is no AP-REP")
    return inner
