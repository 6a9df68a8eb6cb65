"""Which instance is this? The beginning of a data set in, its SOP Instance UID (0008,0018) out, or None.

The command of a C-STORE names the instance as well, but many archives go by the data set. Elements ascend (PS3.5 7.1),
so the UID stands near the beginning, behind nothing but other elements of group 0008.
"""

import zlib
from struct import Struct

HEAD = 4096
"""Bytes of a data set that are looked at. Real ones name their instance within the first 500."""
_IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Deflated as a whole (PS3.5 A.5, A.6, A.11)."""
_TAG_AND_LENGTH = {"<": Struct("<HHI"), ">": Struct(">HHI")}
_TAG_VR_AND_LENGTH = {"<": Struct("<HH2sH"), ">": Struct(">HH2sH")}
_LONG = {"<": Struct("<I"), ">": Struct(">I")}
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SOP_INSTANCE_UID = (0x0008, 0x0018)
_ITEM_GROUP = 0xFFFE
_UNDEFINED = 0xFFFFFFFF


def sop_instance_uid(head: bytes, transfer_syntax: str) -> str | None:
    """(0008,0018) of a data set that begins with `head`. Never raises.

    None: it is not there, or not reached within `head`; or elements do not ascend, so that readers may differ about
    which one counts.
    """
    if transfer_syntax in _DEFLATED:
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD)
        except zlib.error:
            return None
    order = ">" if transfer_syntax == _BIG_ENDIAN else "<"
    explicit = transfer_syntax != _IMPLICIT
    position, depth, last = 0, 0, (0, 0)
    while position + 8 <= len(head):
        group, element, length = _TAG_AND_LENGTH[order].unpack_from(head, position)
        start = position + 8
        tag = (group, element)
        if group == _ITEM_GROUP:
            # Only inside a sequence of undefined length: an item is entered, a delimiter (00DD ends it) passed.
            if not depth:
                return None
            depth -= element == 0xE0DD
            position = start
            continue
        if explicit:
            _, _, vr, length = _TAG_VR_AND_LENGTH[order].unpack_from(head, position)
            if vr in _LONG_FORM:
                if start + 4 > len(head):
                    return None
                (length,) = _LONG[order].unpack_from(head, start)
                start += 4
        if not depth:
            if tag <= last or tag > _SOP_INSTANCE_UID:
                return None
            last = tag
            if tag == _SOP_INSTANCE_UID:
                return _uid(head[start : start + length], length)
        if length == _UNDEFINED:
            depth += 1
            position = start
        else:
            position = start + length
    return None


def _uid(value: bytes, length: int) -> str | None:
    if len(value) != length:
        return None
    text = value.rstrip(b"\0 ")
    return text.decode("ascii") if text.isascii() else None
