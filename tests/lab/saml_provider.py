"""A small SAML 2.0 identity provider. In: who and for whom; out: metadata, and assertions signed by Debian's xmlsec1.

xmlsec1 shares no code with what verifies the assertions. Tests that need thousands of them give a signer of their own.
"""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from lab.pki import Authority, Identity

PROGRAM = Path("/usr/bin/xmlsec1")
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
ENTITY = "https://idp.lab.example/metadata"
GATE = "https://gate.lab.example"
RECIPIENT = "dicom://ARCHIVE"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"


def instant(seconds: float) -> str:
    """SAML 2.0 Core 1.3.3."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Statement:
    """What an assertion says. Times are seconds after `now`; None leaves a part out. `extra` is XML."""

    now: float
    name: str = "alice"
    groups: Sequence[str] = ("radiologists",)
    issuer: str = ENTITY
    identifier: str | None = None
    audiences: Sequence[str] = (GATE,)
    recipient: str | None = RECIPIENT
    method: str = BEARER
    issued: float = -2
    begins: float | None = -2
    ends: float | None = 300
    confirmed_until: float | None = 300
    confirmed_from: float | None = None
    session_ends: float | None = None
    address: str | None = None
    name_format: str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
    conditions: str = ""
    confirmation: str = ""
    attributes: str = ""
    version: str = "2.0"

    def changed(self, **changes: object) -> Statement:
        return replace(self, **changes)  # type: ignore[arg-type]

    def xml(self, signature: str = "") -> str:
        """The assertion, with what is to be put between Issuer and Subject."""
        identifier = self.identifier or f"_{uuid.uuid4().hex}"
        audience = "".join(f"<saml:Audience>{escape(each)}</saml:Audience>" for each in self.audiences)
        restriction = f"<saml:AudienceRestriction>{audience}</saml:AudienceRestriction>" if self.audiences else ""
        values = "".join(f"<saml:AttributeValue>{escape(each)}</saml:AttributeValue>" for each in self.groups)
        data = self._when(NotBefore=self.confirmed_from, NotOnOrAfter=self.confirmed_until)
        data += _attributes(Recipient=self.recipient, Address=self.address)
        return (
            f'<saml:Assertion xmlns:saml="{SAML}" ID={quoteattr(identifier)} Version="{self.version}"'
            f"{self._when(IssueInstant=self.issued)}>"
            f"<saml:Issuer>{escape(self.issuer)}</saml:Issuer>{signature}"
            f'<saml:Subject><saml:NameID Format="{self.name_format}">{self.name}</saml:NameID>'
            f'<saml:SubjectConfirmation Method="{self.method}">'
            f"<saml:SubjectConfirmationData{data}>{self.confirmation}</saml:SubjectConfirmationData>"
            f"</saml:SubjectConfirmation></saml:Subject>"
            f"<saml:Conditions{self._when(NotBefore=self.begins, NotOnOrAfter=self.ends)}>"
            f"{restriction}{self.conditions}</saml:Conditions>"
            f"<saml:AuthnStatement{self._when(AuthnInstant=-2, SessionNotOnOrAfter=self.session_ends)}>"
            "<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
            "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
            f'<saml:AttributeStatement><saml:Attribute Name="groups">{values}</saml:Attribute>{self.attributes}'
            "</saml:AttributeStatement></saml:Assertion>"
        )

    def _when(self, **times: float | None) -> str:
        return _attributes(**{name: None if at is None else instant(self.now + at) for name, at in times.items()})


def _attributes(**values: str | None) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value is not None)


def signature_template(identifier: str) -> str:
    """An enveloped signature without its values (XML Signature 4), as SAML wants it (Core 5.4)."""
    return (
        f'<ds:Signature xmlns:ds="{SIGNATURE}"><ds:SignedInfo>'
        '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
        f'<ds:Reference URI="#{identifier}"><ds:Transforms>'
        f'<ds:Transform Algorithm="{SIGNATURE}enveloped-signature"/>'
        '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>'
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference>'
        "</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>"
    )


def metadata(entity: str, *certificates: bytes, more: str = "") -> str:
    """SAML 2.0 Metadata of a provider that signs with any of these (DER)."""
    keys = "".join(
        f'<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{SIGNATURE}"><ds:X509Data><ds:X509Certificate>\n'
        f"{base64.encodebytes(each).decode()}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for each in certificates
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!-- of the lab -->\n'
        f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID={quoteattr(entity)}>{more}'
        '<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f"{keys}<md:SingleSignOnService"
        ' Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.lab.example/sso"/>'
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )


class SamlProvider:
    """`sign` makes a signed assertion of a Statement; `metadata` is the file that its administrator offers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = rsa.generate_private_key(65537, 2048)
        self.identity: Identity = Authority(directory, "idp-ca").issue("idp", key=self.key, self_signed=True)
        self.certificate = self.identity.leaf.public_bytes(Encoding.DER)
        self.metadata = directory / "idp.xml"
        self.metadata.write_text(metadata(ENTITY, self.certificate))

    def sign(self, statement: Statement) -> bytes:
        identifier = statement.identifier or f"_{uuid.uuid4().hex}"
        unsigned = self.directory / "unsigned.xml"
        unsigned.write_text(statement.changed(identifier=identifier).xml(signature_template(identifier)))
        keys = f"{self.identity.key},{self.identity.certificate}"
        command = [PROGRAM, "--sign", "--id-attr:ID", f"{SAML}:Assertion", "--privkey-pem", keys, unsigned]
        return subprocess.run(command, check=True, capture_output=True, timeout=20).stdout


Signer = Callable[[Statement], bytes]
