"""Canonical text and salted leaves: the same for ever, different for every different record."""

import json
import math
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.leaf import (
    NotCanonicalError,
    Value,
    canonical,
    decoded,
    is_salt,
    salted,
    salted_leaf,
)

COLUMNS = {"time": float, "event": str, "port": int, "reason": str}
ENCODE = canonical(COLUMNS)
SALT = salted(bytes(range(16)))


def test_the_encoding_never_changes() -> None:
    text = ENCODE(7, (1763805000.125, "operation", 104, 'line\nfeed "quoted" \\ ü \U0001f600 \x7f\x00'))
    assert text == (
        '{"event":"operation","port":104,'
        '"reason":"line\\nfeed \\"quoted\\" \\\\ \\u00fc \\ud83d\\ude00 \\u007f\\u0000",'
        '"sequence":7,"time":1763805000.125}'
    )
    assert salted_leaf(SALT, text) == sha256(b"\x00\x01" + bytes(range(16)) + text.encode()).digest()
    assert salted_leaf(SALT, text).hex() == "20cc06ee3d0388c59841b827de6aa00b1ce5d0172af7949818b147b3488478b4"


def test_null_is_left_out_so_that_new_columns_change_nothing() -> None:
    wider = canonical({"address": str, **COLUMNS, "zone": int})
    assert ENCODE(1, (0.0, "x", None, None)) == wider(1, (None, 0.0, "x", None, None, None))
    assert ENCODE(1, (0.0, "x", None, None)) == '{"event":"x","sequence":1,"time":0.0}'


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1, "0.1"), (-0.0, "0.0"), (5, "5.0"), (1e22, "1e+22"), (5e-324, "5e-324"), (True, "1.0")],
)
def test_numbers_with_a_fraction(number: float, text: str) -> None:
    assert f'"time":{text}}}' in ENCODE(1, (number, None, None, None))


@pytest.mark.parametrize(
    "row",
    [
        ("0", "x", 1, "y"),
        (0.0, 1, 1, "y"),
        (0.0, b"x", 1, "y"),
        (0.0, "x", 1.0, "y"),
        (0.0, "x", "1", "y"),
        (0.0, "x", b"1", "y"),
        (math.nan, "x", 1, "y"),
        (math.inf, "x", 1, "y"),
        (0.0, "x", 1, ["y"]),
    ],
)
def test_another_type_has_no_canonical_text(row: tuple[Value, ...]) -> None:
    with pytest.raises(NotCanonicalError):
        ENCODE(1, row)


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.none()
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.none()
ROWS = st.tuples(FLOATS, TEXTS, st.integers(-(2**63), 2**63 - 1) | st.none(), TEXTS)
NUMBERED = st.tuples(st.integers(1, 2**63 - 1), ROWS)


def equal(one: tuple[int, tuple[Value, ...]], other: tuple[int, tuple[Value, ...]]) -> bool:
    return one == other


@given(NUMBERED, NUMBERED)
def test_two_records_have_the_same_text_only_when_they_are_equal(
    one: tuple[int, tuple[Value, ...]], other: tuple[int, tuple[Value, ...]]
) -> None:
    assert (ENCODE(*one) == ENCODE(*other)) == equal(one, other)


@given(NUMBERED)
def test_it_is_plain_json_and_can_be_read_back(numbered: tuple[int, tuple[Value, ...]]) -> None:
    sequence, row = numbered
    text = ENCODE(sequence, row)
    held = {name: value for name, value in zip(COLUMNS, row, strict=True) if value is not None}
    assert text.isascii()
    assert json.loads(text) == decoded(text) == {"sequence": sequence, **held}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "7",
        '{"event":"x"}',
        '{"event":"x","sequence":1.0}',
        '{"event":"x","sequence":true}',
        '{"event":"x","sequence":"1"}',
        '{"event":"x", "sequence":1}',
        '{"sequence":1,"event":"x"}',
        '{"event":"x","event":"y","sequence":1}',
        '{"event":null,"sequence":1}',
        '{"event":["x"],"sequence":1}',
        '{"event":"\\u0041","sequence":1}',
        '{"event":"ü","sequence":1}',
        '{"ü":"x","sequence":1}',
        '{"a\\"b":"x","sequence":1}',
        '{"sequence":1,"time":NaN}',
        '{"sequence":1,"time":1e400}',
        '{"sequence":1,"time":1.00}',
        "[" * 100_000,
        '{"sequence":' + "9" * 5000 + "}",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(NotCanonicalError, match="expected the canonical text"):
        decoded(text)


def test_another_salt_is_another_leaf() -> None:
    text = ENCODE(1, (0.0, "x", 1, "y"))
    assert salted_leaf(SALT, text) != salted_leaf(salted(bytes(16)), text)


def test_what_a_salt_is() -> None:
    assert is_salt(SALT)
    assert len(SALT) == 17
    for other in (None, "x" * 17, SALT[1:], SALT + b"\0", b"\x02" + SALT[1:], b""):
        assert not is_salt(other)
    with pytest.raises(ValueError, match="expected 16 random bytes"):
        salted(b"short")
