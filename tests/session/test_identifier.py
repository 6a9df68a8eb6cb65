"""A C-FIND that asks for everything is told from one that does not, and nothing else is learned from it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.record import Event
from dicomgate.session.identifier import IdentifierReader
from playbook import Playbook, acceptor, data_set, message, requestor
from session.cast import EXPLICIT, IMPLICIT, ON_FIND, answer, find, workstation

SEQUENCE, ITEM, ITEM_END, SEQUENCE_END = (0x0040, 0x0100), (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
LEVEL = ((0x0008, 0x0052), b"CS", b"STUDY ")
NAME = (0x0010, 0x0010)


def element(tag: tuple[int, int], vr: bytes, value: bytes, explicit: bool = False, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if tag[0] == 0xFFFE or not explicit:
        return struct.pack("<HHI", *tag, size) + value
    if vr in (b"SQ", b"UT"):
        return struct.pack("<HH2sHI", *tag, vr, 0, size) + value
    return struct.pack("<HH2sH", *tag, vr, size) + value


def is_unrestricted(data: bytes, syntax: str = IMPLICIT, cut: int = 1000) -> bool:
    reader = IdentifierReader(syntax)
    wire = data_set(ON_FIND, data, fragment=50)
    for start in range(0, len(wire), cut):
        reader.feed(memoryview(wire)[start : start + cut])
    return reader.is_unrestricted


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"", True), (b"*", True), (b"* ", True), (b"**\0 ", True), (b"A*", False), (b"?", False), (b"DOE^JOHN", False)],
)
def test_only_empty_keys_and_stars_ask_for_everything(value: bytes, expected: bool, explicit: bool) -> None:
    keys = (LEVEL, (NAME, b"PN", value), ((0x0020, 0x000D), b"UI", b""))
    data = b"".join(element(*key, explicit=explicit) for key in keys)
    for cut in (1, 7, 1000):
        assert is_unrestricted(data, EXPLICIT if explicit else IMPLICIT, cut) is expected


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(("value", "expected"), [(b"", True), (b"CT1 ", False)])
def test_a_key_inside_a_sequence_restricts(value: bytes, expected: bool, undefined: bool, explicit: bool) -> None:
    inner = element((0x0040, 0x0001), b"AE", value, explicit)
    unknown = 0xFFFFFFFF if undefined else None
    item = element(ITEM, b"", inner, explicit, unknown) + (element(ITEM_END, b"", b"") if undefined else b"")
    sequence = element(SEQUENCE, b"SQ", item, explicit, unknown) + (
        element(SEQUENCE_END, b"", b"") if undefined else b""
    )
    data = element(*LEVEL, explicit=explicit) + sequence
    assert is_unrestricted(data, EXPLICIT if explicit else IMPLICIT) is expected


def test_what_cannot_be_read_accuses_nobody() -> None:
    whole = element(*LEVEL) + element(NAME, b"PN", b"")
    assert is_unrestricted(whole)
    assert not is_unrestricted(whole, "1.2.840.10008.1.2.1.99")  # deflated
    assert not is_unrestricted(whole[:-1])
    assert not is_unrestricted(whole + element(NAME, b"PN", b"", length=5))
    assert not is_unrestricted(whole + b"".join(element((0x0010, n), b"", b"") for n in range(4000)))  # too long


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 40))
def test_any_bytes_give_an_answer_that_does_not_depend_on_the_cut(data: bytes, explicit: bool, cut: int) -> None:
    syntax = EXPLICIT if explicit else IMPLICIT
    assert is_unrestricted(data, syntax, cut) is is_unrestricted(data, syntax)


@pytest.mark.parametrize(("value", "told"), [(b"*", {"unrestricted": True}), (b"DOE", {})])
def test_the_record_of_a_query_says_so_and_nothing_more(value: bytes, told: dict[str, bool]) -> None:
    identifier = element(*LEVEL, explicit=True) + element(NAME, b"PN", value.ljust(4), explicit=True)
    play: Playbook = (
        workstation()
        >> requestor(message(ON_FIND, find(2), identifier, fragment=10))
        << ...
        >> acceptor(message(ON_FIND, answer(find(2))))
        << ...
    )
    record = play.records[-1]
    assert record.event is Event.OPERATION
    assert record.detail == {"sender": "requestor", "responses": 1, "query_level": "STUDY", **told}
    assert "DOE" not in str(record)
