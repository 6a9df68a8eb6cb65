"""A SAML 2.0 assertion as values, and whether it holds. A signed element and circumstances in; facts or a refusal out.

Sections are those of SAML 2.0 Core, unless another document is named.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from dicomgate.facts import Origin
from dicomgate.identity.verifier import Cause, Refuted

Element = Any
"""An lxml element; the library has no types of its own."""
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_X509 = "{http://www.w3.org/2000/09/xmldsig#}X509Certificate"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_HOLDER_OF_KEY = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_CONDITIONS = tuple(SAML + name for name in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction"))
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One SubjectConfirmation (2.4.1.1). Times are seconds since 1970; `holders` are SHA-256 of certificates."""

    method: str | None
    not_before: float | None
    not_on_or_after: float | None
    recipient: str | None
    address: str | None
    holders: frozenset[str]


@dataclass(frozen=True, slots=True)
class Assertion:
    """Everything that is asked of an assertion. Times are seconds since 1970.

    `audiences` holds one set for each AudienceRestriction; `name` is None where the NameID names nobody.
    """

    identifier: str
    issuer: str
    issued: float
    not_before: float
    not_on_or_after: float
    audiences: tuple[frozenset[str], ...]
    one_time: bool
    name: str | None
    confirmations: tuple[Confirmation, ...]
    session_end: float | None
    attributes: Mapping[str, tuple[str, ...]] = field(repr=False)


class WrongAssertionError(ValueError):
    """What was expected of the assertion; never a part of it."""


def is_one_assertion(root: Element) -> bool:
    """Whether the document is one assertion of version 2.0, with no other one in it."""
    found = [each for each in root.iter() if each.tag.rpartition("}")[2] in ("Assertion", "EncryptedAssertion")]
    return found == [root] and root.tag == f"{SAML}Assertion" and root.get("Version") == "2.0"


def issuer_of(root: Element) -> str:
    """2.2.5"""
    return _text(_only(root, "Issuer"))


def read_assertion(root: Element) -> Assertion:
    """WrongAssertionError for what is missing, stands twice, or is written in another way than 2.3 to 2.7 have it."""
    conditions, subject = _only(root, "Conditions"), _only(root, "Subject")
    for condition in conditions:
        if condition.tag not in _CONDITIONS or _XSI_TYPE in condition.attrib:
            raise WrongAssertionError("the assertion has a condition that the gate does not know (2.5.1.1)")
    issued = _needed(root, "IssueInstant")
    sessions = [_time(each, "SessionNotOnOrAfter") for each in root.findall(f"{SAML}AuthnStatement")]
    name = _only(subject, "NameID")
    return Assertion(
        identifier=root.get("ID") or "",
        issuer=issuer_of(root),
        issued=issued,
        not_before=_time(conditions, "NotBefore") or issued,
        not_on_or_after=_needed(conditions, "NotOnOrAfter"),
        audiences=tuple(
            frozenset(_text(audience) for audience in restriction.findall(f"{SAML}Audience"))
            for restriction in conditions.findall(f"{SAML}AudienceRestriction")
        ),
        one_time=conditions.find(f"{SAML}OneTimeUse") is not None,
        name=None if name.get("Format") == _TRANSIENT else _text(name),
        confirmations=tuple(_confirmation(each) for each in subject.findall(f"{SAML}SubjectConfirmation")),
        session_end=min((end for end in sessions if end is not None), default=None),
        attributes=_attributes(root),
    )


def judge_assertion(
    assertion: Assertion, audience: str, recipients: frozenset[str], origin: Origin, leeway: float, now: float
) -> Refuted | None:
    """Whether it holds here and now, for who presents it. `leeway` in seconds, `now` in seconds since 1970."""
    if max(assertion.issued, assertion.not_before) > now + leeway:
        return _wrong("the assertion is not valid yet; are the clocks right?")
    if now >= assertion.not_on_or_after + leeway:
        return _expired(f"the assertion ended {now - assertion.not_on_or_after:.0f} s ago (NotOnOrAfter)")
    if not assertion.audiences or not all(audience in each for each in assertion.audiences):
        return _wrong(f"the assertion is not for {audience} (AudienceRestriction)")
    if assertion.session_end is not None and now >= assertion.session_end + leeway:
        return _expired("the session of the user has ended (SessionNotOnOrAfter)")
    refusal = _wrong("expected a SubjectConfirmation of the method bearer or holder-of-key")
    for confirmation in assertion.confirmations:
        if confirmation.method not in (_BEARER, _HOLDER_OF_KEY):
            continue
        found = _judge_confirmation(confirmation, recipients, origin, leeway, now)
        if found is None:
            return None
        refusal = found
    return refusal


def _judge_confirmation(
    confirmation: Confirmation, recipients: frozenset[str], origin: Origin, leeway: float, now: float
) -> Refuted | None:
    """2.4.1.2; for bearer the stricter rules of Profiles 4.1.4.2."""
    begins, ends, recipient = confirmation.not_before, confirmation.not_on_or_after, confirmation.recipient
    bearer = confirmation.method == _BEARER
    if bearer and (begins is not None or ends is None):
        return _wrong("expected bearer confirmation with NotOnOrAfter and without NotBefore")
    if begins is not None and begins > now + leeway:
        return _wrong("the confirmation of the assertion is not valid yet (SubjectConfirmationData)")
    if ends is not None and now >= ends + leeway:
        return _expired("the confirmation of the assertion has ended (SubjectConfirmationData)")
    if (bearer or recipient is not None) and recipient not in recipients:
        return _wrong(f"the assertion is not addressed to {' or '.join(sorted(recipients))} (Recipient)")
    if confirmation.address is not None and not _is_address(confirmation.address, origin):
        return _wrong("the assertion was given to another address (SubjectConfirmationData)")
    if bearer:
        return None
    if origin.certificate is None:
        return _wrong("the assertion is bound to a certificate, and the client showed none")
    if origin.certificate.sha256 not in confirmation.holders:
        return _wrong("the assertion is bound to another certificate")
    return None


def _confirmation(element: Element) -> Confirmation:
    method, found = element.get("Method"), element.findall(f"{SAML}SubjectConfirmationData")
    if len(found) != 1:
        return Confirmation(None, None, None, None, None, frozenset())  # confirms nothing
    (data,) = found
    return Confirmation(
        method=method,
        not_before=_time(data, "NotBefore"),
        not_on_or_after=_time(data, "NotOnOrAfter"),
        recipient=data.get("Recipient"),
        address=data.get("Address"),
        holders=frozenset(hashlib.sha256(_der(each)).hexdigest() for each in data.iter(_X509)),
    )


def _attributes(root: Element) -> Mapping[str, tuple[str, ...]]:
    """2.7.3: by their name, which is compared, not by their friendly name, which is for people."""
    found: dict[str, tuple[str, ...]] = {}
    for attribute in root.findall(f"{SAML}AttributeStatement/{SAML}Attribute"):
        values = attribute.findall(f"{SAML}AttributeValue")
        if any(len(value) for value in values):
            raise WrongAssertionError("expected plain texts as values of attributes (2.7.3.1.1)")
        name = attribute.get("Name", "")
        found[name] = (*found.get(name, ()), *(text for value in values if (text := _text(value))))
    return found


def _only(parent: Element, name: str) -> Element:
    found = parent.findall(SAML + name)
    if len(found) != 1:
        raise WrongAssertionError(f"expected one {name}")
    return found[0]


def _text(element: Element) -> str:
    """Without the spaces around it."""
    if len(element):
        raise WrongAssertionError("expected text, came elements")
    return (element.text or "").strip(" \t\r\n")


def _needed(element: Element, name: str) -> float:
    found = _time(element, name)
    if found is None:
        raise WrongAssertionError(f"expected the time {name}")
    return found


def _time(element: Element, name: str) -> float | None:
    """1.3.3: UTC, without time zones. None where the attribute is absent."""
    text = element.get(name)
    if text is None:
        return None
    found = _TIME.fullmatch(text)
    try:
        if found is not None:
            return datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp() + float(found[2] or 0)
    except ValueError:
        pass  # as in 2026-02-30
    raise WrongAssertionError(f"expected a time in UTC as {name}")


def _der(element: Element) -> bytes:
    try:
        return base64.b64decode("".join(_text(element).split()), validate=True)
    except (binascii.Error, ValueError):
        raise WrongAssertionError("expected certificates in base64 (X509Certificate)") from None


def _is_address(text: str, origin: Origin) -> bool:
    try:
        return ip_address(text) == origin.address
    except ValueError:
        return False


def _wrong(reason: str) -> Refuted:
    return Refuted(Cause.WRONG_CREDENTIAL, reason)


def _expired(reason: str) -> Refuted:
    return Refuted(Cause.EXPIRED, reason)
