"""Which spellings are the same user, and which names a local user may have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.identity.names import account_name, folded


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "alice"),
        ("MÜLLER", "müller"),
        ("mu\u0308ller", "müller"),
        ("STRASSE", "straße"),
        ("\uff41\uff4c\uff49\uff43\uff45", "alice"),
        ("dr   meier", " Dr Meier "),
        ("İ", "i\u0307"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("alice", "\u0430lice"), ("alice", "alice1"), ("dr meier", "drmeier")])
def test_not_the_same(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dr.Meier", "dr.meier"),
        ("o'brien", "o'brien"),
        ("a_b-c@x.example", "a_b-c@x.example"),
        ("\uff17", "7"),
    ],
)
def test_names_of_accounts(text: str, name: str) -> None:
    assert account_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        ".hidden",
        "-rf",
        "../x",
        "a/b",
        "a\\b",
        "a*",
        "(a)",
        "a\0",
        "a\nb",
        "\u202ealice",
        "x" * 65,
        "a;b",
        'a"b',
        "a:b",
        "a,b",
        "a=b",
        "\udc80",
        "a\u200b",
    ],
)
def test_no_names_of_accounts(text: str) -> None:
    assert account_name(text) is None


@given(st.text(max_size=80))
def test_an_account_is_found_by_the_name_it_was_given(text: str) -> None:
    name = account_name(text)
    assert name is None or (account_name(name) == name == folded(text))
