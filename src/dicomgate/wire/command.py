"""Command sets: Implicit VR Little Endian, group 0000, known elements only (PS3.7 6.3.1, 9.3, 10.3, E.1).

A command set's bytes, all fragments joined, become a Command or Malformed; a Command becomes canonical bytes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from struct import Struct
from typing import Any

from dicomgate.wire.codes import CommandField
from dicomgate.wire.pdu import Malformed
from dicomgate.wire.text import AE_TITLE_LENGTH, UID_LENGTH, trim_ae_title

ERROR_COMMENT_LENGTH = 64
"""PS3.7 E.1: Error Comment is LO, PS3.5 6.2: 64 characters."""
NO_DATA_SET = 0x0101
"""PS3.7 E.1: the one value of (0000,0800) that says no data set follows."""
DATA_SET_FOLLOWS = 0x0001
"""What is written otherwise. Any value but 0101H would do."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command set. Elements that are absent on the wire are None; (0000,0000) is computed when encoding.

    `has_data_set` is (0000,0800): anything but 0101H announces a data set (PS3.7 E.1).
    UIDs are text without the trailing pad byte, AE titles without padding spaces.
    """

    command_field: CommandField
    has_data_set: bool
    affected_sop_class_uid: str | None = None
    requested_sop_class_uid: str | None = None
    message_id: int | None = None
    message_id_being_responded_to: int | None = None
    move_destination: str | None = None
    priority: int | None = None
    status: int | None = None
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    requested_sop_instance_uid: str | None = None
    event_type_id: int | None = None
    attribute_identifier_list: tuple[int, ...] | None = None
    action_type_id: int | None = None
    remaining_sub_operations: int | None = None
    completed_sub_operations: int | None = None
    failed_sub_operations: int | None = None
    warning_sub_operations: int | None = None
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None

    @property
    def sop_class_uid(self) -> str | None:
        """Affected or Requested SOP Class UID, whichever this message uses (PS3.7 10.3)."""
        return self.affected_sop_class_uid or self.requested_sop_class_uid

    @property
    def sop_instance_uid(self) -> str | None:
        """Affected or Requested SOP Instance UID, whichever this message uses (PS3.7 10.3)."""
        return self.affected_sop_instance_uid or self.requested_sop_instance_uid


def decode_command(data: bytes) -> Command | Malformed:
    """One command set from its bytes, all fragments joined. Never raises; the caller has limited the length.

    Kept are the elements of PS3.7 table E.1-1; retired and unknown ones of group 0000 are dropped. An element
    without a value, or with padding only, counts as absent. UIDs are kept as text that may still break the UID
    grammar: policy refuses those. A missing (0000,0000) is tolerated, a wrong one is not.
    Malformed: another group, tags that do not ascend, a length that is odd, wrong for its VR or beyond the end,
    an unknown Command Field, a mandatory element missing, a request that announces a data set it cannot have (or
    none where it must), control characters in a UID or an AE title.
    """
    fields: dict[str, Any] = {}
    position, size, previous = 0, len(data), -1
    while position < size:
        start = position + _ELEMENT.size
        if start > size:
            return Malformed(f"expected a command element of 8 bytes or more, found {size - position} at {position}")
        group, number, length = _ELEMENT.unpack_from(data, position)
        if group != 0 or number <= previous:
            came = f"({group:04X},{number:04X}) at byte {position}"
            return Malformed(f"expected a tag above (0000,{max(previous, 0):04X}) in group 0000, found {came}")
        position = start + length
        if length & 1 or position > size:
            return Malformed(f"(0000,{number:04X}): expected an even length up to {size - start}, found {length}")
        previous = number
        element = _BY_NUMBER.get(number)
        if element is not None and length:
            value = element.vr.read(data, start, position)
            if value is None:
                return Malformed(f"(0000,{number:04X}): expected {element.vr.expected}, found other {length} bytes")
            if value != "":
                fields[element.attribute] = value
    return _command(fields)


def encode_command(command: Command) -> bytes:
    """The canonical bytes: tags ascending, (0000,0000) computed, UIDs padded with NUL and text with space to even.

    ValueError for a value that its element cannot hold; nothing decoded has one.
    """
    parts: list[bytes] = []
    try:
        for value, (number, write) in zip(_values(command), _WRITERS, strict=True):
            if value is not None:
                encoded = write(value)
                parts += (_ELEMENT.pack(0, number, len(encoded)), encoded)
    except struct.error as error:
        raise ValueError(f"{command.command_field.name} has no encoding: {error}") from error
    rest = b"".join(parts)
    return _GROUP_LENGTH.pack(0, 0, 4, len(rest)) + rest


def _command(fields: dict[str, Any]) -> Command | Malformed:
    """The elements as a Command, if they are those its Command Field asks for (PS3.7 9.3, 10.3)."""
    if "command_field" not in fields or "has_data_set" not in fields:
        return Malformed("command set: expected Command Field (0000,0100) and Command Data Set Type (0000,0800)")
    command_field: CommandField = fields["command_field"]
    mandatory, data_set = _RESPONSE if command_field.is_response else _REQUESTS[command_field]
    for attribute in mandatory:
        if attribute not in fields:
            number = next(element.number for element in _ELEMENTS if element.attribute == attribute)
            return Malformed(f"{command_field.name}: expected (0000,{number:04X}), found none")
    if data_set is not None and data_set is not fields["has_data_set"]:
        rule = "a data set" if data_set else "no data set"
        return Malformed(f"{command_field.name}: expected (0000,0800) to announce {rule}, found the opposite")
    return Command(**fields)


@dataclass(frozen=True, slots=True)
class _ValueRepresentation:
    """How the values of one kind of element are read and written. `read` gives None for what is not `expected`."""

    expected: str
    read: Callable[[bytes, int, int], Any]
    write: Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class _Element:
    """One row of PS3.7 table E.1-1: its element number and the attribute of Command."""

    number: int
    attribute: str
    vr: _ValueRepresentation


_ELEMENT = Struct("<HHI")
_GROUP_LENGTH = Struct("<HHII")
_UL = Struct("<I")
_US = Struct("<H")
_TAG = Struct("<HH")
_COMMAND_FIELDS = {int(command_field): command_field for command_field in CommandField}


def _read_number(data: bytes, start: int, end: int) -> int | None:
    return int(_US.unpack_from(data, start)[0]) if end - start == _US.size else None


def _read_command_field(data: bytes, start: int, end: int) -> CommandField | None:
    number = _read_number(data, start, end)
    return None if number is None else _COMMAND_FIELDS.get(number)


def _read_data_set_type(data: bytes, start: int, end: int) -> bool | None:
    number = _read_number(data, start, end)
    return None if number is None else number != NO_DATA_SET


def _write_data_set_type(has_data_set: bool) -> bytes:
    return _US.pack(DATA_SET_FOLLOWS if has_data_set else NO_DATA_SET)


def _read_uid(data: bytes, start: int, end: int) -> str | None:
    text = data[start:end].rstrip(b"\0 ").decode("latin-1")
    return text if len(text) <= UID_LENGTH and text.isascii() and text.isprintable() else None


def _write_uid(uid: str) -> bytes:
    return _padded(uid.encode("ascii"), UID_LENGTH, b"\0")


def _read_ae_title(data: bytes, start: int, end: int) -> str | None:
    title = trim_ae_title(data[start:end])
    return title if title is not None and len(title) <= AE_TITLE_LENGTH else None


def _write_ae_title(title: str) -> bytes:
    return _padded(title.encode("ascii"), AE_TITLE_LENGTH, b" ")


def _read_comment(data: bytes, start: int, end: int) -> str:
    """Free text for people: what cannot be shown becomes `?`, what is too long is cut, nothing is refused."""
    text = data[start:end].rstrip(b"\0 ").decode("latin-1")
    shown = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    return shown[:ERROR_COMMENT_LENGTH].rstrip(" ")


def _write_comment(comment: str) -> bytes:
    return _padded(comment.encode("latin-1"), ERROR_COMMENT_LENGTH, b" ")


def _read_tags(data: bytes, start: int, end: int) -> tuple[int, ...] | None:
    if (end - start) % _TAG.size:
        return None
    return tuple(group << 16 | number for group, number in _TAG.iter_unpack(data[start:end]))


def _write_tags(tags: tuple[int, ...]) -> bytes:
    return b"".join([_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in tags])


def _padded(value: bytes, longest: int, padding: bytes) -> bytes:
    if len(value) > longest:
        raise ValueError(f"expected at most {longest} characters for a command element, found {len(value)}")
    return value + padding if len(value) & 1 else value


def _read_group_length(data: bytes, start: int, end: int) -> str | None:
    """Only compared, never kept: the length that is sent on is computed."""
    return "" if end - start == _UL.size and _UL.unpack_from(data, start)[0] == len(data) - end else None


_UI = _ValueRepresentation("a UID of up to 64 printable characters", _read_uid, _write_uid)
_AE = _ValueRepresentation("an AE title of up to 16 printable characters", _read_ae_title, _write_ae_title)
_NUMBER = _ValueRepresentation("a 16-bit number", _read_number, _US.pack)
_AT = _ValueRepresentation("tags of 4 bytes", _read_tags, _write_tags)
_LO = _ValueRepresentation("text", _read_comment, _write_comment)
_FIELD = _ValueRepresentation("a Command Field of PS3.7 table E.1-1", _read_command_field, _US.pack)
_DATA_SET_TYPE = _ValueRepresentation("a 16-bit number", _read_data_set_type, _write_data_set_type)

_ELEMENTS = (
    _Element(0x0002, "affected_sop_class_uid", _UI),
    _Element(0x0003, "requested_sop_class_uid", _UI),
    _Element(0x0100, "command_field", _FIELD),
    _Element(0x0110, "message_id", _NUMBER),
    _Element(0x0120, "message_id_being_responded_to", _NUMBER),
    _Element(0x0600, "move_destination", _AE),
    _Element(0x0700, "priority", _NUMBER),
    _Element(0x0800, "has_data_set", _DATA_SET_TYPE),
    _Element(0x0900, "status", _NUMBER),
    _Element(0x0901, "offending_element", _AT),
    _Element(0x0902, "error_comment", _LO),
    _Element(0x0903, "error_id", _NUMBER),
    _Element(0x1000, "affected_sop_instance_uid", _UI),
    _Element(0x1001, "requested_sop_instance_uid", _UI),
    _Element(0x1002, "event_type_id", _NUMBER),
    _Element(0x1005, "attribute_identifier_list", _AT),
    _Element(0x1008, "action_type_id", _NUMBER),
    _Element(0x1020, "remaining_sub_operations", _NUMBER),
    _Element(0x1021, "completed_sub_operations", _NUMBER),
    _Element(0x1022, "failed_sub_operations", _NUMBER),
    _Element(0x1023, "warning_sub_operations", _NUMBER),
    _Element(0x1030, "move_originator_ae_title", _AE),
    _Element(0x1031, "move_originator_message_id", _NUMBER),
)
"""PS3.7 table E.1-1 without (0000,0000), ascending: the order of writing."""
_WRITERS = tuple((element.number, element.vr.write) for element in _ELEMENTS)
_values = attrgetter(*(element.attribute for element in _ELEMENTS))
"""A Command in, what its elements hold out, in the same order."""

_BY_NUMBER = {element.number: element for element in _ELEMENTS} | {
    0x0000: _Element(0x0000, "", _ValueRepresentation("the number of bytes behind it", _read_group_length, _UL.pack))
}

_AFFECTED = ("affected_sop_class_uid", "message_id")
_AFFECTED_INSTANCE = (*_AFFECTED, "affected_sop_instance_uid")
_REQUESTED_INSTANCE = ("requested_sop_class_uid", "message_id", "requested_sop_instance_uid")

# PS3.7 9.3 and 10.3: mandatory elements, and whether a data set follows (None: as (0000,0800) says).
# Priority is mandatory as well, but nothing depends on it and old peers leave it out.
_REQUESTS: dict[CommandField, tuple[tuple[str, ...], bool | None]] = {
    CommandField.C_STORE_RQ: (_AFFECTED_INSTANCE, True),
    CommandField.C_FIND_RQ: (_AFFECTED, True),
    CommandField.C_GET_RQ: (_AFFECTED, True),
    CommandField.C_MOVE_RQ: ((*_AFFECTED, "move_destination"), True),
    CommandField.C_ECHO_RQ: (_AFFECTED, False),
    CommandField.C_CANCEL_RQ: (("message_id_being_responded_to",), False),
    CommandField.N_EVENT_REPORT_RQ: ((*_AFFECTED_INSTANCE, "event_type_id"), None),
    CommandField.N_GET_RQ: (_REQUESTED_INSTANCE, False),
    CommandField.N_SET_RQ: (_REQUESTED_INSTANCE, True),
    CommandField.N_ACTION_RQ: ((*_REQUESTED_INSTANCE, "action_type_id"), None),
    CommandField.N_CREATE_RQ: (_AFFECTED, None),
    CommandField.N_DELETE_RQ: (_REQUESTED_INSTANCE, False),
}
_RESPONSE: tuple[tuple[str, ...], bool | None] = (("message_id_being_responded_to", "status"), None)
