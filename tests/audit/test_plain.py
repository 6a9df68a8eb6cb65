"""Text from anywhere becomes one line that every receiver takes."""

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dicomgate.audit.plain import LONGEST, REPLACEMENT, plain


def test_ordinary_text_stays() -> None:
    for text in ("CT1", "Grüße, 東京 🏥", 'a "quoted" <tag> & more', "a b"):
        assert plain(text) == text


def test_controls_line_ends_and_what_turns_text_around_are_replaced() -> None:
    for odd in "\x00\t\n\r\x1b\x7f\x85\u2028\u202e\u2066\ud800\udfff\ufeff\uffff":
        assert plain(f"a{odd}b") == f"a{REPLACEMENT}b"


def test_long_text_is_cut() -> None:
    assert plain("x" * 5000) == "x" * (LONGEST - 1) + "…"
    assert plain("x" * LONGEST) == "x" * LONGEST


@given(st.text(st.characters(), max_size=100))
def test_the_result_is_a_line_that_xml_can_hold(text: str) -> None:
    found = plain(text)
    assert len(found.splitlines()) <= 1
    assert etree.fromstring(f"<a>{found.replace('&', '').replace('<', '')}</a>".encode()).tag == "a"
