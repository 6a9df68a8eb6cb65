"""Item 50H: what each sub-item accepts, what is skipped and counted, and the reference's own encoding of each."""

import pytest
from pynetdicom import pdu_primitives as primitives
from pynetdicom.pdu_items import UserInformationItem

from dicomgate.wire.codes import IdentityType, PduType
from dicomgate.wire.items import ItemError
from dicomgate.wire.pdu import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from dicomgate.wire.user_information import decode_user_information, encode_user_information

RQ, AC = PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC
CT = "1.2.840.10008.5.1.4.1.1.2"
CLASS_UID = "1.2.826.0.1.3680043.9.9999"
MAXIMUM = bytes.fromhex("51 00 0004 00004000")
CLASS = b"\x52\0\0\x1a" + CLASS_UID.encode()


def read(*sub_items: bytes, direction: PduType = RQ) -> UserInformation:
    body = b"".join(sub_items)
    return decode_user_information(body, 0, len(body), direction)


def test_a_missing_or_empty_implementation_class_uid_is_no_reason_to_refuse():
    assert read(MAXIMUM) == UserInformation(16384, "")
    assert read(MAXIMUM, b"\x52\0\0\0") == UserInformation(16384, "", unknown_items=1)
    assert b"\x52" not in encode_user_information(UserInformation(16384, ""), RQ)


def test_unknown_sub_items_are_counted_and_not_written():
    information = read(MAXIMUM, CLASS, b"\x5a\0\0\1x", b"\xff\0\0\0")
    assert information == UserInformation(16384, CLASS_UID, unknown_items=2)
    assert encode_user_information(information, RQ)[4:] == MAXIMUM + CLASS


def test_sub_items_of_the_other_direction_are_unknown():
    assert read(MAXIMUM, CLASS, b"\x59\0\0\2\0\0", direction=RQ).unknown_items == 1
    assert read(MAXIMUM, CLASS, b"\x57\0\0\0", b"\x58\0\0\1x", direction=AC).unknown_items == 2


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"X_1", "X_1"),
        (b"X_1 \0", "X_1"),
        (b"OFFIS DCMTK", "OFFIS DCMTK"),
        (b"ABCDEFGHIJKLMNOPQRST", "ABCDEFGHIJKLMNOP"),
        (b"ABCDEFGHIJKLMNO PQ", "ABCDEFGHIJKLMNO"),
        (b"", None),
        (b" ", None),
    ],
)
def test_version_names_are_trimmed_and_cut(raw, name):
    information = read(MAXIMUM, CLASS, b"\x55\0" + len(raw).to_bytes(2, "big") + raw)
    assert information.implementation_version_name == name


@pytest.mark.parametrize("raw", [b"A\0B", b"\x1b[31m", b"caf\xe9"])
def test_version_names_cannot_carry_control_characters_into_a_log(raw):
    with pytest.raises(ItemError, match="printable ASCII"):
        read(MAXIMUM, CLASS, b"\x55\0" + len(raw).to_bytes(2, "big") + raw)


@pytest.mark.parametrize("roles", [(False, False), (True, False), (False, True), (True, True)])
def test_roles(roles):
    information = read(MAXIMUM, CLASS, b"\x54\0\0\x1d\0\x19" + CT.encode() + bytes(roles))
    assert information.role_selections == (RoleSelection(CT, *roles),)


@pytest.mark.parametrize("tail", [b"", b"\1", b"\1\1\1"])
def test_role_selections_end_with_two_roles(tail):
    with pytest.raises(ItemError, match="roles of sub-item 54H: expected 2 bytes"):
        read(MAXIMUM, CLASS, b"\x54\0" + (27 + len(tail)).to_bytes(2, "big") + b"\0\x19" + CT.encode() + tail)


@pytest.mark.parametrize("length", [0, 1])
def test_an_identity_begins_with_type_and_flag(length):
    with pytest.raises(ItemError, match=f"an identity type and a flag, found {length} bytes"):
        read(MAXIMUM, CLASS, b"\x58\0\0" + bytes([length]) + b"\1" * length)


def test_a_common_extended_negotiation_may_have_a_reserved_tail():
    fields = b"\0\x031.2\0\x031.3\0\x0a\0\x031.4\0\x031.5"
    information = read(MAXIMUM, CLASS, b"\x57\0" + (len(fields) + 2).to_bytes(2, "big") + fields + b"??")
    assert information.common_extended_negotiations == (CommonExtendedNegotiation("1.2", "1.3", ("1.4", "1.5")),)


def test_a_related_general_class_does_not_reach_beyond_its_list():
    fields = b"\0\x031.2\0\x031.3\0\x04\0\x031.4"
    with pytest.raises(ItemError, match="sub-item 57H: a field says 3 bytes, its item has 2 left"):
        read(MAXIMUM, CLASS, b"\x57\0" + len(fields).to_bytes(2, "big") + fields)


@pytest.mark.parametrize(("types", "secondary"), [(IdentityType, b""), ([IdentityType.USERNAME_AND_PASSCODE], b"pw")])
def test_identities_round_trip_and_stay_out_of_repr(types, secondary):
    for identity_type in types:
        identity = UserIdentity(identity_type, False, b"alice", secondary)
        whole = encode_user_information(UserInformation(0, CLASS_UID, user_identity=identity), RQ)
        information = decode_user_information(whole, 4, len(whole), RQ)
        assert information.user_identity == identity
        assert "alice" not in repr(information)


@pytest.mark.parametrize(
    ("information", "direction", "why"),
    [
        (UserInformation(0, "", user_identity_response=b""), RQ, "59H cannot stand in an A-ASSOCIATE-RQ"),
        (UserInformation(0, "", user_identity=UserIdentity(IdentityType.JWT, False, b"")), AC, "57H and 58H cannot"),
        (
            UserInformation(0, "", common_extended_negotiations=(CommonExtendedNegotiation("1", "2"),)),
            AC,
            "57H and 58H cannot",
        ),
        (UserInformation(0, "", implementation_version_name="A" * 17), RQ, "at most 16 characters, found 17"),
        (
            UserInformation(0, "", user_identity=UserIdentity(IdentityType.USERNAME, False, b"alice", b"pw")),
            RQ,
            "type 1 cannot carry a secondary field",
        ),
    ],
)
def test_what_cannot_stand_in_a_pdu_is_not_written(information, direction, why):
    with pytest.raises(ValueError, match=why):
        encode_user_information(information, direction)


def _asynchronous_operations_window():
    window = primitives.AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 0
    return window, {"asynchronous_operations_window": AsynchronousOperationsWindow(5, 0)}


def _role_selection():
    role = primitives.SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CT, False, True
    return role, {"role_selections": (RoleSelection(CT, scu_role=False, scp_role=True),)}


def _extended_negotiation():
    extended = primitives.SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CT, b"\2\0\3"
    return extended, {"extended_negotiations": (ExtendedNegotiation(CT, b"\2\0\3"),)}


def _common_extended_negotiation():
    common = primitives.SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = CT, "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = ["1.2.3", "1.2.4"]
    expected = CommonExtendedNegotiation(CT, "1.2.840.10008.4.2", ("1.2.3", "1.2.4"))
    return common, {"common_extended_negotiations": (expected,)}


def _user_identity():
    identity = primitives.UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = 2, True
    identity.primary_field, identity.secondary_field = b"alice", b"pw"
    expected = UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, b"alice", b"pw")
    return identity, {"user_identity": expected}


@pytest.mark.parametrize(
    "of",
    [
        _asynchronous_operations_window,
        _role_selection,
        _extended_negotiation,
        _common_extended_negotiation,
        _user_identity,
    ],
)
def test_the_references_encoding_of_a_sub_item_is_ours(of):
    primitive, expected = of()
    maximum, class_uid = primitives.MaximumLengthNotification(), primitives.ImplementationClassUIDNotification()
    maximum.maximum_length_received, class_uid.implementation_class_uid = 16384, CLASS_UID
    reference = UserInformationItem()
    reference.from_primitive([maximum, class_uid, primitive])
    whole = reference.encode()
    information = decode_user_information(whole, 4, len(whole), RQ)
    assert information == UserInformation(16384, CLASS_UID, **expected)
    assert encode_user_information(information, RQ) == whole
