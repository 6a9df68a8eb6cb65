"""Pseudonyms: one for each identifier and key, none that tells anything without the key."""

import hmac
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.pseudonym import Identifier, PseudonymKey

KEY, OTHER = PseudonymKey(bytes(range(32))), PseudonymKey(bytes(32))


def test_it_is_a_truncated_hmac_over_what_is_meant() -> None:
    message = b"\0\0\0\x0apatient-id\0\0\0\x05NORTH\0\0\0\x044711"
    digest = hmac.new(bytes(range(32)), message, sha256).hexdigest()
    assert KEY.pseudonym(Identifier.PATIENT_ID, "4711", "NORTH") == f"{KEY.id}:{digest[:32]}"


def test_padding_means_nothing_and_everything_else_does() -> None:
    one = KEY.pseudonym(Identifier.PATIENT_ID, "4711")
    assert KEY.pseudonym(Identifier.PATIENT_ID, " 4711 ") == one
    others = {
        KEY.pseudonym(Identifier.PATIENT_NAME, "4711"),
        KEY.pseudonym(Identifier.ACCESSION_NUMBER, "4711"),
        KEY.pseudonym(Identifier.PATIENT_ID, "04711"),
        KEY.pseudonym(Identifier.PATIENT_ID, "4711", "NORTH"),
        KEY.pseudonym(Identifier.PATIENT_ID, "711", "4"),
        OTHER.pseudonym(Identifier.PATIENT_ID, "4711"),
        one,
    }
    assert len(others) == 7


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_text_has_one(value: str, issuer: str) -> None:
    key_id, _, digest = KEY.pseudonym(Identifier.PATIENT_NAME, value, issuer).partition(":")
    assert key_id == KEY.id
    assert len(bytes.fromhex(digest)) == 16


def test_the_secret_is_never_shown() -> None:
    assert KEY.id != OTHER.id
    assert KEY.secret.hex() not in repr(KEY)
    assert "secret" not in repr(KEY)
    with pytest.raises(ValueError, match="expected a key of 32 bytes, came 3"):
        PseudonymKey(b"key")
