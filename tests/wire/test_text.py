import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.wire.text import is_valid_ae_title, is_valid_uid, trim_ae_title


@pytest.mark.parametrize("text", ["1", "0", "1.2.840.10008.1.1", "1.02.3", "1." * 31 + "12"])
def test_uids_of_the_standard_and_of_real_objects_are_valid(text):
    assert is_valid_uid(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "1.", ".1", "1..2", "1.2 ", "1.2\0", "1.2\n", "1.x", "1/2", "\u0661.2", "1." * 32 + "1"]
)
def test_other_text_is_no_uid(text):
    assert not is_valid_uid(text)


@pytest.mark.parametrize("text", ["A", "CT 1", "ct1", "*", "/etc/passwd", " LEADING", "ABCDEFGHIJKLMNOP"])
def test_ae_titles_are_1_to_16_printable_characters(text):
    assert is_valid_ae_title(text)


@pytest.mark.parametrize("text", ["", " ", " " * 16, "ABCDEFGHIJKLMNOPQ", "A\\B", "A\0", "A\n", "A\x7f", "Ä"])
def test_other_text_is_no_ae_title(text):
    assert not is_valid_ae_title(text)


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        (b"CT1             ", "CT1"),
        (b"   CT 1         ", "CT 1"),
        (b"CT1\0\0\0", "CT1"),
        (b"CT1 \0 \0", "CT1"),
        (b"                ", ""),
        (b"\0" * 16, ""),
        (b"", ""),
        (b"A\\B", None),
        (b"\0CT1", None),
        (b"CT\x001", None),
        (b"CT1\n", None),
        (b"CT\xc4", None),
    ],
)
def test_only_padding_is_trimmed_from_a_title(raw, title):
    assert trim_ae_title(raw) == title


@settings(derandomize=True)
@given(st.binary(max_size=16))
def test_a_trimmed_title_is_valid_or_empty(raw):
    title = trim_ae_title(raw)
    assert not title or is_valid_ae_title(title)
