"""What is a data set about? Its P-DATA-TF bytes in, as they stream; the instance, study, series and patient out.

Elements ascend (PS3.5 7.1), and all of these stand before whatever is long: reading ends at the first element behind
(0020,000E), mostly within the first 2 KiB. Nothing is kept but their values. What cannot be read is not known: there
is no refusal here, and no exception.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import Literal, NamedTuple

from dicomgate.audit.patient import PatientId
from dicomgate.session.fragments import Fragments
from dicomgate.wire.text import is_valid_uid

MOST_ELEMENTS = 4096
"""Elements and items that are walked; what a length skips costs nothing."""
MOST_INFLATED = 64 * 1024
"""Bytes of a deflated data set: there, what is skipped has to be inflated."""
DEEPEST = 16
"""Sequences of undefined length inside one another."""
LONGEST_VALUE = 256
"""Bytes of a value: 64 characters (PS3.5 6.2, LO and UI) of at most four."""

_PIECE = 4096
"""Bytes that are copied and walked at a time: more than the head of an ordinary image."""
_IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Deflated as a whole (PS3.5 A.5, A.6, A.11)."""
_LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_CHARACTER_SET, _SOP_INSTANCE_UID, _LEVEL = 0x00080005, 0x00080018, 0x00080052
_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID = 0x0020000D, 0x0020000E
_WANTED = frozenset(
    {_CHARACTER_SET, _SOP_INSTANCE_UID, _LEVEL, _PATIENT_ID, _ISSUER, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID}
)
_LAST_WANTED = max(_WANTED)
_ITEM_GROUP, _ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE, 0xE000, 0xE00D, 0xE0DD
_UNDEFINED = 0xFFFFFFFF
_LEVELS = frozenset({"PATIENT", "STUDY", "SERIES", "IMAGE"})
_MATCHING = frozenset("*?\\")
"""In an identifier they stand for several values (PS3.4 C.2.2.2)."""
_CODECS: Mapping[bytes, str] = {
    b"ISO_IR 100": "iso8859-1",
    b"ISO_IR 101": "iso8859-2",
    b"ISO_IR 109": "iso8859-3",
    b"ISO_IR 110": "iso8859-4",
    b"ISO_IR 144": "iso8859-5",
    b"ISO_IR 127": "iso8859-6",
    b"ISO_IR 126": "iso8859-7",
    b"ISO_IR 138": "iso8859-8",
    b"ISO_IR 148": "iso8859-9",
    b"ISO_IR 166": "tis-620",
    b"ISO_IR 192": "utf-8",
    b"GB18030": "gb18030",
    b"GBK": "gbk",
}
"""Specific Character Sets without code extensions (PS3.3 C.12.1.1.2)."""


class _Encoding(NamedTuple):
    """How an element begins; VRs are numbers, because those are compared faster."""

    explicit: bool
    header: Struct
    """Group, element and length; in Explicit VR the VR before the length."""
    item: Struct
    """Group, element and length of an item, which has no VR."""
    long: Struct
    long_form: frozenset[int]
    unknown: int


def _encoding(order: Literal["little", "big"], *, explicit: bool) -> _Encoding:
    sign = "<" if order == "little" else ">"
    item = Struct(sign + "HHI")
    long_form = frozenset(int.from_bytes(vr, order) for vr in _LONG_FORM)
    header = Struct(sign + "HHHH") if explicit else item
    return _Encoding(explicit, header, item, Struct(sign + "I"), long_form, int.from_bytes(b"UN", order))


_IMPLICIT_LITTLE = _encoding("little", explicit=False)
_EXPLICIT_LITTLE = _encoding("little", explicit=True)
_EXPLICIT_BIG = _encoding("big", explicit=True)
_ENCODINGS = {_IMPLICIT: _IMPLICIT_LITTLE, _BIG_ENDIAN: _EXPLICIT_BIG}
"""Every other transfer syntax is Explicit VR Little Endian (PS3.5 A.4)."""


@dataclass(frozen=True, slots=True)
class About:
    """What could be read; None for what is not there, not well-formed, or several values."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    level: str | None = None
    """Query/Retrieve Level."""
    patient: PatientId | None = field(default=None, repr=False)


class DataSetHead:
    """Fed with the `wire` of each DataRun of one data set, in order, until it has `ended`."""

    __slots__ = (
        "_broken",
        "_elements",
        "_encoding",
        "_fragments",
        "_inflate",
        "_inflated",
        "_last",
        "_open",
        "_rest",
        "_skip",
        "_values",
        "ended",
    )

    def __init__(self, transfer_syntax: str) -> None:
        self.ended = False
        """More of it would tell nothing more."""
        self._encoding = _ENCODINGS.get(transfer_syntax, _EXPLICIT_LITTLE)
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if transfer_syntax in _DEFLATED else None
        self._fragments = Fragments()
        self._values: dict[int, bytes] = {}
        self._last = -1
        self._rest = b""  # the beginning of an element, of which more is to come
        self._skip = 0  # bytes of a value that nobody wants
        self._open: list[tuple[bool, _Encoding]] = []  # sequences (False) and items (True), and how it goes on behind
        self._elements = MOST_ELEMENTS  # that may still be walked
        self._inflated = 0
        self._broken = False

    def feed(self, wire: memoryview | bytes) -> None:
        """Take more of it."""
        for fragment in self._fragments.of(wire):
            self._take(fragment if self._inflate is None else self._clear(self._inflate, fragment))
            self.ended = self.ended or self._inflated >= MOST_INFLATED
            if self.ended:
                return

    @property
    def sop_instance_uid(self) -> str | None:
        """(0008,0018) as it stands; None when it is not there, or when elements did not ascend up to it, so that
        readers may differ about which one counts."""
        value = self._values.get(_SOP_INSTANCE_UID, b"").rstrip(b"\0 ")
        return value.decode("ascii") if value.isascii() and value else None

    def about(self, *, identifier: bool) -> About:
        """What was read. Of an `identifier`, a key that may match several is no value.

        Nothing, if the order of the elements leaves open which of them counts.
        """
        if self._broken:
            return About()
        patient = self._text(_PATIENT_ID)
        if identifier and patient and not _MATCHING.isdisjoint(patient):
            patient = None
        level = self._text(_LEVEL)
        return About(
            self._uid(_STUDY_INSTANCE_UID),
            self._uid(_SERIES_INSTANCE_UID),
            level if level in _LEVELS else None,
            PatientId(patient, self._text(_ISSUER) or "") if patient else None,
        )

    def _uid(self, tag: int) -> str | None:
        value = self._values.get(tag, b"").rstrip(b"\0 ")
        text = value.decode("ascii", "replace")
        return text if is_valid_uid(text) else None

    def _text(self, tag: int) -> str | None:
        """Bytes that are not text in the character set of the data set are shown as \\xNN, so that none are lost."""
        value = self._values.get(tag, b"").strip(b"\0 ")
        named = self._values.get(_CHARACTER_SET, b"").strip(b"\0 ")
        try:
            return value.decode(_CODECS.get(named, "ascii"))
        except UnicodeDecodeError:
            return value.decode("ascii", "backslashreplace")

    # -- walking -------------------------------------------------------------------------------------------

    def _clear(self, inflate: "zlib._Decompress", fragment: memoryview) -> memoryview:
        """No more than may be: a few bytes can stand for a thousand times as many."""
        try:
            data = inflate.decompress(fragment, MOST_INFLATED - self._inflated)
        except zlib.error:
            self._break()
            return memoryview(b"")
        self._inflated += len(data)
        return memoryview(data)

    def _take(self, fragment: memoryview) -> None:
        while fragment and not self.ended:
            if self._skip:
                jump = min(self._skip, len(fragment))
                self._skip -= jump
                fragment = fragment[jump:]
            else:
                self._walk(self._rest + bytes(fragment[:_PIECE]))
                fragment = fragment[_PIECE:]

    def _walk(self, data: bytes) -> None:
        """`data` begins with an element, and what is left of it is kept."""
        position = 0
        while True:
            inside = bool(self._open)
            position = self._inside(data, position) if inside else self._outside(data, position)
            if self.ended or bool(self._open) is inside:
                break
        if self.ended:
            self._rest = b""
            return
        self._skip = max(0, position - len(data))
        self._rest = data[position:]

    def _outside(self, data: bytes, position: int) -> int:
        """Walk elements of the data set itself; where it ended. An ordinary image has a hundred: no step too many."""
        encoding, values = self._encoding, self._values
        explicit, header, long_form = encoding.explicit, encoding.header.unpack_from, encoding.long_form
        last, start, vr, end = self._last, position, 0, len(data) - 8
        elements = self._elements
        while position <= end and elements:
            if explicit:
                group, element, vr, length = header(data, position)
                start = position + 8
                if vr in long_form:
                    if position + 12 > len(data):
                        start = position
                        break
                    (length,) = encoding.long.unpack_from(data, start)
                    start += 4
            else:
                group, element, length = header(data, position)
                start = position + 8
            tag = group << 16 | element
            if not last < tag <= _LAST_WANTED:
                self.ended, self._broken = True, tag <= last
                return position
            if tag in _WANTED and length <= LONGEST_VALUE and (vr not in long_form or vr == encoding.unknown):
                if start + length > len(data):
                    start = position
                    break
                values[tag] = data[start : start + length]
            last = tag
            position = start + length
            elements -= 1
        self._last, self._elements = last, elements
        self.ended = not elements
        if position - start == _UNDEFINED:
            self._enter(False, explicit and vr == encoding.unknown)
            return start
        return position

    def _inside(self, data: bytes, position: int) -> int:
        """Walk what is inside a sequence of undefined length, until that ends; where it ended."""
        end = len(data)
        while self._open and not self.ended and (start := position + 8) <= end:
            in_item, behind = self._open[-1]
            encoding = self._encoding
            group, element, length = encoding.item.unpack_from(data, position)
            if group == _ITEM_GROUP:
                if element == _ITEM and not in_item:
                    if length == _UNDEFINED:
                        self._enter(True, False)
                        length = 0
                elif element == (_ITEM_END if in_item else _SEQUENCE_END):
                    self._open.pop()
                    self._encoding = behind
                    length = 0
                else:
                    self._break()
                position = start + length
                self._walked_one()
                continue
            if not in_item:
                self._break()
                continue
            vr = 0
            if encoding.explicit:
                _, _, vr, length = encoding.header.unpack_from(data, position)
                if vr in encoding.long_form:
                    if start + 4 > end:
                        break
                    (length,) = encoding.long.unpack_from(data, start)
                    start += 4
            if length == _UNDEFINED:
                self._enter(False, vr == encoding.unknown)
                length = 0
            position = start + length
            self._walked_one()
        return position

    def _walked_one(self) -> None:
        self._elements -= 1
        self.ended = self.ended or not self._elements

    def _enter(self, item: bool, unknown: bool) -> None:
        """The content of UN with an undefined length is Implicit VR Little Endian (PS3.5 6.2.2)."""
        if len(self._open) >= 2 * DEEPEST:
            self._break()
            return
        self._open.append((item, self._encoding))
        if unknown:
            self._encoding = _IMPLICIT_LITTLE

    def _break(self) -> None:
        self._broken = self.ended = True
