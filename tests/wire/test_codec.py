"""PDUs against the standard's bytes, against an independent implementation, and against damage."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ

from dicomgate.wire.codec import MOST_CONTEXT_SUB_ITEMS, decode, encode
from dicomgate.wire.codes import AbortReason, ContextResult, IdentityType, PduType, Reject, Rejection
from dicomgate.wire.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ExtendedNegotiation,
    Malformed,
    Pdu,
    ProposedContext,
    ReleaseReply,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from wire import strategies
from wire.vector_files import corpus, seeds, vector, vectors

IMPLICIT = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
REQUEST = AssociateRequest(
    b"GATE".ljust(16),
    b"SCU".ljust(16),
    (ProposedContext(1, VERIFICATION, (IMPLICIT,)),),
    UserInformation(16384, "1.2.826.0.1.3680043.9.9999"),
)
ACCEPT = AssociateAccept(
    REQUEST.called_ae_title,
    REQUEST.calling_ae_title,
    (ContextAnswer(1, ContextResult.ACCEPTANCE, IMPLICIT),),
    REQUEST.user_information,
)


def decoded(whole: bytes) -> Pdu | Malformed:
    """The PDU whose header the framer would have taken off."""
    return decode(PduType(whole[0]), whole[6:])


def without_count(pdu: Pdu) -> Pdu:
    """The PDU as encode would write it: nothing unknown survives."""
    if isinstance(pdu, AssociateRequest | AssociateAccept):
        return replace(pdu, user_information=replace(pdu.user_information, unknown_items=0))
    return pdu


def assert_parsed_or_refused(kind: PduType, body: bytes) -> None:
    """The invariant of the decoder: one of its values, and what is sent on says the same."""
    pdu = decode(kind, body)
    if isinstance(pdu, Malformed):
        assert pdu.why
        assert len(pdu.why) < 200
    else:
        assert decoded(encode(pdu)) == without_count(pdu)


@pytest.mark.parametrize("case", vectors("pdu"), ids=lambda case: case.name)
def test_vector(case):
    pdu = decoded(case.data)
    if case.expect == "ok":
        assert not isinstance(pdu, Malformed)
        assert decoded(encode(pdu)) == without_count(pdu)
    else:
        assert isinstance(pdu, Malformed)
        assert case.why in pdu.why


@pytest.mark.parametrize("sample", corpus("pdu").values(), ids=corpus("pdu"))
def test_recorded_pdus_are_understood_whole(sample):
    pdu = decoded(sample)
    assert not isinstance(pdu, Malformed)
    assert pdu == without_count(pdu)
    assert decoded(encode(pdu)) == pdu


def test_the_minimal_request_has_the_standards_bytes():
    assert encode(REQUEST) == vector("associate-rq-minimal")
    assert decoded(vector("associate-rq-minimal")) == REQUEST


def test_every_sub_item_has_the_standards_bytes():
    full = replace(
        REQUEST,
        user_information=replace(
            REQUEST.user_information,
            asynchronous_operations_window=AsynchronousOperationsWindow(5, 1),
            role_selections=(RoleSelection(CT, scu_role=False, scp_role=True),),
            implementation_version_name="X_1",
            extended_negotiations=(ExtendedNegotiation("1.2.840.10008.5.1.4.1.2.1.1", b"\1\1\1\0\0"),),
            common_extended_negotiations=(
                CommonExtendedNegotiation(
                    "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.88.11",)
                ),
            ),
            user_identity=UserIdentity(
                IdentityType.USERNAME_AND_PASSCODE,
                positive_response_requested=True,
                primary_field=b"alice",
                secondary_field=b"pw",
            ),
        ),
    )
    assert encode(full) == vector("associate-rq-every-sub-item")
    assert decoded(vector("associate-rq-every-sub-item")) == full


@pytest.mark.parametrize(
    ("pdu", "name"),
    [
        (AssociateReject(Reject.USER_IDENTITY_FAILED), "associate-rj-identity-failed"),
        (AssociateReject(Rejection(255, 255, 255)), "associate-rj-outside-the-table"),
        (ReleaseReply(), "release-rp"),
        (Abort(2, AbortReason.INVALID_PDU_PARAMETER_VALUE), "abort-invalid-parameter-value"),
        (ACCEPT, "associate-ac-minimal"),
        (
            replace(ACCEPT, user_information=replace(ACCEPT.user_information, user_identity_response=b"")),
            "associate-ac-identity-response",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_golden_bytes_both_ways(pdu, name):
    assert encode(pdu) == vector(name)
    assert decoded(vector(name)) == pdu


def test_items_may_come_in_any_order_but_leave_in_ascending_order():
    body = vector("associate-rq-minimal")[6:]
    application_context, context, rest = body[68:93], body[93:143], body[143:]
    assert (application_context[0], context[0], rest[0]) == (0x10, 0x20, 0x50)
    shuffled = decode(PduType.ASSOCIATE_RQ, body[:68] + rest + context + application_context)
    assert shuffled == REQUEST
    assert encode(shuffled)[6:] == body


def test_refused_contexts_carry_no_syntax():
    accept = decoded(vector("associate-ac-refused-contexts"))
    assert [(c.context_id, c.result.value, c.transfer_syntax) for c in accept.presentation_contexts] == [
        (1, 0, IMPLICIT),
        (3, 1, ""),
        (5, 3, ""),
        (7, 4, ""),
    ]
    assert b"\x21\0\0\x08\3\0\1\0\x40\0\0\0" in encode(accept)


def test_reserved_bytes_and_protocol_version_are_kept_as_received():
    request = decoded(vector("associate-rq-reserved-bytes-set"))
    assert request.protocol_version == 0xFFFF
    assert request.reserved == b"\xaa" * 32
    assert encode(request)[1] == 0


def test_titles_are_not_interpreted():
    titled = replace(REQUEST, called_ae_title=bytes(16), calling_ae_title=b"\xff" * 16)
    assert decoded(encode(titled)) == titled


def test_a_duplicate_is_an_unexpected_parameter_and_a_wrong_value_an_invalid_one():
    assert decoded(vector("associate-rq-context-twice")).reason is AbortReason.UNEXPECTED_PDU_PARAMETER
    assert decoded(vector("associate-rq-even-context")).reason is AbortReason.INVALID_PDU_PARAMETER_VALUE


def test_all_128_contexts_are_read():
    contexts = tuple(ProposedContext(n, CT, (IMPLICIT,)) for n in range(1, 256, 2))
    full = replace(REQUEST, presentation_contexts=contexts)
    assert decoded(encode(full)) == full


def test_transfer_syntaxes_are_limited():
    most = (IMPLICIT,) * (MOST_CONTEXT_SUB_ITEMS - 1)
    full = replace(REQUEST, presentation_contexts=(ProposedContext(1, CT, most),))
    assert decoded(encode(full)) == full
    over = replace(REQUEST, presentation_contexts=(ProposedContext(1, CT, (*most, IMPLICIT)),))
    assert decoded(encode(over)).why.startswith(f"item 20H: expected at most {MOST_CONTEXT_SUB_ITEMS} items")


@pytest.mark.parametrize("filler", [b"\x60\0\0\0", b"\x20\0\0\x04\1\0\0\0", b"\x50\0\0\0"])
def test_a_mebibyte_of_tiny_items_is_refused_early(filler):
    body = encode(REQUEST)[6:] + filler * ((1 << 20) // len(filler))
    assert isinstance(decode(PduType.ASSOCIATE_RQ, body), Malformed)


def test_p_data_is_a_stream_and_not_decoded():
    assert decode(PduType.P_DATA_TF, b"").reason is AbortReason.UNEXPECTED_PDU


def test_a_secret_is_in_no_refusal():
    body = vector("associate-rq-identity-trailing-byte")[6:]
    assert b"alice" in body
    assert "alice" not in decode(PduType.ASSOCIATE_RQ, body).why


@pytest.mark.parametrize(
    ("pdu", "why"),
    [
        (replace(REQUEST, called_ae_title=b"SHORT"), "AE titles of 16"),
        (replace(REQUEST, calling_ae_title=b"LONG".ljust(17)), "AE titles of 16"),
        (replace(REQUEST, reserved=b""), "reserved of 32"),
        (replace(REQUEST, protocol_version=0x10000), "AssociateRequest has no encoding"),
        (replace(REQUEST, presentation_contexts=(ProposedContext(257, CT, (IMPLICIT,)),)), "has no encoding"),
        (AssociateReject(Rejection(256, 0, 0)), "range"),
        (
            replace(
                REQUEST,
                user_information=replace(
                    REQUEST.user_information, user_identity=UserIdentity(IdentityType.JWT, False, bytes(65536))
                ),
            ),
            "AssociateRequest has no encoding",
        ),
        (
            replace(
                REQUEST,
                user_information=replace(
                    REQUEST.user_information,
                    extended_negotiations=tuple(ExtendedNegotiation(f"1.{n}", bytes(60000)) for n in range(2)),
                ),
            ),
            "AssociateRequest has no encoding",
        ),
    ],
)
def test_what_has_no_encoding_is_an_error_and_not_other_bytes(pdu, why):
    with pytest.raises(ValueError, match=why):
        encode(pdu)


# --- against pynetdicom, which shares no code with this package ---


REFERENCE = {
    PduType.ASSOCIATE_RQ: A_ASSOCIATE_RQ,
    PduType.ASSOCIATE_AC: A_ASSOCIATE_AC,
    PduType.ASSOCIATE_RJ: A_ASSOCIATE_RJ,
    PduType.RELEASE_RQ: A_RELEASE_RQ,
    PduType.RELEASE_RP: A_RELEASE_RP,
    PduType.ABORT: A_ABORT_RQ,
}


def reference(whole: bytes):
    """The PDU as pynetdicom reads it."""
    pdu = REFERENCE[PduType(whole[0])]()
    pdu.decode(whole)
    return pdu


@pytest.mark.parametrize(
    "whole",
    [encode(REQUEST), encode(ACCEPT), *(v.data for v in vectors("pdu") if v.name == "associate-rq-every-sub-item")],
    ids=["request", "accept", "every-sub-item"],
)
def test_our_bytes_survive_the_reference(whole):
    assert reference(whole).encode() == whole


@pytest.mark.parametrize("sample", corpus("pdu").values(), ids=corpus("pdu"))
def test_the_reference_reads_the_same_before_and_after_us(sample):
    ours = decoded(sample)
    before, after = reference(sample), reference(encode(ours))
    assert type(before) is type(after)
    if isinstance(ours, AssociateRequest | AssociateAccept):
        assert after.called_ae_title == before.called_ae_title
        assert after.calling_ae_title == before.calling_ae_title
        assert after.application_context_name == before.application_context_name == ours.application_context_name
        assert contexts(after) == contexts(before)
        assert user_items(after) == user_items(before)
    else:
        assert after.encode() == before.encode() or sample[0] in (PduType.RELEASE_RQ, PduType.RELEASE_RP)


def contexts(pdu) -> list[tuple[object, ...]]:
    """Presentation contexts as the reference sees them, refused ones without their meaningless syntax."""
    if isinstance(pdu, A_ASSOCIATE_RQ):
        return [(c.context_id, c.abstract_syntax, c.transfer_syntax) for c in pdu.presentation_context]
    return [(c.context_id, c.result, c.transfer_syntax if c.result == 0 else "") for c in pdu.presentation_context]


def user_items(pdu) -> set[bytes]:
    """The sub-items of 50H as the reference would send them."""
    return {sub_item.encode() for sub_item in pdu.user_information.user_data}


# --- properties ---


@settings(derandomize=True, deadline=None, max_examples=200)
@given(strategies.pdus)
def test_every_value_survives_its_encoding(pdu):
    whole = encode(pdu)
    assert int.from_bytes(whole[2:6], "big") == len(whole) - 6
    assert decoded(whole) == pdu


@settings(derandomize=True, deadline=None, max_examples=600)
@given(st.sampled_from(PduType), strategies.damaged(st.sampled_from([s for s in seeds("pdu") if len(s) < 1500])))
def test_damaged_pdus_are_parsed_or_refused(kind, whole):
    kind = PduType(whole[0]) if whole and whole[0] in REFERENCE else kind
    assert_parsed_or_refused(kind, whole[6:])


@settings(derandomize=True, deadline=None, max_examples=100)
@given(strategies.damaged(strategies.requests.map(encode)))
def test_damaged_generated_requests_are_parsed_or_refused(whole):
    assert_parsed_or_refused(PduType.ASSOCIATE_RQ, whole[6:])


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.sampled_from(PduType), st.binary(max_size=200), st.booleans())
def test_random_bytes_are_parsed_or_refused(kind, noise, fixed_part):
    assert_parsed_or_refused(kind, bytes(68) * fixed_part + noise)


@pytest.mark.parametrize("name", ["associate-rq-every-sub-item", "associate-ac-identity-response"])
def test_every_truncation_is_refused(name):
    whole = vector(name)
    for end in range(6, len(whole)):
        assert isinstance(decoded(whole[:end]), Malformed)


@pytest.mark.parametrize("sample", corpus().values(), ids=corpus())
def test_every_sample_of_any_protocol_is_parsed_or_refused(sample):
    for kind in PduType:
        assert_parsed_or_refused(kind, sample)
        assert_parsed_or_refused(kind, sample[6:])
