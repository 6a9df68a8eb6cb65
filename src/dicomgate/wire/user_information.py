"""Item 50H of A-ASSOCIATE PDUs: bytes to UserInformation and back (PS3.8 9.3.2.3, PS3.7 Annex D.3.3).

Sub-items may come in any order. Unknown ones, and those that belong to the other direction, are skipped and
counted (PS3.8 D.2); they are never written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from dicomgate.wire.codes import IdentityType, ItemType, PduType
from dicomgate.wire.items import ItemError, at, counted, duplicate, exactly, item, items, missing, uid, with_length
from dicomgate.wire.pdu import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

VERSION_NAME_LENGTH = 16
"""PS3.7 D.3.3.2.3: longest implementation version name in characters."""

_U32 = Struct(">I")
_TWO_U16 = Struct(">HH")
_IDENTITY_TYPES = {int(kind): kind for kind in IdentityType}


@dataclass(frozen=True, slots=True)
class _SubItem:
    """Where a sub-item's value goes. `read` gets the body and the span; None from it means: skip and count."""

    attribute: str
    read: Callable[[bytes, int, int], Any]
    per_sop_class: bool = False
    """May come once for each SOP class; the others may come once."""
    only_in: PduType | None = None


def decode_user_information(body: bytes, start: int, end: int, direction: PduType) -> UserInformation:
    """The value of one item 50H, body[start:end], of the A-ASSOCIATE PDU `direction`. Raises ItemError.

    51H must be there. 52H is mandatory too, but peers without it exist and nothing depends on it: it may be "".
    """
    known = _KNOWN[direction]
    once: dict[str, Any] = {}
    many: dict[str, dict[str, Any]] = {}
    unknown = 0
    for kind, first, last in items(body, start, end, "item 50H"):
        sub_item = known.get(kind)
        value = None if sub_item is None else sub_item.read(body, first, last)
        if sub_item is None or value is None:
            unknown += 1
        elif sub_item.per_sop_class:
            negotiated = many.setdefault(sub_item.attribute, {})
            if value.sop_class_uid in negotiated:
                raise duplicate(f"sub-item {kind:02X}H for one SOP class", "item 50H")
            negotiated[value.sop_class_uid] = value
        elif sub_item.attribute in once:
            raise duplicate(f"sub-item {kind:02X}H", "item 50H")
        else:
            once[sub_item.attribute] = value
    if "maximum_length" not in once:
        raise missing("sub-item 51H", "item 50H")
    once.setdefault("implementation_class_uid", "")
    for attribute, negotiated in many.items():
        once[attribute] = tuple(negotiated.values())
    return UserInformation(unknown_items=unknown, **once)


def encode_user_information(information: UserInformation, direction: PduType) -> bytes:
    """The whole item 50H, sub-items ascending.

    ValueError for a sub-item that `direction` cannot carry, struct.error for one that a u16 length cannot.
    """
    request = direction is PduType.ASSOCIATE_RQ
    if request and information.user_identity_response is not None:
        raise ValueError("sub-item 59H cannot stand in an A-ASSOCIATE-RQ")
    if not request and (information.user_identity is not None or information.common_extended_negotiations):
        raise ValueError("sub-items 57H and 58H cannot stand in an A-ASSOCIATE-AC")
    parts = [item(ItemType.MAXIMUM_LENGTH, _U32.pack(information.maximum_length))]
    if information.implementation_class_uid:
        parts.append(item(ItemType.IMPLEMENTATION_CLASS_UID, information.implementation_class_uid.encode("ascii")))
    if window := information.asynchronous_operations_window:
        value = _TWO_U16.pack(window.invoked, window.performed)
        parts.append(item(ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, value))
    for role in information.role_selections:
        value = with_length(role.sop_class_uid.encode("ascii")) + bytes((role.scu_role, role.scp_role))
        parts.append(item(ItemType.ROLE_SELECTION, value))
    if information.implementation_version_name:
        name = information.implementation_version_name.encode("ascii")
        if len(name) > VERSION_NAME_LENGTH:
            raise ValueError(f"sub-item 55H: expected at most {VERSION_NAME_LENGTH} characters, found {len(name)}")
        parts.append(item(ItemType.IMPLEMENTATION_VERSION_NAME, name))
    for extended in information.extended_negotiations:
        value = with_length(extended.sop_class_uid.encode("ascii")) + extended.application_information
        parts.append(item(ItemType.EXTENDED_NEGOTIATION, value))
    for common in information.common_extended_negotiations:
        related = b"".join(with_length(u.encode("ascii")) for u in common.related_general_sop_class_uids)
        fields = (common.sop_class_uid.encode("ascii"), common.service_class_uid.encode("ascii"), related)
        parts.append(item(ItemType.COMMON_EXTENDED_NEGOTIATION, b"".join(map(with_length, fields))))
    if identity := information.user_identity:
        parts.append(item(ItemType.USER_IDENTITY_RQ, _encode_user_identity(identity)))
    if information.user_identity_response is not None:
        parts.append(item(ItemType.USER_IDENTITY_AC, with_length(information.user_identity_response)))
    return item(ItemType.USER_INFORMATION, b"".join(parts))


def _maximum_length(body: bytes, start: int, end: int) -> int:
    exactly(4, start, end, "sub-item 51H")
    return int(_U32.unpack_from(body, start)[0])


def _implementation_class_uid(body: bytes, start: int, end: int) -> str | None:
    return uid(body, start, end, "sub-item 52H") if end > start else None


def _asynchronous_operations_window(body: bytes, start: int, end: int) -> AsynchronousOperationsWindow:
    exactly(4, start, end, "sub-item 53H")
    return AsynchronousOperationsWindow(*_TWO_U16.unpack_from(body, start))


def _role_selection(body: bytes, start: int, end: int) -> RoleSelection:
    first, last = counted(body, start, end, "sub-item 54H")
    exactly(2, last, end, "roles of sub-item 54H")
    scu_role = _flag(body, last, "SCU role of sub-item 54H")
    return RoleSelection(uid(body, first, last, "sub-item 54H"), scu_role, _flag(body, last + 1, "SCP role"))


def _implementation_version_name(body: bytes, start: int, end: int) -> str | None:
    """A name of one space says nothing, so it is skipped; a longer one than the standard's 16 is cut."""
    name = body[start:end].rstrip(b"\0 ").decode("latin-1")
    if not (name.isascii() and name.isprintable()):
        raise ItemError(f"sub-item 55H: expected printable ASCII, found another byte {at(start)}")
    return name[:VERSION_NAME_LENGTH].rstrip(" ") or None


def _extended_negotiation(body: bytes, start: int, end: int) -> ExtendedNegotiation:
    first, last = counted(body, start, end, "sub-item 56H")
    return ExtendedNegotiation(uid(body, first, last, "sub-item 56H"), body[last:end])


def _common_extended_negotiation(body: bytes, start: int, end: int) -> CommonExtendedNegotiation | None:
    """The byte that is reserved elsewhere is the version here; another one than 0 may mean another layout."""
    if body[start - 3] != 0:
        return None
    where = "sub-item 57H"
    sop_class = counted(body, start, end, where)
    service_class = counted(body, sop_class[1], end, where)
    position, stop = counted(body, service_class[1], end, where)  # what follows `stop` is reserved, normally empty
    related = []
    while position < stop:
        first, position = counted(body, position, stop, where)
        related.append(uid(body, first, position, where))
    return CommonExtendedNegotiation(uid(body, *sop_class, where), uid(body, *service_class, where), tuple(related))


def _user_identity(body: bytes, start: int, end: int) -> UserIdentity:
    """A secondary field under another type than 2 is refused: it could be a passcode that nobody would check."""
    where = "sub-item 58H"
    if end - start < 2:
        raise ItemError(f"{where}: expected an identity type and a flag, found {end - start} bytes {at(start)}")
    identity_type = _IDENTITY_TYPES.get(body[start])
    if identity_type is None:
        raise ItemError(f"{where}: expected an identity type of 1 to 5, found {body[start]}")
    wanted = _flag(body, start + 1, "positive-response-requested of sub-item 58H")
    primary = counted(body, start + 2, end, where)
    secondary = counted(body, primary[1], end, where)
    exactly(0, secondary[1], end, "rest of sub-item 58H")
    if secondary[1] > secondary[0] and identity_type is not IdentityType.USERNAME_AND_PASSCODE:
        raise ItemError(f"{where}: expected no secondary field with identity type {identity_type:d}, found one")
    return UserIdentity(identity_type, wanted, body[slice(*primary)], body[slice(*secondary)])


def _encode_user_identity(identity: UserIdentity) -> bytes:
    if identity.secondary_field and identity.identity_type is not IdentityType.USERNAME_AND_PASSCODE:
        raise ValueError(f"sub-item 58H of type {identity.identity_type:d} cannot carry a secondary field")
    head = bytes((identity.identity_type, identity.positive_response_requested))
    return head + with_length(identity.primary_field) + with_length(identity.secondary_field)


def _user_identity_response(body: bytes, start: int, end: int) -> bytes:
    first, last = counted(body, start, end, "sub-item 59H")
    exactly(0, last, end, "rest of sub-item 59H")
    return body[first:last]


def _flag(body: bytes, position: int, where: str) -> bool:
    if body[position] > 1:
        raise ItemError(f"{where}: expected 0 or 1, found {body[position]} {at(position)}")
    return body[position] == 1


_SUB_ITEMS = {
    ItemType.MAXIMUM_LENGTH: _SubItem("maximum_length", _maximum_length),
    ItemType.IMPLEMENTATION_CLASS_UID: _SubItem("implementation_class_uid", _implementation_class_uid),
    ItemType.ASYNCHRONOUS_OPERATIONS_WINDOW: _SubItem(
        "asynchronous_operations_window", _asynchronous_operations_window
    ),
    ItemType.ROLE_SELECTION: _SubItem("role_selections", _role_selection, per_sop_class=True),
    ItemType.IMPLEMENTATION_VERSION_NAME: _SubItem("implementation_version_name", _implementation_version_name),
    ItemType.EXTENDED_NEGOTIATION: _SubItem("extended_negotiations", _extended_negotiation, per_sop_class=True),
    ItemType.COMMON_EXTENDED_NEGOTIATION: _SubItem(
        "common_extended_negotiations", _common_extended_negotiation, per_sop_class=True, only_in=PduType.ASSOCIATE_RQ
    ),
    ItemType.USER_IDENTITY_RQ: _SubItem("user_identity", _user_identity, only_in=PduType.ASSOCIATE_RQ),
    ItemType.USER_IDENTITY_AC: _SubItem(
        "user_identity_response", _user_identity_response, only_in=PduType.ASSOCIATE_AC
    ),
}
_KNOWN: dict[PduType, dict[int, _SubItem]] = {
    direction: {int(kind): entry for kind, entry in _SUB_ITEMS.items() if entry.only_in in (None, direction)}
    for direction in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC)
}
