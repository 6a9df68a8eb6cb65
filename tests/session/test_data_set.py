"""What a data set is about is read from its beginning: whatever the cut, and nothing from what is malformed."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicomgate.audit.patient import PatientId
from dicomgate.session import data_set
from dicomgate.session.data_set import DEEPEST, LONGEST_VALUE, MOST_ELEMENTS, MOST_INFLATED, About, DataSetHead
from dicomgate.wire.framer import DataRun, Framer
from playbook import p_data, pdv

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
LONG = (b"OB", b"OW", b"SQ", b"UN", b"UT")
UNDEFINED = 0xFFFFFFFF
Tag = tuple[int, int]


@dataclass(frozen=True)
class Element:
    """One element: bytes, or the elements of each item of a sequence, with defined lengths or without."""

    tag: Tag
    vr: bytes
    value: bytes | list[list[Element]]
    undefined: bool = False


def encoded(elements: list[Element], syntax: str) -> bytes:
    """A second reading of PS3.5 7.1 and 7.5, for the tests."""
    if syntax == DEFLATED:
        return zlib.compress(encoded(elements, EXPLICIT), wbits=-zlib.MAX_WBITS)
    return b"".join(_element(each, syntax) for each in elements)


def _element(each: Element, syntax: str) -> bytes:
    order, inner = ">" if syntax == BIG_ENDIAN else "<", syntax
    if each.vr == b"UN" and each.undefined:
        inner = IMPLICIT
    if isinstance(each.value, bytes):
        value = each.value
    else:
        value = b"".join(_item(item, inner, each.undefined) for item in each.value)
        if each.undefined:
            value += struct.pack(f"{'>' if inner == BIG_ENDIAN else '<'}HHI", *SEQUENCE_END, 0)
    length = UNDEFINED if each.undefined else len(value)
    if syntax == IMPLICIT:
        return struct.pack("<HHI", *each.tag, length) + value
    if each.vr in LONG:
        return struct.pack(order + "HH2sHI", *each.tag, each.vr, 0, length) + value
    return struct.pack(order + "HH2sH", *each.tag, each.vr, length) + value


def _item(elements: list[Element], syntax: str, undefined: bool) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    content = encoded(elements, syntax)
    head = struct.pack(order + "HHI", *ITEM, UNDEFINED if undefined else len(content))
    return head + content + (struct.pack(order + "HHI", *ITEM_END, 0) if undefined else b"")


def text(tag: Tag, value: str | bytes, vr: bytes = b"LO") -> Element:
    raw = value if isinstance(value, bytes) else value.encode("ascii")
    return Element(tag, vr, raw + b" \0"[vr == b"UI" :][:1] * (len(raw) % 2))


def head_of(data: bytes, syntax: str = EXPLICIT, *, fragment: int = 1000, cut: int = 1 << 20) -> DataSetHead:
    """Through the framer, as the gate reads it."""
    pieces = [data[start : start + fragment] for start in range(0, len(data), fragment)] or [b""]
    stream = b"".join(p_data(pdv(3, 2 if n == len(pieces) - 1 else 0, piece)) for n, piece in enumerate(pieces))
    framer, head = Framer(1024, 1 << 20), DataSetHead(syntax)
    for start in range(0, len(stream), cut):
        for frame in framer.feed(memoryview(stream)[start : start + cut]):
            assert isinstance(frame, DataRun)
            if not head.ended:
                head.feed(frame.wire)
    return head


def about(elements: list[Element], syntax: str = EXPLICIT, *, identifier: bool = False) -> About:
    return head_of(encoded(elements, syntax), syntax).about(identifier=identifier)


REFERENCED = [[text((8, 0x18), "9.9.9", b"UI"), text((0x10, 0x20), "OTHER"), text((0x20, 0xD), "9.9", b"UI")]]
"""What looks like it, in a sequence."""
IMAGE = [
    text((8, 5), "ISO_IR 100", b"CS"),
    text((8, 0x18), "1.2.3.4", b"UI"),
    Element((8, 0x1140), b"SQ", REFERENCED),
    Element((9, 0x1010), b"OB", bytes(500)),
    text((0x10, 0x10), "DOE^JANE", b"PN"),
    text((0x10, 0x20), "4711"),
    text((0x10, 0x21), "NORTH"),
    text((0x18, 0x15), "CHEST", b"CS"),
    text((0x20, 0xD), "1.2.3", b"UI"),
    text((0x20, 0xE), "1.2.3.1", b"UI"),
    text((0x20, 0x10), "S1", b"SH"),
    Element((0x7FE0, 0x10), b"OW", bytes(500)),
]
FOUND = About("1.2.3", "1.2.3.1", None, PatientId("4711", "NORTH"))
SYNTAXES = [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_image(syntax: str) -> None:
    head = head_of(encoded(IMAGE, syntax), syntax)
    assert head.ended, "long before the pixels"
    assert (head.sop_instance_uid, head.about(identifier=False)) == ("1.2.3.4", FOUND)


nested = st.deferred(lambda: st.lists(st.lists(elements_inside, max_size=3), max_size=3))
elements_inside = st.builds(
    Element,
    st.sampled_from([(8, 0x18), (0x10, 0x20), (0x20, 0xD), (0x20, 0xE), (0x7FE0, 0x10)]),
    st.just(b"LO"),
    st.binary(max_size=20),
) | st.builds(Element, st.just((8, 0x1115)), st.sampled_from([b"SQ", b"UN"]), nested, st.just(True))
in_front = st.builds(Element, st.just((8, 0x1140)), st.sampled_from([b"SQ", b"UN"]), nested, st.just(True)) | st.builds(
    Element, st.just((8, 0x1140)), st.just(b"SQ"), nested
)


@given(in_front, st.sampled_from(SYNTAXES), st.integers(2, 3000), st.integers(1, 5000))
def test_neither_what_is_nested_nor_fragments_nor_cuts_matter(
    sequence: Element, syntax: str, fragment: int, cut: int
) -> None:
    if syntax == BIG_ENDIAN and "UN" in repr(sequence):
        return  # nobody agrees on the byte order inside
    elements = [sequence if each.tag == (8, 0x1140) else each for each in IMAGE]
    head = head_of(encoded(elements, syntax), syntax, fragment=fragment, cut=cut)
    assert (head.sop_instance_uid, head.about(identifier=False)) == ("1.2.3.4", FOUND)


@given(
    st.sampled_from(SYNTAXES),
    st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=6)), max_size=4),
    st.integers(0, 20_000),
    st.integers(1, 3000),
)
@example(EXPLICIT, [(0, b"\xfe\xff\x0d\xe0")], 20_000, 1)
def test_whatever_is_changed_is_read_without_an_error_and_in_bounds(
    syntax: str, changes: list[tuple[int, bytes]], end: int, cut: int
) -> None:
    data = bytearray(encoded(IMAGE, syntax))
    for place, change in changes:
        data[place : place + len(change)] = change
    head = DataSetHead(syntax)
    wire = p_data(pdv(3, 2, bytes(data[:end])))
    cuts = [12, *range(12 + cut, len(wire), cut), len(wire)]
    head.feed(wire[:12])
    for start, stop in pairwise(cuts):
        head.feed(wire[start:stop])
        assert len(head._rest) <= 12 + LONGEST_VALUE
        assert len(head._open) <= 2 * DEEPEST
    found = head.about(identifier=False)
    assert repr(found).count("4711") == 0
    assert head.sop_instance_uid is None or len(head.sop_instance_uid) <= LONGEST_VALUE


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_any_bytes_are_read_without_an_error(data: bytes, syntax: str) -> None:
    head_of(data, syntax).about(identifier=True)


UID = encoded([text((8, 0x18), "1.2.3", b"UI")], EXPLICIT)
LEVEL = text((8, 0x52), "STUDY", b"CS")


@pytest.mark.parametrize(
    ("data", "syntax", "uid"),
    [
        (UID, EXPLICIT, "1.2.3"),
        (UID + UID, EXPLICIT, "1.2.3"),
        # Not said, or not for sure.
        (b"", EXPLICIT, None),
        (UID[:-1], EXPLICIT, None),
        (UID[:7], EXPLICIT, None),
        (encoded([text((8, 0x20), "20260101", b"DA")], EXPLICIT) + UID, EXPLICIT, None),
        (encoded([text((8, 0x16), "1", b"UI"), text((8, 5), "A", b"CS")], EXPLICIT) + UID, EXPLICIT, None),
        (encoded([text((8, 0x18), b"\xff\xfe", b"UI")], EXPLICIT), EXPLICIT, None),
        (struct.pack("<HHI", *SEQUENCE_END, 0) + UID, EXPLICIT, None),
        (struct.pack("<HH2sH", 8, 6, b"SQ", 0), EXPLICIT, None),
        (UID, DEFLATED, None),
        (b"noise that is no data set", IMPLICIT, None),
    ],
)
def test_which_instance_it_says_it_is(data: bytes, syntax: str, uid: str | None) -> None:
    assert head_of(data, syntax).sop_instance_uid == uid


def test_elements_out_of_order_leave_nothing_known() -> None:
    again = [*IMAGE[:-3], text((0x10, 0x20), "OTHER"), *IMAGE[-3:]]
    assert about(again) == About()
    assert head_of(encoded(again, EXPLICIT)).sop_instance_uid == "1.2.3.4", "up to there they were in order"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ([LEVEL, text((0x10, 0x20), "4711")], About(level="STUDY", patient=PatientId("4711"))),
        ([LEVEL, text((0x10, 0x20), "")], About(level="STUDY")),
        ([LEVEL, text((0x10, 0x20), "47*")], About(level="STUDY")),
        ([LEVEL, text((0x10, 0x20), "47?1")], About(level="STUDY")),
        ([LEVEL, text((0x10, 0x20), "4711\\0815")], About(level="STUDY")),
        ([LEVEL, text((0x20, 0xD), "1.2.3", b"UI")], About("1.2.3", level="STUDY")),
        ([LEVEL, text((0x20, 0xD), "1.2.3\\1.2.4", b"UI")], About(level="STUDY")),
        ([text((8, 0x52), "EVERYTHING", b"CS"), text((0x20, 0xD), "1.2.3\nx", b"UI")], About()),
        ([], About()),
    ],
)
def test_an_identifier(keys: list[Element], found: About) -> None:
    assert about(keys, identifier=True) == found


def test_a_patient_id_of_a_data_set_may_hold_a_star() -> None:
    assert about([text((0x10, 0x20), "47*")]).patient == PatientId("47*")


@pytest.mark.parametrize(
    ("character_set", "raw", "shown"),
    [
        ("ISO_IR 100", b"M\xdcLLER", "MÜLLER"),
        ("ISO_IR 192", "患者".encode(), "患者"),
        ("ISO 2022 IR 87", b"\x1b$B4", "\x1b$B4"),
        ("", b"M\xdcLLER", "M\\xdcLLER"),
        ("ISO_IR 192", b"\xff\xff", "\\xff\\xff"),
    ],
)
def test_patient_ids_in_other_scripts(character_set: str, raw: bytes, shown: str) -> None:
    assert about([text((8, 5), character_set, b"CS"), text((0x10, 0x20), raw)]).patient == PatientId(shown)


def test_a_value_that_is_too_long_is_passed_over() -> None:
    long = text((0x10, 0x20), "4" * (LONGEST_VALUE + 2))
    assert about([long, text((0x20, 0xD), "1.2.3", b"UI")]) == About("1.2.3")


def test_what_a_length_skips_costs_nothing_and_what_is_walked_has_an_end() -> None:
    uid = text((0x20, 0xD), "1.2.3", b"UI")
    big = Element((9, 0x1010), b"OB", bytes(1 << 20))
    assert about([big, uid]) == About("1.2.3")
    many = Element((9, 0x1010), b"SQ", [[]] * MOST_ELEMENTS, undefined=True)
    head = head_of(encoded([many, uid], EXPLICIT))
    assert (head.ended, head.about(identifier=False)) == (True, About())


def test_a_deflated_bomb_is_not_inflated() -> None:
    bomb = [Element((9, 0x1010), b"OB", bytes(100 * MOST_INFLATED)), text((0x20, 0xD), "1.2.3", b"UI")]
    head = head_of(encoded(bomb, DEFLATED), DEFLATED)
    assert (head.ended, head._inflated, head.about(identifier=False)) == (True, MOST_INFLATED, About())


def test_sequences_in_sequences_have_an_end() -> None:
    deep: list[Element] = []
    for _ in range(DEEPEST + 1):
        deep = [Element((9, 0x1010), b"SQ", [deep], undefined=True)]
    assert head_of(encoded(deep, EXPLICIT)).ended


def test_no_more_is_copied_than_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []
    walk = DataSetHead._walk
    monkeypatch.setattr(DataSetHead, "_walk", lambda self, data: (walked.append(len(data)), walk(self, data))[1])
    head = head_of(encoded(IMAGE[:3] + IMAGE[4:], EXPLICIT) + bytes(1 << 19), fragment=1 << 19)
    assert head.ended
    assert sum(walked) <= data_set._PIECE
