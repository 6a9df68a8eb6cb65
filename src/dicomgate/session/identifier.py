"""Does a C-FIND ask for everything? Its identifier in, as it is relayed; one bit out, and nothing else is kept.

PS3.4 C.2.2.2: an empty key, or one of `*` only, is universal matching and restricts nothing.
"""

from struct import Struct

_LONGEST = 16 * 1024
"""Bytes of an identifier that are looked at. A longer one has keys enough."""
_PDV_HEADERS = 12
"""A P-DATA-TF of one PDV has so many bytes before its fragment; the framer sends on no others."""
_IMPLICIT, _EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
_TAG, _LONG, _SHORT = Struct("<HH"), Struct("<I"), Struct("<H")
_LENGTH_OF_PDU = Struct(">I")
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_ITEM_GROUP = 0xFFFE
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED = 0xFFFFFFFF
_NO_KEYS = frozenset({(0x0008, 0x0005), (0x0008, 0x0052), (0x0008, 0x0053), (0x0008, 0x0054), (0x0008, 0x0201)})
"""Character set, level, view, retrieve AE title, time zone: they say how to ask, not what for."""
_UNIVERSAL = b"* \0"


class IdentifierReader:
    """Fed the P-DATA-TF bytes of one data set, in order, whatever the cut."""

    __slots__ = ("_bytes", "_explicit", "_readable")

    def __init__(self, transfer_syntax: str) -> None:
        self._explicit = transfer_syntax == _EXPLICIT
        self._readable = transfer_syntax in (_IMPLICIT, _EXPLICIT)
        self._bytes = bytearray()

    def feed(self, wire: memoryview | bytes) -> None:
        """Take more of it, up to the bound."""
        if self._readable:
            self._bytes += wire
            if len(self._bytes) > _LONGEST:
                self._readable, self._bytes = False, bytearray()

    @property
    def is_unrestricted(self) -> bool:
        """No key restricts the matches. False for what cannot be read: nobody is accused of a guess."""
        return self._readable and _all_universal(_unwrap(self._bytes), self._explicit)


def _unwrap(wire: bytearray) -> bytes:
    """The data set without PDU and PDV headers."""
    position, pieces = 0, []
    while position + _PDV_HEADERS <= len(wire):
        (length,) = _LENGTH_OF_PDU.unpack_from(wire, position + 2)
        pieces.append(wire[position + _PDV_HEADERS : position + 6 + length])
        position += 6 + length
    return b"".join(pieces)


def _all_universal(data: bytes, explicit: bool) -> bool:
    """Walk the elements, those inside sequences too, one after another. Anything malformed counts as a key."""
    position, end = 0, len(data)
    while position + 8 <= end:
        group, element = _TAG.unpack_from(data, position)
        if group == _ITEM_GROUP or not explicit:
            (length,) = _LONG.unpack_from(data, position + 4)
            start = position + 8
        elif (vr := data[position + 4 : position + 6]) in _LONG_FORM:
            if position + 12 > end:
                return False
            (length,) = _LONG.unpack_from(data, position + 8)
            start = position + 12
            if vr == b"SQ":
                position = start
                continue
        else:
            (length,) = _SHORT.unpack_from(data, position + 6)
            start = position + 8
        if group == _ITEM_GROUP or length == _UNDEFINED or data[start : start + 4] == _ITEM:
            position = start  # into the sequence
            continue
        if start + length > end:
            return False
        value = data[start : start + length]
        if (group, element) not in _NO_KEYS and value.strip(_UNIVERSAL):
            return False
        position = start + length
    return position == end
