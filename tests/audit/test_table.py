"""CSV that is safe to open: no formula, no second line, no hidden character, and no record that looks like two."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.table import csv_lines


def cell(value: object) -> str:
    _, line = csv_lines(["a", "b", "c"], [[1, value, "end"]])
    ((first, shown, end),) = csv.reader([line])
    assert (first, end) == ("1", "end")
    return shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("CT1;=1+1", "CT1;'=1+1"),
        ('x",=1', "x\",'=1"),
        ("a\r\nb\x1b[2J\0", "a\\r\\nb\\x1b[2J\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("lone \udc80", "lone \\udc80"),
        ('plain, with "quotes" and ünïcode', 'plain, with "quotes" and ünïcode'),
        (None, ""),
        (-0.5, "-0.5"),
        (-3, "-3"),
    ],
)
def test_cells(value: object, shown: str) -> None:
    assert cell(value) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_one_harmless_cell(text: str) -> None:
    shown = cell(text)
    assert shown.isprintable()
    assert shown.lstrip()[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
