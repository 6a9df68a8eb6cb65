"""Command sets against the standard's tables, against pynetdicom and pydicom, and against damage."""

from dataclasses import fields, replace
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import decode as reference_decode
from pynetdicom.dsutils import encode as reference_encode
from pynetdicom.pdu_primitives import P_DATA

from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command, decode_command, encode_command
from dicomgate.wire.pdu import Malformed
from wire import strategies
from wire.vector_files import corpus, seeds, vector, vectors

CT = "1.2.840.10008.5.1.4.1.1.2"
STORE = Command(
    CommandField.C_STORE_RQ,
    has_data_set=True,
    affected_sop_class_uid=CT,
    message_id=7,
    priority=0,
    affected_sop_instance_uid="1.2.3.4",
)


def element(number: int, value: bytes) -> bytes:
    """One element of group 0000."""
    return b"\0\0" + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value


def store_with(number: int, value: bytes) -> Command | Malformed:
    """A C-STORE-RQ decoded with one element replaced or added."""
    elements = {
        0x0002: CT.encode() + b"\0",
        0x0100: b"\1\0",
        0x0110: b"\7\0",
        0x0800: b"\0\0",
        0x1000: b"1.2.3.4\0",
        number: value,
    }
    return decode_command(b"".join(element(number, elements[number]) for number in sorted(elements)))


def assert_parsed_or_refused(data: bytes) -> None:
    """The invariant of the decoder: one of its values, and what is sent on says the same."""
    command = decode_command(data)
    if isinstance(command, Malformed):
        assert command.why
        assert len(command.why) < 200
    else:
        assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize("case", vectors("command"), ids=lambda case: case.name)
def test_vector(case):
    command = decode_command(case.data)
    if case.expect == "ok":
        assert not isinstance(command, Malformed)
        assert decode_command(encode_command(command)) == command
    else:
        assert isinstance(command, Malformed)
        assert case.why in command.why


@pytest.mark.parametrize("sample", corpus("command").values(), ids=corpus("command"))
def test_recorded_command_sets_leave_as_they_came(sample):
    command = decode_command(sample)
    assert not isinstance(command, Malformed)
    canonical = encode_command(command)
    # The value of (0000,0800) is free, so one byte pair may differ; nothing else may.
    assert reference_decode(BytesIO(canonical), True, True) == _with_data_set_type(sample, command)


def _with_data_set_type(sample: bytes, command: Command) -> Dataset:
    expected = reference_decode(BytesIO(sample), True, True)
    expected.CommandDataSetType = 0x0001 if command.has_data_set else 0x0101
    return expected


def test_a_store_request_means_what_it_says():
    assert decode_command(vector("command-c-store-rq")) == STORE
    assert decode_command(vector("command-c-store-rq-sub-operation")) == replace(
        STORE, move_originator_ae_title="SCU", move_originator_message_id=3
    )


def test_a_refusal_means_what_it_says():
    refusal = Command(
        CommandField.C_STORE_RSP,
        has_data_set=False,
        message_id_being_responded_to=7,
        status=0x0124,
        error_comment="refused 4F2A",
    )
    assert decode_command(vector("command-c-store-rsp-not-authorised")) == refusal
    assert encode_command(refusal) == vector("command-c-store-rsp-not-authorised")


def test_retired_and_unknown_elements_are_dropped():
    assert encode_command(decode_command(vector("command-retired-and-unknown-elements"))) == vector("command-c-echo-rq")


def test_the_group_length_is_computed():
    assert encode_command(decode_command(vector("command-no-group-length"))) == vector("command-c-echo-rq")


def test_elements_without_value_are_absent():
    assert decode_command(vector("command-empty-optional-elements")) == STORE
    for padding in (b"", b"    ", b"\0\0"):
        assert store_with(0x1030, padding).move_originator_ae_title is None
    assert store_with(0x1000, b"\0\0") == Malformed("C_STORE_RQ: expected (0000,1000), found none")


def test_tags_are_group_and_element():
    assert decode_command(vector("command-n-get-rq")).attribute_identifier_list == (0x00100020, 0x21000010)


@pytest.mark.parametrize("value", [0x0000, 0x0001, 0x0100, 0x0101, 0x0102, 0x1010, 0xFFFF])
def test_only_0101h_means_no_data_set(value):
    data = vector("command-c-store-rsp-not-authorised").replace(
        b"\0\0\0\x08\2\0\0\0\1\1", b"\0\0\0\x08\2\0\0\0" + value.to_bytes(2, "little")
    )
    assert decode_command(data).has_data_set is (value != 0x0101)


@pytest.mark.parametrize("uid", ["..", "1..2", "../etc", "1.2.x", "1\\2", "'; --"])
def test_wrong_uids_stay_text_for_policy(uid):
    raw = uid.encode() + b"\0" * (len(uid) % 2)
    assert store_with(0x1000, raw).affected_sop_instance_uid == uid


@pytest.mark.parametrize("raw", [b"1.2\0003", b"1.2\r\n1", b"\x1b[2J", b"1.2\xff", b"1" * 66])
def test_uids_that_cannot_be_shown_are_refused(raw):
    assert isinstance(store_with(0x1000, raw + b"\0" * (len(raw) % 2)), Malformed)


@pytest.mark.parametrize(("raw", "uid"), [(b"1.2\0", "1.2"), (b"1.2 ", "1.2"), (b"1.22", "1.22"), (b"1.2\0  ", "1.2")])
def test_padding_of_a_uid_is_taken_off(raw, uid):
    assert store_with(0x1000, raw).affected_sop_instance_uid == uid


@pytest.mark.parametrize("raw", [b"A\\B ", b"A\nB ", b"\xc4BC ", b"ABCDEFGHIJKLMNOPQ "])
def test_wrong_titles_are_refused(raw):
    assert store_with(0x1030, raw) == Malformed(
        f"(0000,1030): expected an AE title of up to 16 printable characters, found other {len(raw)} bytes"
    )


@pytest.mark.parametrize(
    ("raw", "comment"),
    [
        (b"out of space", "out of space"),
        (b"plein \xe0 craquer ", "plein à craquer"),
        (b"a\x1b[31mb\x00c\x9f", "a?[31mb?c?"),
        (b"x" * 70, "x" * 64),
    ],
)
def test_comments_are_made_showable(raw, comment):
    assert store_with(0x0902, raw).error_comment == comment


@pytest.mark.parametrize("command_field", CommandField)
def test_each_message_needs_its_mandatory_elements_and_no_others(command_field):
    rule = strategies.data_set_rule(command_field)
    values = {
        name: f"1.2.{n}" if name.endswith("uid") else "DEST" if name == "move_destination" else n
        for n, name in enumerate(strategies.mandatory_elements(command_field))
    }
    whole = Command(command_field, rule is not False, **values)
    assert decode_command(encode_command(whole)) == whole
    for name in values:
        lacking = decode_command(encode_command(replace(whole, **{name: None})))
        assert isinstance(lacking, Malformed), name
        assert lacking.why.startswith(f"{command_field.name}: expected (0000,")


@pytest.mark.parametrize("command_field", CommandField)
def test_a_data_set_is_there_when_the_message_says_so(command_field):
    rule = strategies.data_set_rule(command_field)
    values = dict.fromkeys(strategies.mandatory_elements(command_field), "1.2")
    values = {name: "1.2" if name.endswith("uid") or name == "move_destination" else 1 for name in values}
    for has_data_set in (True, False):
        command = Command(command_field, has_data_set, **values)
        result = decode_command(encode_command(command))
        if rule is None or rule is has_data_set:
            assert result == command
        else:
            assert isinstance(result, Malformed)
            assert "(0000,0800)" in result.why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"message_id": 65536}, "C_STORE_RQ has no encoding"),
        ({"message_id": -1}, "C_STORE_RQ has no encoding"),
        ({"affected_sop_instance_uid": "1" * 65}, "at most 64 characters for a command element, found 65"),
        ({"move_originator_ae_title": "A" * 17}, "at most 16 characters for a command element, found 17"),
        ({"error_comment": "x" * 65}, "at most 64 characters for a command element, found 65"),
        ({"error_comment": "\u65e5"}, "latin-1"),
        ({"offending_element": (1 << 32,)}, "C_STORE_RQ has no encoding"),
    ],
)
def test_what_has_no_encoding_is_an_error_and_not_other_bytes(change, why):
    with pytest.raises(ValueError, match=why):
        encode_command(replace(STORE, **change))


# --- against pynetdicom and pydicom, which share no code with this package ---


KEYWORDS = {
    "affected_sop_class_uid": "AffectedSOPClassUID",
    "requested_sop_class_uid": "RequestedSOPClassUID",
    "message_id": "MessageID",
    "message_id_being_responded_to": "MessageIDBeingRespondedTo",
    "move_destination": "MoveDestination",
    "priority": "Priority",
    "status": "Status",
    "offending_element": "OffendingElement",
    "error_comment": "ErrorComment",
    "error_id": "ErrorID",
    "affected_sop_instance_uid": "AffectedSOPInstanceUID",
    "requested_sop_instance_uid": "RequestedSOPInstanceUID",
    "event_type_id": "EventTypeID",
    "attribute_identifier_list": "AttributeIdentifierList",
    "action_type_id": "ActionTypeID",
    "remaining_sub_operations": "NumberOfRemainingSuboperations",
    "completed_sub_operations": "NumberOfCompletedSuboperations",
    "failed_sub_operations": "NumberOfFailedSuboperations",
    "warning_sub_operations": "NumberOfWarningSuboperations",
    "move_originator_ae_title": "MoveOriginatorApplicationEntityTitle",
    "move_originator_message_id": "MoveOriginatorMessageID",
}


def test_every_attribute_is_compared():
    assert {"command_field", "has_data_set", *KEYWORDS} == {field.name for field in fields(Command)}


def values(data_set: Dataset) -> dict[str, object]:
    """A reference data set as attributes of Command."""
    found: dict[str, object] = {}
    for attribute, keyword in KEYWORDS.items():
        value = data_set.get(keyword)
        if value is not None and value != "":
            found[attribute] = value
    return found


def test_pydicom_writes_the_bytes_we_write():
    every = Command(
        CommandField.N_ACTION_RQ,
        has_data_set=True,
        **{
            "affected_sop_class_uid": "1.2.3",
            "requested_sop_class_uid": "1.2.34",
            "offending_element": (0x00100010, 0x00100020),
            "attribute_identifier_list": (0x0040A730,),
            "error_comment": "no space",
            "affected_sop_instance_uid": "1.2.5",
            "requested_sop_instance_uid": "1.2.56",
            "move_destination": "DEST",
            "move_originator_ae_title": "SCU",
        },
        **{name: n for n, name in enumerate(KEYWORDS) if name.endswith(("_id", "_to", "_operations"))},
        priority=2,
        status=0x0110,
    )
    data_set = Dataset()
    for attribute, keyword in KEYWORDS.items():
        value = getattr(every, attribute)
        setattr(data_set, keyword, list(value) if isinstance(value, tuple) else value)
    data_set.CommandField, data_set.CommandDataSetType = 0x0130, 0x0001
    encoded = reference_encode(data_set, True, True)
    ours = encode_command(every)
    assert ours[12:] == encoded
    assert ours[:12] == element(0, len(encoded).to_bytes(4, "little"))
    assert decode_command(ours) == every


def _store_request():
    primitive = dimse_primitives.C_STORE()
    primitive.MessageID, primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = 7, CT, "1.2.3.4"
    primitive.Priority, primitive.DataSet = 2, BytesIO(b"\0\0")
    primitive.MoveOriginatorApplicationEntityTitle, primitive.MoveOriginatorMessageID = "SCU", 3
    return dimse_messages.C_STORE_RQ(), primitive


def _store_response():
    primitive = dimse_primitives.C_STORE()
    primitive.MessageIDBeingRespondedTo, primitive.AffectedSOPClassUID, primitive.Status = 7, CT, 0xA700
    primitive.AffectedSOPInstanceUID, primitive.ErrorComment = "1.2.3.4", "out of space"
    return dimse_messages.C_STORE_RSP(), primitive


def _move_request():
    primitive = dimse_primitives.C_MOVE()
    primitive.MessageID, primitive.AffectedSOPClassUID = 9, "1.2.840.10008.5.1.4.1.2.1.2"
    primitive.MoveDestination, primitive.Priority, primitive.Identifier = "VIEWER", 0, BytesIO(b"\0\0")
    return dimse_messages.C_MOVE_RQ(), primitive


def _move_response():
    primitive = dimse_primitives.C_MOVE()
    primitive.MessageIDBeingRespondedTo, primitive.Status = 9, 0xFF00
    primitive.NumberOfRemainingSuboperations, primitive.NumberOfCompletedSuboperations = 3, 2
    primitive.NumberOfFailedSuboperations, primitive.NumberOfWarningSuboperations = 1, 0
    return dimse_messages.C_MOVE_RSP(), primitive


def _find_response():
    primitive = dimse_primitives.C_FIND()
    primitive.MessageIDBeingRespondedTo, primitive.Status = 9, 0xFF00
    primitive.Identifier = BytesIO(b"\0\0")
    return dimse_messages.C_FIND_RSP(), primitive


def _cancel_request():
    primitive = dimse_primitives.C_CANCEL()
    primitive.MessageIDBeingRespondedTo = 9
    return dimse_messages.C_CANCEL_RQ(), primitive


def _action_request():
    primitive = dimse_primitives.N_ACTION()
    primitive.MessageID, primitive.ActionTypeID = 4, 1
    primitive.RequestedSOPClassUID = "1.2.840.10008.1.20.1"
    primitive.RequestedSOPInstanceUID = "1.2.840.10008.1.20.1.1"
    primitive.ActionInformation = BytesIO(b"\0\0")
    return dimse_messages.N_ACTION_RQ(), primitive


def _event_report_request():
    primitive = dimse_primitives.N_EVENT_REPORT()
    primitive.MessageID, primitive.EventTypeID = 4, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
    return dimse_messages.N_EVENT_REPORT_RQ(), primitive


def _create_response():
    primitive = dimse_primitives.N_CREATE()
    primitive.MessageIDBeingRespondedTo, primitive.Status = 4, 0x0111
    return dimse_messages.N_CREATE_RSP(), primitive


@pytest.mark.parametrize(
    "of",
    [
        _store_request,
        _store_response,
        _move_request,
        _move_response,
        _find_response,
        _cancel_request,
        _action_request,
        _event_report_request,
        _create_response,
    ],
)
def test_messages_of_pynetdicom_both_ways(of):
    message, primitive = of()
    message.primitive_to_message(primitive)
    command_set = b"".join(
        data[1:]
        for fragment in message.encode_msg(1, 16382)
        for _, data in fragment.presentation_data_value_list
        if data[0] & 1
    )
    command = decode_command(command_set)
    assert not isinstance(command, Malformed)
    assert command.command_field.name == type(message).__name__
    ours = {name: getattr(command, name) for name in KEYWORDS if getattr(command, name) is not None}
    assert ours == values(message.command_set)
    back = P_DATA()
    back.presentation_data_value_list = [[1, b"\3" + encode_command(command)]]
    if command.has_data_set:
        back.presentation_data_value_list.append([1, b"\2\0\0"])
    again = dimse_messages.DIMSEMessage()
    assert again.decode_msg(back) is True
    assert type(again) is type(message)
    assert values(again.command_set) == ours


# --- properties ---


@settings(derandomize=True, deadline=None, max_examples=300)
@given(strategies.commands())
def test_every_value_survives_its_encoding(command):
    data = encode_command(command)
    assert data[:8] == b"\0\0\0\0\4\0\0\0"
    assert int.from_bytes(data[8:12], "little") == len(data) - 12
    assert decode_command(data) == command


@settings(derandomize=True, deadline=None, max_examples=600)
@given(strategies.damaged(st.sampled_from(seeds("command"))))
def test_damaged_command_sets_are_parsed_or_refused(data):
    assert_parsed_or_refused(data)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 0x1100), st.binary(max_size=8)), max_size=6))
def test_arbitrary_elements_are_parsed_or_refused(elements):
    assert_parsed_or_refused(b"".join(element(number, value) for number, value in sorted(elements)))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes_are_parsed_or_refused(data):
    assert_parsed_or_refused(data)


def test_every_truncation_is_refused():
    data = vector("command-c-store-rq-sub-operation")
    for end in range(len(data)):
        assert isinstance(decode_command(data[:end]), Malformed)


@pytest.mark.parametrize("sample", corpus().values(), ids=corpus())
def test_every_sample_of_any_protocol_is_parsed_or_refused(sample):
    assert_parsed_or_refused(sample)
