"""Signature wrapping: a genuine signed assertion, and a forged one where a careless reader looks.

The eight ways of "On Breaking SAML" (Somorovsky et al., USENIX Security 2012), in a response and without one, and a
few more. In each the signature itself is the issuer's, and verifies over what it covers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("signxml", reason="the extra dicomgate[saml] is not installed")

from lxml import etree

from dicomgate.identity.verifier import Cause, Refuted, Verified
from iam.saml.provider import NOW, SAML, SAYS, SIGNATURE, judged, signed

Element = Any
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"


def genuine() -> Element:
    return etree.fromstring(signed())


def forged(identifier: str = "_evil") -> Element:
    found = genuine()
    found.set("ID", identifier)
    found.find(f"{{{SAML}}}Subject/{{{SAML}}}NameID").text = "mallory"
    return found


def without_signature(assertion: Element) -> Element:
    found = copy.deepcopy(assertion)
    found.remove(signature_of(found))
    return found


def signature_of(assertion: Element) -> Element:
    return assertion.find(f"{{{SIGNATURE}}}Signature")


def response(*children: Element) -> Element:
    found = etree.Element(f"{{{PROTOCOL}}}Response", ID="_response", Version="2.0")
    found.extend(children)
    return found


def within(parent: Element, name: str, child: Element) -> Element:
    """`child` in a new element of the signature's namespace."""
    holder = etree.SubElement(parent, f"{{{SIGNATURE}}}{name}")
    holder.append(child)
    return parent


def signed_by(evil: Element, signature: Element) -> Element:
    """The forged assertion with this signature where its own would be."""
    found = without_signature(evil)
    found.insert(1, signature)
    return found


def original_in_object_of_forged() -> Element:  # XSW 1
    good = genuine()
    signature = copy.deepcopy(signature_of(good))
    return signed_by(forged(), within(signature, "Object", without_signature(good)))


def original_before_signature_of_forged() -> Element:  # XSW 2
    good = genuine()
    evil = signed_by(forged(), copy.deepcopy(signature_of(good)))
    evil.insert(1, without_signature(good))
    return evil


def forged_before_original() -> Element:  # XSW 3
    return response(without_signature(forged()), genuine())


def original_within_forged() -> Element:  # XSW 4
    evil = without_signature(forged())
    evil.append(genuine())
    return evil


def signature_in_forged_original_after_it() -> Element:  # XSW 5
    good = genuine()
    return response(signed_by(forged(), copy.deepcopy(signature_of(good))), without_signature(good))


def original_in_signature_of_forged() -> Element:  # XSW 6
    good = genuine()
    signature = copy.deepcopy(signature_of(good))
    signature.append(without_signature(good))
    return signed_by(forged(), signature)


def forged_in_extensions() -> Element:  # XSW 7
    extensions = etree.Element(f"{{{PROTOCOL}}}Extensions")
    extensions.append(without_signature(forged()))
    return response(extensions, genuine())


def original_in_object_after_its_key() -> Element:  # XSW 8
    good = genuine()
    signature = copy.deepcopy(signature_of(good))
    within(signature, "Object", good)
    return signed_by(forged(), signature)


def same_identifier() -> Element:
    good = genuine()
    evil = signed_by(forged(good.get("ID")), copy.deepcopy(signature_of(good)))
    return within(evil, "Object", without_signature(good))


def forged_within_original() -> Element:
    good = genuine()
    good.append(without_signature(forged()))
    return good


def same_identifier_under_another_name() -> Element:
    good = genuine()
    evil = signed_by(forged(), copy.deepcopy(signature_of(good)))
    evil.set("{http://www.w3.org/XML/1998/namespace}id", good.get("ID"))
    return evil


def two_signatures() -> Element:
    good = genuine()
    good.insert(1, copy.deepcopy(signature_of(good)))
    return good


def reference_to_the_document() -> Element:
    good = genuine()
    good.find(f".//{{{SIGNATURE}}}Reference").set("URI", "")
    return good


def second_reference() -> Element:
    good = genuine()
    reference = good.find(f".//{{{SIGNATURE}}}Reference")
    reference.getparent().append(copy.deepcopy(reference))
    return good


def transform_that_takes_away() -> Element:
    good = genuine()
    transforms = good.find(f".//{{{SIGNATURE}}}Transforms")
    step = etree.SubElement(
        transforms, f"{{{SIGNATURE}}}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"
    )
    etree.SubElement(step, "{http://www.w3.org/1999/XSL/Transform}stylesheet", version="1.0")
    return good


def signature_deeper() -> Element:
    good = genuine()
    signature = signature_of(good)
    good.find(f"{{{SAML}}}Subject").append(signature)
    return good


def no_signature() -> Element:
    return without_signature(genuine())


WAYS: list[Callable[[], Element]] = [
    original_in_object_of_forged,
    original_before_signature_of_forged,
    forged_before_original,
    original_within_forged,
    signature_in_forged_original_after_it,
    original_in_signature_of_forged,
    forged_in_extensions,
    original_in_object_after_its_key,
    same_identifier,
    forged_within_original,
    same_identifier_under_another_name,
    two_signatures,
    reference_to_the_document,
    second_reference,
    transform_that_takes_away,
    signature_deeper,
    no_signature,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("wrapped", [False, True], ids=["assertion", "response"])
def test_nobody_is_believed(way: Callable[[], Element], wrapped: bool) -> None:
    root = way()
    if wrapped and root.tag != f"{{{PROTOCOL}}}Response":
        root = response(root)
    found = judged(etree.tostring(root))
    assert isinstance(found, Refuted), found
    assert found.cause in (Cause.MALFORMED, Cause.WRONG_CREDENTIAL)


def test_the_genuine_one_is_believed_so_these_tests_can_fail() -> None:
    found = judged(etree.tostring(genuine()), now=NOW)
    assert isinstance(found, Verified)
    assert found.principal.name == "alice"
    assert SAYS.name == "alice"
