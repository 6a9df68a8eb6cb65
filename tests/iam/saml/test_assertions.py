"""Every assertion that does not hold is refused, with its cause."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest

pytest.importorskip("signxml", reason="the extra dicomgate[saml] is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

from dicomgate.iam.saml.replays import Replays
from dicomgate.iam.saml.verifier import LONGEST_ASSERTION, MOST_GROUPS
from dicomgate.identity.claims import JsonWebToken, Passcode, SamlAssertion
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from iam.claims import ADDRESS, claims
from iam.saml.provider import ENTITY, GATE, NOW, RECIPIENT, SAML, SAYS, idp, judged, signed, stranger, verifier
from lab.saml_provider import metadata

ALICE = Principal("alice", "saml", IdentityType.SAML, frozenset({"radiologists"}), expires=NOW + 300)
GOOD = signed()
HOLDER = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
SHOWN = b"a certificate"
KEY_INFO = (
    '<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>'
    f"{base64.b64encode(SHOWN).decode()}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
)


def cause(found: Verification) -> Cause:
    assert isinstance(found, Refuted), found
    return found.cause


@pytest.mark.parametrize(
    "form",
    [
        lambda xml: xml,
        lambda xml: b"\n <x/>".replace(b"<x/>", xml) + b"\n\0",
        lambda xml: b"\xef\xbb\xbf" + xml,
        lambda xml: b'<?xml version="1.0" encoding="UTF-8"?>\n' + xml,
        base64.b64encode,
        base64.encodebytes,
    ],
    ids=["XML", "padding", "byte order mark", "declaration", "base64", "base64 in lines"],
)
def test_a_good_assertion_is_believed(form: Any) -> None:
    assert judged(form(GOOD)) == Verified(ALICE)


def test_the_answer_to_the_client_is_empty() -> None:
    found = judged(GOOD)
    assert isinstance(found, Verified)
    assert found.server_response == b""


FALSE: dict[str, Mapping[str, Any]] = {
    "for another": {"audiences": ("https://other.example",)},
    "for a part of our name": {"audiences": (GATE + "/x", GATE[:-1])},
    "for nobody": {"audiences": ()},
    "for others beside": {
        "conditions": "<saml:AudienceRestriction><saml:Audience>other</saml:Audience></saml:AudienceRestriction>"
    },
    "unknown condition": {"conditions": '<x:Weather xmlns:x="urn:x"/>'},
    "addressed to another": {"recipient": "dicom://OTHER"},
    "addressed to nobody": {"recipient": None},
    "from later": {"issued": 60, "begins": None},
    "valid later": {"begins": 60},
    "confirmed without an end": {"confirmed_until": None},
    "confirmed from later": {"confirmed_from": 10},
    "given to another address": {"address": "192.0.2.99"},
    "given to a name": {"address": "ws1.lab.example"},
    "vouched for by the sender": {"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"},
    "confirmed in an unknown way": {"method": "urn:x"},
    "holder without certificate": {"method": HOLDER},
}
MALFORMED: dict[str, Mapping[str, Any]] = {
    "user with a comment": {"name": "alice<!-- -->@evil.example"},
    "user with an element": {"name": "<b>alice</b>"},
    "empty user": {"name": ""},
    "user of two lines": {"name": "alice\nroot"},
    "endless user": {"name": "a" * 257},
    "user for this time only": {"name_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
    "endless": {"ends": None},
    "too many groups": {"groups": tuple(f"g{number}" for number in range(MOST_GROUPS + 1))},
    "group with an element": {
        "attributes": f'<saml:Attribute xmlns:saml="{SAML}" Name="x"><saml:AttributeValue><b/></saml:AttributeValue>'
        "</saml:Attribute>"
    },
    "version 1": {"version": "1.1"},
    "processing instruction": {"conditions": "<?php phpinfo() ?>"},
}


@pytest.mark.parametrize("name", FALSE)
def test_an_assertion_that_does_not_hold_here_is_refused(name: str) -> None:
    found = judged(signed(SAYS.changed(**FALSE[name])))
    assert cause(found) in (Cause.WRONG_CREDENTIAL, Cause.MALFORMED)
    assert cause(found) is (Cause.MALFORMED if name == "unknown condition" else Cause.WRONG_CREDENTIAL)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_assertion_is_refused(name: str) -> None:
    assert cause(judged(signed(SAYS.changed(**MALFORMED[name])))) is Cause.MALFORMED


@pytest.mark.parametrize(
    ("changes", "later", "believed"),
    [
        ({}, 329, True),
        ({}, 330, False),
        ({"confirmed_until": 10}, 39, True),
        ({"confirmed_until": 10}, 40, False),
        ({"session_ends": 20}, 49, True),
        ({"session_ends": 20}, 50, False),
        ({"begins": 30, "issued": 30}, 0, True),
    ],
)
def test_clocks_may_differ_by_the_leeway(changes: Mapping[str, Any], later: float, believed: bool) -> None:
    found = judged(signed(SAYS.changed(**changes)), now=NOW + later)
    assert isinstance(found, Verified) is believed
    if not believed:
        assert found == Refuted(Cause.EXPIRED, found.reason, "alice")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "when", ["2026-02-30T10:00:00Z", "tomorrow", "2030-01-01T00:00:00", "2030-01-01T00:00:00+01:00", ""]
)
def test_times_are_in_utc(when: str) -> None:
    for attribute in ("NotOnOrAfter", "NotBefore", "IssueInstant", "SessionNotOnOrAfter"):
        plain = SAYS.changed(session_ends=300, confirmed_until=299).xml('<ds:Signature xmlns:ds="x"/>')
        start = plain.index(f" {attribute}=", plain.index("<saml:Conditions") if attribute.startswith("N") else 0)
        end = plain.index('"', start + len(attribute) + 3)
        text = plain[:start] + f' {attribute}="{when}' + plain[end:]

        class Odd:
            def xml(self, signature: str, text: str = text) -> str:
                return text.replace('<ds:Signature xmlns:ds="x"/>', signature)

        found = judged(signed(Odd()))  # type: ignore[arg-type]
        assert cause(found) is Cause.MALFORMED, attribute
        assert attribute in str(found)


def test_the_session_ends_when_the_provider_says_so() -> None:
    found = judged(signed(SAYS.changed(session_ends=3600)))
    assert isinstance(found, Verified)
    assert found.principal.expires == NOW + 3600


def test_an_assertion_for_this_address_and_this_certificate_is_believed() -> None:
    assert judged(signed(SAYS.changed(address=ADDRESS))) == Verified(ALICE)
    bound = signed(SAYS.changed(method=HOLDER, confirmation=KEY_INFO, recipient=None, confirmed_until=None))
    assert judged(bound, certificate=sha256(SHOWN).hexdigest()) == Verified(ALICE)
    assert cause(judged(bound, certificate="00" * 32)) is Cause.WRONG_CREDENTIAL
    assert cause(judged(bound)) is Cause.WRONG_CREDENTIAL
    other = signed(SAYS.changed(method=HOLDER, confirmation=KEY_INFO, recipient="dicom://OTHER"))
    assert cause(judged(other, certificate=sha256(SHOWN).hexdigest())) is Cause.WRONG_CREDENTIAL


def test_an_assertion_of_another_issuer_is_for_another_verifier() -> None:
    assert cause(judged(signed(SAYS.changed(issuer="https://other.example")))) is Cause.NOT_MINE
    for other in (JsonWebToken("a.b.c"), Passcode("alice", b"secret")):
        assert cause(verifier().verify(claims(other), NOW)) is Cause.NOT_MINE


def test_only_the_issuers_key_counts() -> None:
    """The stranger's certificate is in the assertion, as the issuer's would be."""
    found = judged(signed(by=stranger()))
    assert found == Refuted(
        Cause.WRONG_CREDENTIAL, "the signature is not the issuer's, or its certificate is not valid now"
    )


@pytest.mark.parametrize(
    "choices",
    [
        {"c14n_algorithm": CanonicalizationMethod.CANONICAL_XML_1_1},
        {"c14n_algorithm": CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0_WITH_COMMENTS},
        {"signature_algorithm": SignatureMethod.RSA_SHA224},
        {"digest_algorithm": DigestAlgorithm.SHA224},
    ],
    ids=lambda choices: str(next(iter(choices.values()))),
)
def test_other_ways_to_sign_are_refused(choices: Mapping[str, Any]) -> None:
    assert cause(judged(signed(**choices))) in (Cause.WRONG_CREDENTIAL, Cause.MALFORMED)


@pytest.mark.parametrize(
    "choices",
    [
        {"signature_algorithm": SignatureMethod.RSA_SHA512, "digest_algorithm": DigestAlgorithm.SHA512},
        {"signature_algorithm": SignatureMethod.SHA256_RSA_MGF1},
    ],
    ids=str,
)
def test_strong_ones_are_taken(choices: Mapping[str, Any]) -> None:
    assert judged(signed(**choices)) == Verified(ALICE)


def test_a_certificate_that_is_not_valid_now_vouches_for_nothing() -> None:
    year = 366 * 86400.0
    late = SAYS.changed(now=NOW + year)
    assert cause(judged(signed(late), now=NOW + year)) is Cause.WRONG_CREDENTIAL


HOSTILE = {
    "empty": b"",
    "spaces": b"  \0",
    "NUL": b"\0" * 100,
    "no XML": b"<",
    "no base64": b"!!!!",
    "no UTF-8": GOOD.replace(b"alice", b"al\xffce"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "EBCDIC by declaration": b'<?xml version="1.0" encoding="cp037"?>' + GOOD,
    "another root": b"<x/>",
    "two roots": GOOD + GOOD,
    "cut": GOOD[:-1],
    "document type": b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + GOOD,
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + GOOD.replace(b"alice", b"&e;"),
    "parameter entity": b'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:1/x"> %e;]>' + GOOD,
    "a billion laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>',
    "quadratic": b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 20_000 + b'">]><x>' + b"&a;" * 10_000 + b"</x>",
    "undefined entity": GOOD.replace(b"alice", b"&e;"),
    "deep": b"<a>" * 20_000,
    "deep and closed": b"<a>" * 8000 + b"</a>" * 8000,
    "wide": b'<saml:Assertion xmlns:saml="' + SAML.encode() + b'">' + b"<a/>" * 12_000 + b"</saml:Assertion>",
    "many attributes": b"<a " + b" ".join(b'a%d=""' % number for number in range(6000)) + b"/>",
    "one attribute twice": GOOD.replace(b" Version=", b' Version="2.0" Version='),
    "too long": GOOD.replace(b"radiologists", b"r" * LONGEST_ASSERTION),
    "too long in base64": base64.b64encode(GOOD.replace(b"radiologists", b"r" * 50_000)),
    "encrypted": GOOD.replace(b"Assertion", b"EncryptedAssertion"),
    "in a response": b'<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol">' + GOOD + b"</p:Response>",
    "comment before it": b"<!-- -->" + GOOD,
    "comment after it": GOOD + b"<!-- -->",
    "style sheet": b'<?xml-stylesheet href="http://127.0.0.1:1/x"?>' + GOOD,
    "comment in the user": GOOD.replace(b"alice", b"ali<!-- -->ce"),
    "comment in the signature": GOOD.replace(b"<ds:SignedInfo>", b"<ds:SignedInfo><!-- -->"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_are_refused_before_any_key_is_touched(name: str) -> None:
    assert cause(judged(HOSTILE[name])) is Cause.MALFORMED


def test_an_assertion_is_good_once() -> None:
    gate = verifier()
    assert gate.verify(claims(SamlAssertion(GOOD)), NOW) == Verified(ALICE)
    for form in (GOOD, base64.b64encode(GOOD), GOOD.replace(b"<ds:KeyInfo>", b"<ds:KeyInfo>\n")):
        found = gate.verify(claims(SamlAssertion(form)), NOW + 1)
        assert found == Refuted(Cause.REPLAYED, "the assertion has been used before", "alice")
    assert isinstance(gate.verify(claims(SamlAssertion(signed())), NOW), Verified), "another one of the same user"


def test_what_was_refused_for_another_reason_stays_good() -> None:
    gate = verifier()
    early = signed(SAYS.changed(issued=60, begins=60))
    assert isinstance(gate.verify(claims(SamlAssertion(early)), NOW), Refuted)
    assert isinstance(gate.verify(claims(SamlAssertion(early)), NOW + 60), Verified)


def test_an_assertion_from_before_the_start_may_have_been_used() -> None:
    found = verifier(Replays(since=NOW)).verify(claims(SamlAssertion(GOOD)), NOW)
    assert cause(found) is Cause.REPLAYED
    assert isinstance(verifier(Replays(since=NOW - 2)).verify(claims(SamlAssertion(GOOD)), NOW), Verified)


def test_of_two_at_the_same_time_one_is_believed() -> None:
    gate = verifier()
    found: list[Verification] = []
    together = threading.Barrier(8)

    def present() -> None:
        together.wait()
        found.append(gate.verify(claims(SamlAssertion(GOOD)), NOW))

    threads = [threading.Thread(target=present) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, Verified) for each in found) == 1
    assert sum(isinstance(each, Refuted) and each.cause is Cause.REPLAYED for each in found) == 7


def test_where_it_is_written_an_assertion_is_good_until_it_ends() -> None:
    gate = verifier(reuse=True)
    for _ in range(3):
        assert gate.verify(claims(SamlAssertion(GOOD)), NOW) == Verified(ALICE)
    once = signed(SAYS.changed(conditions="<saml:OneTimeUse/>"))
    assert isinstance(gate.verify(claims(SamlAssertion(once)), NOW), Verified)
    assert cause(gate.verify(claims(SamlAssertion(once)), NOW)) is Cause.REPLAYED


def test_replays_are_remembered_until_they_end_and_no_more_than_fit() -> None:
    gate = verifier(Replays(since=0, most=2))
    for _ in range(2):
        assert isinstance(gate.verify(claims(SamlAssertion(signed())), NOW), Verified)
    assert isinstance(gate.verify(claims(SamlAssertion(signed())), NOW), Unavailable)
    later = signed(SAYS.changed(now=NOW + 400))
    assert isinstance(gate.verify(claims(SamlAssertion(later)), NOW + 400), Verified)


def test_the_user_may_stand_in_an_attribute() -> None:
    attribute = (
        f'<saml:Attribute xmlns:saml="{SAML}" Name="uid" FriendlyName="groups">'
        "<saml:AttributeValue> a.adams </saml:AttributeValue></saml:Attribute>"
    )
    transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    xml = signed(SAYS.changed(attributes=attribute, name="_7f3", name_format=transient))
    found = judged(xml, user_attribute="uid")
    assert isinstance(found, Verified)
    assert (found.principal.name, found.principal.groups) == ("a.adams", {"radiologists"})
    twice = signed(SAYS.changed(attributes=attribute * 2))
    for odd in (twice, GOOD):
        assert cause(judged(odd, user_attribute="uid")) is Cause.MALFORMED


def test_metadata_with_several_keys_and_several_providers(tmp_path: Any) -> None:
    file = tmp_path / "metadata.xml"
    file.write_text(metadata(ENTITY, stranger().certificate, idp().certificate))
    assert judged(GOOD, metadata=file) == Verified(ALICE)
    one, other = (metadata(name, idp().certificate).partition("\n")[2] for name in (ENTITY, "https://other.example"))
    wrapped = (
        f'<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">{one}{other}</md:EntitiesDescriptor>'
    )
    file.write_text(wrapped)
    assert isinstance(judged(GOOD, metadata=file), Unavailable)
    assert judged(GOOD, metadata=file, issuer=ENTITY) == Verified(ALICE)


def test_certificates_instead_of_metadata() -> None:
    files = (stranger().identity.certificate, idp().identity.certificate)
    assert judged(GOOD, metadata=None, issuer=ENTITY, certificates=files) == Verified(ALICE)
    assert cause(judged(GOOD, metadata=None, issuer=ENTITY, certificates=files[:1])) is Cause.WRONG_CREDENTIAL


@pytest.mark.parametrize(
    "content",
    ["", "no XML", "<x/>", '<!DOCTYPE x [<!ENTITY a "b">]><x/>', metadata(ENTITY), metadata(ENTITY, b"no certificate")],
    ids=["empty", "no XML", "no provider", "document type", "no key", "no certificate"],
)
def test_without_usable_metadata_nobody_can_be_verified(tmp_path: Any, content: str) -> None:
    file = tmp_path / "metadata.xml"
    file.write_text(content)
    found = judged(GOOD, metadata=file)
    assert isinstance(found, Unavailable)
    assert str(file) in found.reason
    file.unlink()
    assert isinstance(judged(GOOD, metadata=file), Unavailable)


@given(raw=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: f"<{text}".encode())))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    assert isinstance(judged(raw), Refuted)


@given(
    position=st.integers(0, len(GOOD) - 1), piece=st.binary(max_size=3), cut=st.integers(0, 3), bundled=st.booleans()
)
@settings(max_examples=400, deadline=None)
def test_no_change_makes_it_say_something_else(position: int, piece: bytes, cut: int, bundled: bool) -> None:
    """Spaces between attributes or in the signature's base64 may change; what is believed may not."""
    changed = GOOD[:position] + piece + GOOD[position + cut :]
    found = judged(base64.b64encode(changed) if bundled else changed)
    assert not isinstance(found, Unavailable)
    if isinstance(found, Verified):
        assert found == Verified(ALICE)


@given(position=st.integers(0, 6), text=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40))
@settings(max_examples=60, deadline=None)
def test_whatever_an_issuer_signs_there_is_an_answer(position: int, text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    fields = ("name", "audiences", "recipient", "address", "groups", "name_format", "method")
    value: Any = (text,) if fields[position] in ("audiences", "groups") else text
    value = escaped if fields[position] in ("name", "name_format", "method") else value
    found = judged(signed(SAYS.changed(**{fields[position]: value})))
    if isinstance(found, Verified):
        assert fields[position] in ("name", "groups", "name_format")
        assert found.principal.name == (text.strip() if fields[position] == "name" else "alice")


def test_the_recipient_is_one_of_ours() -> None:
    assert judged(GOOD, recipients=frozenset({"dicom://OTHER", RECIPIENT})) == Verified(ALICE)
