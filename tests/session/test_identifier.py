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
    return told(data, syntax, cut).get("unrestricted", False) is True


def told(data: bytes, syntax: str = IMPLICIT, cut: int = 1000) -> dict[str, object]:
    reader = IdentifierReader(syntax)
    wire = data_set(ON_FIND, data, fragment=50)
    for start in range(0, len(wire), cut):
        reader.feed(memoryview(wire)[start : start + cut])
    return reader.told()


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


DATE, TIME, ID, STUDY = (0x0008, 0x0020), (0x0008, 0x0030), (0x0010, 0x0020), (0x0020, 0x000D)


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize(
    ("keys", "step"),
    [
        ([(DATE, b"DA", b"20261122")], "study_date 20261122"),
        ([(DATE, b"DA", b"20260101-20261122 ")], "study_date 20260101-20261122"),
        ([(DATE, b"DA", b"20261122"), (TIME, b"TM", b"0800-0859 ")], "study_date 20261122 0800-0859"),
        ([(NAME, b"PN", b"A*")], "patient_name A"),
        ([(NAME, b"PN", b"ab**")], "patient_name AB"),
        ([(ID, b"LO", b"1*")], "patient_id 1"),
        ([(DATE, b"DA", b"20261122"), (NAME, b"PN", b"A*")], "patient_name A"),
        ([(NAME, b"PN", b"DOE*")], None),
        ([(NAME, b"PN", b"AB")], None),
        ([(DATE, b"DA", b"20261122"), (NAME, b"PN", b"DOE^JOHN")], None),
        ([(DATE, b"DA", b"20261122"), (STUDY, b"UI", b"1.2.3\0")], None),
        ([(DATE, b"DA", b"DOE^JOHN")], None),
        ([(DATE, b"DA", b"20261122"), (TIME, b"TM", b"DOE^JOHN")], None),
    ],
)
def test_a_slice_is_told_and_a_patient_is_not(
    keys: list[tuple[tuple[int, int], bytes, bytes]], step: str | None, explicit: bool
) -> None:
    data = b"".join(element(*key, explicit=explicit) for key in (LEVEL, *keys, ((0x0020, 0x0010), b"SH", b"")))
    assert told(data, EXPLICIT if explicit else IMPLICIT) == ({} if step is None else {"step": step})


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(("levels", "nesting"), [(2, None), (4, None), (5, 5), (60, 60), (600, 600)])
def test_how_deep_a_query_goes(levels: int, nesting: int | None, undefined: bool) -> None:
    data = b""
    for _ in range(levels):
        unknown = 0xFFFFFFFF if undefined else None
        end = (element(ITEM_END, b"", b""), element(SEQUENCE_END, b"", b"")) if undefined else (b"", b"")
        data = element(SEQUENCE, b"SQ", element(ITEM, b"", data, length=unknown) + end[0], length=unknown) + end[1]
        if len(data) > 15_000:
            return  # longer keys are not looked at
    assert told(data).get("nesting") == nesting
    assert told(data[: len(data) // 2 + 1]).get("nesting", 0) in range(levels + 1)  # cut off: what was there counts


def test_two_sequences_beside_each_other_are_not_inside() -> None:
    one = element(SEQUENCE, b"SQ", element(ITEM, b"", b""))
    assert told(one * 40) == {"unrestricted": True}


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 40))
def test_any_bytes_give_an_answer_that_does_not_depend_on_the_cut(data: bytes, explicit: bool, cut: int) -> None:
    syntax = EXPLICIT if explicit else IMPLICIT
    assert told(data, syntax, cut) == told(data, syntax)


@pytest.mark.parametrize(("value", "asked_for"), [(b"*", {"unrestricted": True}), (b"DOE", {})])
def test_the_record_of_a_query_says_so_and_nothing_more(value: bytes, asked_for: dict[str, bool]) -> None:
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
    assert record.detail == {"sender": "requestor", "responses": 1, "query_level": "STUDY", **asked_for}
    assert "DOE" not in str(record)
