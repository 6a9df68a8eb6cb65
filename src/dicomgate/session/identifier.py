"""What does a C-FIND ask for? Its identifier in, as it is relayed; a few words out, and nothing else is kept.

PS3.4 C.2.2.2: an empty key, or one of `*` only, is universal matching and restricts nothing. No word names a patient:
of names and IDs at most two letters before a `*` are told.
"""

import re
from dataclasses import dataclass, field
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
_ITEM_ELEMENT, _ITEM_END = 0xE000, 0xE00D
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED = 0xFFFFFFFF
_NO_KEYS = frozenset({(0x0008, 0x0005), (0x0008, 0x0052), (0x0008, 0x0053), (0x0008, 0x0054), (0x0008, 0x0201)})
"""Character set, level, view, retrieve AE title, time zone: they say how to ask, not what for."""
_UNIVERSAL = b"* \0"
_STUDY_DATE, _STUDY_TIME = (0x0008, 0x0020), (0x0008, 0x0030)
_PATIENT = {(0x0010, 0x0010): "patient_name", (0x0010, 0x0020): "patient_id"}
_NAMING = frozenset(
    {*_PATIENT, (0x0008, 0x0018), (0x0008, 0x0050), (0x0010, 0x0030), (0x0020, 0x000D), (0x0020, 0x000E)}
)
"""Name, ID, SOP instance, accession number, birth date, study, series: who has these asks for something known."""
_PREFIX = re.compile(rb"[A-Za-z0-9]{1,2}\*+ *\0?")
_DATE = re.compile(rb"(?:\d{8}(?:-(?:\d{8})?)?|-\d{8}) ?")
_TIME = re.compile(rb"[\d.:]{0,16}-?[\d.:]{0,16} ?")
_DEEP = 4
"""Levels of sequences that real queries may have; only more is worth telling."""

Tag = tuple[int, int]


@dataclass(slots=True)
class _Read:
    """What one walk found. `keys` restrict; `nested`: so does something inside a sequence; `whole`: to the end."""

    keys: dict[Tag, bytes] = field(default_factory=dict)
    nested: bool = False
    depth: int = 0
    whole: bool = False


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
    def held(self) -> int:
        """Bytes that are kept for the moment."""
        return len(self._bytes)

    def told(self) -> dict[str, object]:
        """Details for the record: `unrestricted`, `step` and `nesting`, each only where there is something to tell.

        Empty for what cannot be read: nobody is accused of a guess.
        """
        asked_for: dict[str, object] = {}
        if not self._readable:
            return asked_for
        read = _walk(_unwrap(self._bytes), self._explicit)
        if read.depth > _DEEP:
            asked_for["nesting"] = read.depth
        if read.whole and not read.keys and not read.nested:
            asked_for["unrestricted"] = True
        elif read.whole and (step := _step(read.keys)) is not None:
            asked_for["step"] = step
        return asked_for


def _step(keys: dict[Tag, bytes]) -> str | None:
    """Which slice of everything this asks for: a time, or what names begin with. None: it asks for something known."""
    naming = [tag for tag in keys if tag in _NAMING]
    if not naming:
        date, time = keys.get(_STUDY_DATE, b""), keys.get(_STUDY_TIME, b"")
        if not _DATE.fullmatch(date) or not _TIME.fullmatch(time):
            return None
        return f"study_date {date.decode('ascii').strip()} {time.decode('ascii').strip()}".rstrip()
    if len(naming) == 1 and naming[0] in _PATIENT and _PREFIX.fullmatch(keys[naming[0]]):
        return f"{_PATIENT[naming[0]]} {keys[naming[0]].rstrip(_UNIVERSAL).decode('ascii').upper()}"
    return None


def _unwrap(wire: bytearray) -> bytes:
    """The data set without PDU and PDV headers."""
    position, pieces = 0, []
    while position + _PDV_HEADERS <= len(wire):
        (length,) = _LENGTH_OF_PDU.unpack_from(wire, position + 2)
        pieces.append(wire[position + _PDV_HEADERS : position + 6 + length])
        position += 6 + length
    return b"".join(pieces)


def _walk(data: bytes, explicit: bool) -> _Read:
    """The elements, those inside sequences too, one after another, up to the first that is malformed."""
    read, position, end = _Read(), 0, len(data)
    items: list[int | None] = []  # where each open item ends; None: at its delimiter
    while position + 8 <= end:
        while items and (closes := items[-1]) is not None and closes <= position:
            items.pop()
        group, element = tag = _TAG.unpack_from(data, position)
        if group == _ITEM_GROUP or not explicit:
            (length,) = _LONG.unpack_from(data, position + 4)
            start = position + 8
        elif (vr := data[position + 4 : position + 6]) in _LONG_FORM:
            if position + 12 > end:
                return read
            (length,) = _LONG.unpack_from(data, position + 8)
            start = position + 12
            if vr == b"SQ":
                position = start
                continue
        else:
            (length,) = _SHORT.unpack_from(data, position + 6)
            start = position + 8
        if group == _ITEM_GROUP:
            if element == _ITEM_ELEMENT:
                items.append(None if length == _UNDEFINED else start + length)
                read.depth = max(read.depth, len(items))
            elif element == _ITEM_END and items:
                items.pop()
            position = start
            continue
        if length == _UNDEFINED or data[start : start + 4] == _ITEM:
            position = start  # into the sequence
            continue
        if start + length > end:
            return read
        value = data[start : start + length]
        if tag not in _NO_KEYS and value.strip(_UNIVERSAL):
            if items:
                read.nested = True
            else:
                read.keys[tag] = value
        position = start + length
    read.whole = position == end
    return read
