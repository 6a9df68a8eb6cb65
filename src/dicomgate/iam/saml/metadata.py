"""SAML metadata (SAML 2.0 Metadata 2.3.2, 2.4.3): a file in; an identity provider's entity ID and certificates out."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from dicomgate.iam.saml.signature import SIGNATURE, Element, WrongXmlError, parse

LARGEST_METADATA = 8 * 1024**2
"""Bytes. One provider takes some thousand, a federation some million."""
METADATA = "{urn:oasis:names:tc:SAML:2.0:metadata}"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Who may issue assertions, and the certificates of the keys it signs with; several while it changes its key."""

    entity_id: str
    certificates: tuple[x509.Certificate, ...]


def read_metadata(path: Path, entity_id: str | None) -> IdentityProvider:
    """The provider of that entity ID, or the only one. OSError, or WrongXmlError."""
    with path.open("rb") as file:
        content = file.read(LARGEST_METADATA + 1)
    if len(content) > LARGEST_METADATA:
        raise WrongXmlError(f"expected at most {LARGEST_METADATA} bytes")
    root = parse(content)
    entities = root.iter(f"{METADATA}EntityDescriptor")
    providers = [entity for entity in entities if entity.find(f"{METADATA}IDPSSODescriptor") is not None]
    if entity_id is not None:
        providers = [entity for entity in providers if entity.get("entityID") == entity_id]
    if len(providers) != 1:
        raise WrongXmlError(f"expected one identity provider (IDPSSODescriptor), came {len(providers)}")
    name = providers[0].get("entityID")
    certificates = tuple(_certificates(providers[0]))
    if not name or not certificates:
        raise WrongXmlError("expected an entityID and a signing certificate (KeyDescriptor)")
    return IdentityProvider(name, certificates)


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Certificates from a PEM file. OSError, or WrongXmlError when there is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except ValueError:
        raise WrongXmlError("expected certificates (PEM)") from None


def _certificates(provider: Element) -> list[x509.Certificate]:
    found = []
    for descriptor in provider.findall(f"{METADATA}IDPSSODescriptor/{METADATA}KeyDescriptor"):
        if descriptor.get("use", "signing") != "signing":
            continue
        for element in descriptor.iter(f"{{{SIGNATURE}}}X509Certificate"):
            try:
                der = base64.b64decode("".join((element.text or "").split()), validate=True)
                found.append(x509.load_der_x509_certificate(der))
            except (binascii.Error, ValueError):
                raise WrongXmlError("expected certificates in base64 (X509Certificate)") from None
    return found
