"""Names of clients: the realm is what stands behind the last @, and never what somebody put into a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.iam.kerberos.names import Client, client


@pytest.mark.parametrize(
    ("text", "name", "realm"),
    [
        ("alice@CLINIC.EXAMPLE", "alice", "CLINIC.EXAMPLE"),
        ("alice/admin@CLINIC.EXAMPLE", "alice/admin", "CLINIC.EXAMPLE"),
        (r"alice\@clinic.example@CLINIC.EXAMPLE", r"alice\@clinic.example", "CLINIC.EXAMPLE"),
        (r"alice\\@OTHER.EXAMPLE", r"alice\\", "OTHER.EXAMPLE"),
        (r"a\/b@X", r"a\/b", "X"),
    ],
)
def test_name_and_realm(text: str, name: str, realm: str) -> None:
    found = client(text)
    assert found == Client(name, realm)
    assert found.called(strip_realm=False) == text
    assert found.called(strip_realm=True) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "@CLINIC.EXAMPLE",
        "alice@",
        "alice@A@B",
        r"alice\@CLINIC.EXAMPLE",
        r"alice@CLINIC\@EXAMPLE",
        "ali\nce@CLINIC.EXAMPLE",
        "alice\0@CLINIC.EXAMPLE",
        "x" * 250 + "@CLINIC.EXAMPLE",
    ],
)
def test_what_is_no_name(text: str) -> None:
    assert client(text) is None


@pytest.mark.parametrize("text", ["WELLKNOWN/ANONYMOUS@CLINIC.EXAMPLE", "WELLKNOWN/FAST@X", "WELLKNOWN@X"])
def test_reserved_names_are_nobody(text: str) -> None:
    """RFC 6111 3, RFC 8062: a ticket that a realm gives to anybody."""
    found = client(text)
    assert found is not None
    assert found.anonymous


@given(st.text(max_size=40))
def test_no_name_reaches_into_the_realm(name: str) -> None:
    escaped = "".join(rf"\{each}" if each in "@\\/" else each for each in name)
    found = client(f"{escaped}@CLINIC.EXAMPLE")
    assert found is None or found.realm == "CLINIC.EXAMPLE"
