"""Signed XML from strangers: bytes in, the element that a known key has signed out, or WrongXmlError.

What is read later comes out of the very bytes that the signature covers, and the document may hold one signature, one
reference and one way to transform it: attacks that wrap a signed element into another need room to do so.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import signxml
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod

Element = Any
"""An lxml element; the library has no types of its own."""
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = SIGNATURE + "enveloped-signature"
MOST_ELEMENTS = 5000
_METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.SHA256_RSA_MGF1,
        SignatureMethod.SHA384_RSA_MGF1,
        SignatureMethod.SHA512_RSA_MGF1,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,255}")
_UTF_8 = re.compile(
    rb"""<\?xml(?:(?!encoding|\?>).)*(?:encoding\s*=\s*["']utf-8["'][^?]*)?\?>""", re.IGNORECASE | re.DOTALL
)
_ID_NAMES = ("id", "{http://www.w3.org/XML/1998/namespace}id")


class WrongXmlError(ValueError):
    """What was expected of the document; never a part of it."""


class WrongSignatureError(WrongXmlError):
    """The document is what it should be, but nobody known has signed it."""


def parse(raw: bytes) -> Element:
    """The root of a document in UTF-8 without a document type: so there are no entities to grow or to be fetched.

    The caller bounds the length.
    """
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise WrongXmlError("expected XML without a document type")
    if raw.startswith(b"<?xml") and not _UTF_8.match(raw):
        raise WrongXmlError("expected XML in UTF-8, came a declaration of another encoding")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, recover=False
    )
    try:
        raw.decode("utf-8")
        return etree.fromstring(raw, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise WrongXmlError("expected well-formed XML in UTF-8") from None


def parse_plain(raw: bytes) -> Element:
    """The same, of elements and text only: readers disagree about the text around a comment, as in admin<!---->x."""
    root = parse(raw)
    nodes = [root.getprevious(), root.getnext()]
    for node in root.iter():
        nodes.append(node)
        if len(nodes) > MOST_ELEMENTS:
            raise WrongXmlError(f"expected at most {MOST_ELEMENTS} elements")
    if not all(node is None or isinstance(node.tag, str) for node in nodes):
        raise WrongXmlError("expected XML without comments and processing instructions")
    return root


def signed_element(root: Element, certificates: Iterable[x509.Certificate], now: float) -> Element:
    """The root, as its signature covers it. `now`: seconds since 1970, for the certificates' dates."""
    signature = _signature(root)
    # Keys come from the configuration; what the document says of its key is not even looked at.
    for hint in signature.findall(f"{{{SIGNATURE}}}KeyInfo"):
        signature.remove(hint)
    config = signxml.SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=_METHODS,
        digest_algorithms=_DIGESTS,
        ignore_ambiguous_key_info=True,
        verification_time=datetime.fromtimestamp(now, UTC),
    )
    for certificate in certificates:
        try:
            found = signxml.XMLVerifier().verify(root, x509_cert=certificate, id_attribute="ID", expect_config=config)
        except (signxml.exceptions.SignXMLException, etree.LxmlError, ValueError, TypeError, UnsupportedAlgorithm):
            continue
        signed = parse_plain(found.signed_data)
        if signed.tag != root.tag or signed.get("ID") != root.get("ID"):
            raise WrongXmlError("expected a signature over the whole document")
        return signed
    raise WrongSignatureError("the signature is not the issuer's, or its certificate is not valid now")


def _signature(root: Element) -> Element:
    """The only signature of the document, in its only accepted shape."""
    found = list(root.iter(f"{{{SIGNATURE}}}Signature"))
    if len(found) != 1 or found[0].getparent() is not root:
        raise WrongXmlError("expected one signature, directly below the root of the document")
    (signature,) = found
    identifier = root.get("ID")
    if identifier is None or not _ID.fullmatch(identifier) or list(_identifiers(root)).count(identifier) != 1:
        raise WrongXmlError("expected an ID at the root that stands nowhere else")
    references = list(signature.iter(f"{{{SIGNATURE}}}Reference"))
    if len(references) != 1 or references[0].get("URI") != f"#{identifier}":
        raise WrongXmlError("expected a signature over the whole document")
    steps = [step.get("Algorithm") for step in signature.iter(f"{{{SIGNATURE}}}Transform")]
    methods = [method.get("Algorithm") for method in signature.iter(f"{{{SIGNATURE}}}CanonicalizationMethod")]
    if steps != [ENVELOPED, EXCLUSIVE] or methods != [EXCLUSIVE]:
        raise WrongXmlError("expected the transforms enveloped-signature and exclusive canonicalization")
    if next(signature.iter(f"{{{SIGNATURE}}}Object"), None) is not None:
        raise WrongXmlError("expected a signature without objects in it")
    return signature


def _identifiers(root: Element) -> Iterator[str]:
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.lower() in _ID_NAMES:
                yield value
