import pytest

from dicomgate.wire.codes import AbortReason, ItemType
from dicomgate.wire.items import MOST_ITEMS, ItemError, counted, duplicate, item, items, uid


def test_items_are_spans_of_the_body():
    body = b"??" + item(ItemType.MAXIMUM_LENGTH, b"abcd") + item(ItemType.IMPLEMENTATION_VERSION_NAME, b"")
    assert list(items(body, 2, len(body), "here")) == [(0x51, 6, 10), (0x55, 14, 14)]


def test_the_first_items_are_seen_before_the_broken_one_is_refused():
    body = item(ItemType.MAXIMUM_LENGTH, b"abcd") + b"\x52\0\0\2x"
    walk = items(body, 0, len(body), "here")
    assert next(walk) == (0x51, 4, 8)
    with pytest.raises(ItemError, match="here: item 52H says 2 bytes, its parent has 1 left at byte 18 of the PDU"):
        next(walk)


def test_as_many_items_as_the_limit_are_read():
    body = item(ItemType.MAXIMUM_LENGTH, b"") * MOST_ITEMS
    assert sum(1 for _ in items(body, 0, len(body), "here")) == MOST_ITEMS


def test_one_item_more_is_refused():
    body = item(ItemType.MAXIMUM_LENGTH, b"") * (MOST_ITEMS + 1)
    with pytest.raises(ItemError, match=f"at most {MOST_ITEMS} items"):
        list(items(body, 0, len(body), "here"))


def test_a_counted_field_may_end_with_its_item_but_not_later():
    assert counted(b"\0\2ab", 0, 4, "here") == (2, 4)
    with pytest.raises(ItemError, match="a field says 3 bytes, its item has 2 left"):
        counted(b"\0\3ab", 0, 4, "here")
    with pytest.raises(ItemError, match="a field length of 2 bytes, 1 left"):
        counted(b"\0", 0, 1, "here")


@pytest.mark.parametrize("raw", [b"1.2", b"1.2\0", b"1.2 ", b"1.2\0 \0"])
def test_padding_of_a_uid_is_taken_off(raw):
    assert uid(b"9" + raw + b"9", 1, 1 + len(raw), "here") == "1.2"


@pytest.mark.parametrize("raw", [b"", b"\0", b" 1.2", b"1.2\x001", b"1" * 65, b"1.2\n", b"\xd9\xa1"])
def test_anything_else_is_no_uid(raw):
    with pytest.raises(ItemError, match="here: expected a UID"):
        uid(raw, 0, len(raw), "here")


def test_a_second_item_is_an_unexpected_parameter():
    assert duplicate("item 10H", "here").reason is AbortReason.UNEXPECTED_PDU_PARAMETER
