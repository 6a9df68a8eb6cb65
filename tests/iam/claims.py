"""Claims as the gate hands them to a verifier."""

from ipaddress import ip_address

from dicomgate.facts import CertificateFacts, Origin, TlsFacts
from dicomgate.identity.claims import (
    Claims,
    Credential,
    JsonWebToken,
    KerberosTicket,
    Passcode,
    SamlAssertion,
    Username,
)
from dicomgate.wire.codes import IdentityType

TYPES = {
    Username: IdentityType.USERNAME,
    Passcode: IdentityType.USERNAME_AND_PASSCODE,
    KerberosTicket: IdentityType.KERBEROS,
    SamlAssertion: IdentityType.SAML,
    JsonWebToken: IdentityType.JWT,
}
ADDRESS = "192.0.2.7"


def claims(credential: Credential, certificate: str | None = None) -> Claims:
    """From a client at ADDRESS; `certificate` is the SHA-256 of the one it has shown, in hexadecimal."""
    tls = None
    if certificate is not None:
        shown = CertificateFacts(certificate, "0" * 64, (), (), "CN=ca", "1", 4e9)
        tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", shown)
    origin = Origin("outside", ip_address(ADDRESS), 4711, tls=tls)
    return Claims(credential, TYPES[type(credential)], origin, "WS1", "ARCHIVE")
