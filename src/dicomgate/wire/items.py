"""What all items and sub-items of A-ASSOCIATE PDUs share: bytes to spans and UIDs, and back (PS3.8 9.3.1, Annex F).

A span is a pair of offsets into the PDU body, so that nothing is copied before it is understood.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct

from dicomgate.wire.codes import AbortReason, ItemType

MOST_ITEMS = 1024
"""Items inside one parent. 128 presentation contexts, or a 54H, 56H and 57H for each of them, stay far below it."""

_LONGEST_UID = 128  # 64 characters, and as much padding as anybody has been seen to send
_HEADER = Struct(">BxH")
_LENGTH = Struct(">H")
_PDU_HEADER = 6
# Possessive quantifiers: a long run of padding before a wrong byte must not be tried again from each of its bytes.
_UID = re.compile(rb"([0-9.]{1,64}+)[\x00 ]*+")


class ItemError(Exception):
    """Ends the decoding of one PDU from any depth. The codec turns it into Malformed; it never leaves this package."""

    def __init__(self, why: str, reason: AbortReason = AbortReason.INVALID_PDU_PARAMETER_VALUE) -> None:
        super().__init__(why)
        self.reason = reason


def duplicate(what: str, where: str) -> ItemError:
    """The error for a second item where PS3.8 allows one: readers that keep the first or the last would disagree."""
    return ItemError(f"{where}: expected at most one {what}, found a second", AbortReason.UNEXPECTED_PDU_PARAMETER)


def missing(what: str, where: str) -> ItemError:
    """The error for an item without which the rest has no meaning."""
    return ItemError(f"{where}: expected {what}, found none")


def at(position: int) -> str:
    """A body offset as a reader of the captured PDU counts it."""
    return f"at byte {position + _PDU_HEADER} of the PDU"


def items(body: bytes, start: int, end: int, where: str, most: int = MOST_ITEMS) -> Iterator[tuple[int, int, int]]:
    """Each item of body[start:end] as (type, first offset, end offset) of its value (PS3.8 9.3.1).

    Raises ItemError when an item does not fit into its parent, or when there are more than `most`.
    """
    position = start
    for _ in range(most):
        if position == end:
            return
        if end - position < _HEADER.size:
            raise ItemError(f"{where}: expected an item header of 4 bytes, {end - position} left {at(position)}")
        kind, length = _HEADER.unpack_from(body, position)
        first = position + _HEADER.size
        position = first + length
        if position > end:
            raise ItemError(
                f"{where}: item {kind:02X}H says {length} bytes, its parent has {end - first} left {at(first)}"
            )
        yield kind, first, position
    if position != end:
        raise ItemError(f"{where}: expected at most {most} items, found more {at(position)}")


def counted(body: bytes, start: int, end: int, where: str) -> tuple[int, int]:
    """The span of a field that its own u16 length precedes."""
    if end - start < _LENGTH.size:
        raise ItemError(f"{where}: expected a field length of 2 bytes, {end - start} left {at(start)}")
    first = start + _LENGTH.size
    last = first + int(_LENGTH.unpack_from(body, start)[0])
    if last > end:
        raise ItemError(f"{where}: a field says {last - first} bytes, its item has {end - first} left {at(first)}")
    return first, last


def exactly(size: int, start: int, end: int, where: str) -> None:
    """Raises ItemError unless the span has the size the standard fixes."""
    if end - start != size:
        raise ItemError(f"{where}: expected {size} bytes, found {end - start} {at(start)}")


def uid(body: bytes, start: int, end: int, where: str) -> str:
    """A UID of 1 to 64 digits and dots. PS3.8 Annex F forbids padding; old peers send NUL or space all the same."""
    text = _uid_text(body[start:end]) if end - start <= _LONGEST_UID else None
    if text is None:
        raise ItemError(f"{where}: expected a UID of 1 to 64 digits and dots, found none in {end - start} bytes")
    return text


@lru_cache(maxsize=4096)
def _uid_text(value: bytes) -> str | None:
    """The same few hundred UIDs come again and again: read each once."""
    match = _UID.fullmatch(value)
    return None if match is None else match[1].decode("ascii")


def item(kind: ItemType, value: bytes) -> bytes:
    """One whole item; struct.error when the value is longer than a u16 can say."""
    return _HEADER.pack(kind, len(value)) + value


def with_length(value: bytes) -> bytes:
    """A field behind its own u16 length; struct.error when it is longer than that can say."""
    return _LENGTH.pack(len(value)) + value
