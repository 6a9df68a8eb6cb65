"""The digest is that of the data set, whatever fragments and cuts; its instance is read from its beginning."""

import zlib
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.session.data_set import HEAD, sop_instance_uid
from dicomgate.session.digest import DataSetDigest
from dicomgate.wire.framer import DataRun, Framer
from playbook import p_data, pdv

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8), st.data())
def test_neither_fragments_nor_cuts_matter(data, places, more):
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    pdvs = [pdv(3, 2 if n == len(pieces) - 1 else 0, piece) for n, piece in enumerate(pieces)]
    stream = b""
    while pdvs:
        together = more.draw(st.integers(1, 3))
        stream, pdvs = stream + p_data(*pdvs[:together]), pdvs[together:]
    framer, digest, size = Framer(1024, 1 << 20), DataSetDigest(EXPLICIT), 0
    while stream:
        step = more.draw(st.integers(1, 4000))
        for frame in framer.feed(memoryview(stream[:step])):
            assert isinstance(frame, DataRun)
            digest.feed(frame.wire)
            size += frame.size
        stream = stream[step:]
    assert size == len(data)
    assert digest.sha256 == sha256(data).hexdigest()


def explicit(group: int, element: int, vr: bytes, value: bytes, order: str = "little") -> bytes:
    head = group.to_bytes(2, order) + element.to_bytes(2, order) + vr  # type: ignore[arg-type]
    length = len(value).to_bytes(2, order)  # type: ignore[arg-type]
    return head + length + value


def implicit(group: int, element: int, value: bytes) -> bytes:
    return group.to_bytes(2, "little") + element.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


UID = explicit(8, 0x18, b"UI", b"1.2.3\0")
LONG = (8).to_bytes(2, "little") + (6).to_bytes(2, "little") + b"SQ\0\0"
ITEM, ITEM_END = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
INSIDE = explicit(8, 0x18, b"UI", b"9.9.9\0")


@pytest.mark.parametrize(
    ("head", "syntax", "uid"),
    [
        (UID, EXPLICIT, "1.2.3"),
        (explicit(8, 5, b"CS", b"ISO_IR 100") + UID, EXPLICIT, "1.2.3"),
        (implicit(8, 5, b"ISO_IR 100") + implicit(8, 0x18, b"1.2.3\0"), IMPLICIT, "1.2.3"),
        (
            explicit(8, 5, b"CS", b"ISO_IR 100", "big") + explicit(8, 0x18, b"UI", b"1.2.3\0", "big"),
            BIG_ENDIAN,
            "1.2.3",
        ),
        # A sequence in front, of either kind of length, hides its own elements.
        (LONG + b"\x12\0\0\0" + ITEM[:4] + b"\x0a\0\0\0" + b"\x08\0\x18\0UI\x02\x009 " + UID, EXPLICIT, "1.2.3"),
        (LONG + b"\xff" * 4 + ITEM + INSIDE + ITEM_END + SEQUENCE_END + UID, EXPLICIT, "1.2.3"),
        (LONG + b"\xff" * 4 + SEQUENCE_END + UID, EXPLICIT, "1.2.3"),
        (LONG + b"\xff" * 4 + ITEM + INSIDE + ITEM_END, EXPLICIT, None),
        # Not said, or not for sure.
        (b"", EXPLICIT, None),
        (UID[:-1], EXPLICIT, None),
        (UID[:7], EXPLICIT, None),
        (explicit(8, 0x20, b"DA", b"20260101") + UID, EXPLICIT, None),
        (explicit(8, 0x16, b"UI", b"1\0") + explicit(8, 5, b"CS", b"A ") + UID, EXPLICIT, None),
        (explicit(8, 0x18, b"UI", b"\xff\xfe"), EXPLICIT, None),
        (SEQUENCE_END + UID, EXPLICIT, None),
        (LONG, EXPLICIT, None),
        (UID, DEFLATED, None),
        (deflated(UID + bytes(100_000)), DEFLATED, "1.2.3"),
        (deflated(UID)[:-4], DEFLATED, None),
        (b"noise that is no data set", IMPLICIT, None),
    ],
)
def test_which_instance_it_says_it_is(head: bytes, syntax: str, uid: str | None) -> None:
    assert sop_instance_uid(head, syntax) == uid


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED]))
def test_any_bytes_are_read_without_an_error(head, syntax):
    uid = sop_instance_uid(head, syntax)
    assert uid is None or len(uid) <= HEAD


def test_only_the_beginning_is_kept() -> None:
    digest = DataSetDigest(EXPLICIT)
    digest.feed(p_data(pdv(3, 0, UID + bytes(HEAD))) + p_data(pdv(3, 2, bytes(100_000))))
    assert len(digest._head) == HEAD
    assert digest.sop_instance_uid == "1.2.3"


def test_a_uid_behind_the_beginning_is_not_found() -> None:
    digest = DataSetDigest(EXPLICIT)
    long = (8).to_bytes(2, "little") + (1).to_bytes(2, "little") + b"UN\0\0" + HEAD.to_bytes(4, "little") + bytes(HEAD)
    digest.feed(p_data(pdv(3, 2, long + UID)))
    assert digest.sop_instance_uid is None
