"""What a client presents, as the gate hands it to a verifier."""

from __future__ import annotations

from ipaddress import ip_address

from dicomgate.facts import Origin
from dicomgate.identity.claims import Claims, JsonWebToken, KerberosTicket, Passcode
from dicomgate.wire.codes import IdentityType

ORIGIN = Origin("inside", ip_address("192.0.2.7"), 50_000)


def passcode(name: str, secret: bytes | str) -> Claims:
    given = Passcode(name, secret.encode() if isinstance(secret, str) else secret)
    return Claims(given, IdentityType.USERNAME_AND_PASSCODE, ORIGIN, "WS1", "ARCHIVE")


def ticket(token: bytes) -> Claims:
    return Claims(KerberosTicket(token), IdentityType.KERBEROS, ORIGIN, "WS1", "ARCHIVE")


def web_token() -> Claims:
    return Claims(JsonWebToken("a.b.c"), IdentityType.JWT, ORIGIN, "WS1", "ARCHIVE")
