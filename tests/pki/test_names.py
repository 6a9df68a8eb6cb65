"""What may stand in a certificate: everything else is refused before a key is made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.pki.names import (
    Holder,
    Permitted,
    address,
    ae_title,
    ae_title_of,
    ae_title_uri,
    device_name,
    host,
    site_name,
)
from dicomgate.pki.problem import PkiError
from dicomgate.pki.words import Usage
from dicomgate.wire.text import is_valid_ae_title

NOT_NAMES = [
    "",
    "-x",
    "a/b",
    "../x",
    "a b",
    "a;rm",
    "$(id)",
    "`id`",
    "a\nb",
    "a\0",
    "ct.1",
    "x" * 64,
    "ä",
    "a'b",
    'a"b',
]


@pytest.mark.parametrize("text", NOT_NAMES)
def test_a_device_name_is_safe_everywhere(text: str) -> None:
    with pytest.raises(PkiError) as caught:
        device_name(text)
    assert len(str(caught.value).splitlines()) == 2  # the text and its hint: no line of the caller's own


@pytest.mark.parametrize("text", ["", " CT1", "CT1 ", "   ", "CT*", "C?1", "A\\B", "x" * 17, "CT\n1", "Ä", "CT\x7f"])
def test_an_ae_title_is_one_that_can_be_sent(text: str) -> None:
    with pytest.raises(PkiError):
        ae_title(text)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("*.north.example", "wildcard"),
        ("10.1.2.3", "--address"),
        ("::1", "--address"),
        ("ct1.north.example.", "no dot at the end"),
        ("ct_1.north.example", "letters"),
        ("-ct.north.example", "letters"),
        ("ct1..example", "letters"),
        ("klinik.münchen.example", "xn--"),
        ("ct1\n.example", "letters"),
        ("a b", "letters"),
        ("x" * 64 + ".example", "letters"),
        (".".join(["abcdefgh"] * 29), "letters"),
        ("1.2.3", "letters"),
        ("", "letters"),
    ],
)
def test_a_host_is_a_dns_name(text: str, because: str) -> None:
    with pytest.raises(PkiError, match="(?s)" + because.replace("--", "-+")):
        host(text)


def test_hosts_are_compared_in_lower_case() -> None:
    assert host("CT1.North.Example") == "ct1.north.example"


@pytest.mark.parametrize("text", ["10.1.2.0/24", "ct1", "10.1.2", "fe80::1%eth0", "::ffff:10.1.2.3", "", "010.1.1.1"])
def test_an_address_is_literal_and_plain(text: str) -> None:
    with pytest.raises(PkiError):
        address(text)


@pytest.mark.parametrize("text", ["", " ", " x", "a\nb", "x" * 49, "a\x00"])
def test_the_name_of_a_site_is_printable(text: str) -> None:
    with pytest.raises(PkiError):
        site_name(text)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=16).filter(is_valid_ae_title))
def test_the_uri_of_an_ae_title_says_it_back(title: str) -> None:
    uri = ae_title_uri(title)
    assert set(uri) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%:")
    assert ae_title_of(uri) == title


@pytest.mark.parametrize("uri", ["dicom-ae:", "dicom-ae:%", "dicom-ae:a b", "dicom:CT1", "CT1", "dicom-ae:%43T1"])
def test_another_uri_names_no_ae_title(uri: str) -> None:
    assert ae_title_of(uri) is None


@given(st.text(max_size=80), st.sampled_from([device_name, ae_title, host, address, site_name]))
def test_any_text_is_taken_or_refused_in_two_lines(text: str, parse: object) -> None:
    said = ""
    try:
        parse(text)  # type: ignore[operator]
    except PkiError as error:
        said = str(error)
    assert said.count("\n") == (1 if said else 0)
    assert said.replace("\n", "").isprintable()


def test_a_server_has_a_place() -> None:
    with pytest.raises(PkiError, match="expected a host or an address"):
        Holder.of("ct-1", ["CT1"], [], [], Usage.BOTH)
    assert Holder.of("ct-1", ["CT1"], [], [], Usage.CLIENT).ae_titles == ("CT1",)
    with pytest.raises(PkiError, match="at least one"):
        Holder.of("ct-1", [], [], [], Usage.CLIENT)


def test_names_are_bounded_and_said_once() -> None:
    many = [f"h{number}.north.example" for number in range(65)]
    with pytest.raises(PkiError, match="at most 64 names"):
        Holder.of("ct-1", [], many, [], Usage.BOTH)
    assert Holder.of("ct-1", ["A", "A"], ["h.x", "H.x"], ["10.0.0.1"] * 2, Usage.BOTH) == Holder.of(
        "ct-1", ["A"], ["h.x"], ["10.0.0.1"], Usage.BOTH
    )


@pytest.mark.parametrize("texts", [[], ["any", "north.example"], ["10.1.0.1/16"], ["*.example"], ["10.1.0.0/33"], [""]])
def test_bounds_are_written_or_any_is_written(texts: list[str]) -> None:
    with pytest.raises(PkiError):
        Permitted.of(texts)


def test_any_has_no_bounds() -> None:
    assert Permitted.of(["any"]) is None


@pytest.mark.parametrize(
    ("name", "where", "inside"),
    [
        ("north.example", None, True),
        ("ct1.north.example", None, True),
        ("ct1.xnorth.example", None, False),
        ("north.example.evil", None, False),
        ("evil", None, False),
        (None, "10.1.255.255", True),
        (None, "10.2.0.0", False),
        (None, "::1", False),
    ],
)
def test_bounds_hold(name: str | None, where: str | None, inside: bool) -> None:
    bounds = Permitted.of([".north.example", "10.1.0.0/16"])
    assert bounds is not None
    holder = Holder.of("x", [], [name] if name else [], [where] if where else [], Usage.BOTH)
    if inside:
        bounds.check(holder)
    else:
        with pytest.raises(PkiError, match=r"outside.*north\.example, 10\.1\.0\.0/16"):
            bounds.check(holder)
