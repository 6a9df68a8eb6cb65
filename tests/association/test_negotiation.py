"""Proposals narrowed, answers checked: nothing that was not proposed and allowed comes out on either side."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.association.negotiation import (
    DEFAULT_ROLES,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    AcceptedContext,
    Agreement,
    Roles,
    agree,
    clamp,
    narrow,
    pad_ae_title,
)
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import AbortReason, ContextResult, IdentityType, PduType
from dicomgate.wire.pdu import (
    AssociateAccept,
    AssociateRequest,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ExtendedNegotiation,
    Malformed,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from dicomgate.wire.text import is_valid_uid
from wire import strategies

ECHO, CT, MR = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
LIMIT, OPERATIONS = 1024 * 1024, 64
PASSCODE = UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, b"alice", b"secret")
CONTEXTS = (
    ProposedContext(1, ECHO, (IMPLICIT,)),
    ProposedContext(3, CT, (EXPLICIT, JPEG)),
    ProposedContext(5, MR, (IMPLICIT,)),
)
CLIENT = AssociateRequest(
    b"ARCHIVE".ljust(16),
    b"CT1".ljust(16),
    CONTEXTS,
    UserInformation(
        16384,
        "1.2.3.4",
        "CT_SCANNER_7",
        AsynchronousOperationsWindow(5, 0),
        (RoleSelection(CT, True, True), RoleSelection(MR, False, True)),
        (ExtendedNegotiation(CT, b"\2\0\3\0\1\0"), ExtendedNegotiation(MR, b"\1")),
        (CommonExtendedNegotiation(CT, "1.2.840.10008.4.2"), CommonExtendedNegotiation(MR, "1.2.840.10008.4.2")),
        PASSCODE,
        unknown_items=2,
    ),
    reserved=b"\x07" * 32,
)


def narrowed(client=CLIENT, contexts=CONTEXTS[:2], roles=CLIENT.user_information.role_selections, pdu=LIMIT):
    return narrow(
        client,
        contexts,
        roles,
        called_ae_title="ARCHIVE",
        calling_ae_title="GATE",
        pdu_limit=pdu,
        operations_limit=OPERATIONS,
    )


SENT = narrowed()
REFUSED = {5: ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED}


def accept(*answers, **information):
    told = UserInformation(32768, "1.2.826.0.1", "ARCHIVE_9", **information)
    return AssociateAccept(b"whatever".ljust(16), b"it says".ljust(16), answers, told)


def agreed(*answers, client=CLIENT, sent=SENT, refused=REFUSED, pdu=LIMIT, **information):
    return agree(client, sent, refused, accept(*answers, **information), pdu)


def told(agreement):
    assert isinstance(agreement, Agreement)
    return agreement.accept.user_information


YES_ECHO, YES_CT = (
    ContextAnswer(1, ContextResult.ACCEPTANCE, IMPLICIT),
    ContextAnswer(3, ContextResult.ACCEPTANCE, JPEG),
)

# -- the request that is sent on ---------------------------------------------------------------------------


def test_the_request_is_rebuilt_from_what_was_judged():
    assert (
        AssociateRequest(
            b"ARCHIVE".ljust(16),
            b"GATE".ljust(16),
            CONTEXTS[:2],
            UserInformation(
                16384,
                IMPLEMENTATION_CLASS_UID,
                IMPLEMENTATION_VERSION_NAME,
                AsynchronousOperationsWindow(5, 64),
                (RoleSelection(CT, True, True),),
                (ExtendedNegotiation(CT, b"\2\0\3\0\1\0"),),
                (CommonExtendedNegotiation(CT, "1.2.840.10008.4.2"),),
            ),
        )
        == SENT
    )


def test_the_passcode_stays_behind():
    assert b"secret" not in encode(SENT)
    assert b"alice" not in encode(SENT)
    assert b"secret" in encode(CLIENT)


def test_only_the_roles_that_policy_left_are_proposed():
    assert narrowed(roles=()).user_information.role_selections == ()
    one = (RoleSelection(CT, False, True),)
    assert narrowed(roles=one).user_information.role_selections == one


def test_our_own_name_is_one_the_standard_allows():
    assert is_valid_uid(IMPLEMENTATION_CLASS_UID)
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16
    assert pad_ae_title("GATE") == b"GATE            "


@pytest.mark.parametrize(
    ("declared", "limit", "result"),
    [(0, 16384, 16384), (1, 16384, 1), (16384, 16384, 16384), (16385, 16384, 16384), (0xFFFFFFFF, 16384, 16384)],
)
def test_maximum_lengths_are_clamped_and_no_limit_becomes_ours(declared, limit, result):
    client = replace(CLIENT, user_information=replace(CLIENT.user_information, maximum_length=declared))
    assert clamp(declared, limit) == result
    assert narrowed(client, pdu=limit).user_information.maximum_length == result


@pytest.mark.parametrize(
    ("asked", "sent"),
    [(None, None), ((0, 0), (64, 64)), ((1, 1), (1, 1)), ((65535, 2), (64, 2))],
)
def test_an_asynchronous_window_is_clamped_to_what_the_gate_keeps_track_of(asked, sent):
    window = asked and AsynchronousOperationsWindow(*asked)
    client = replace(CLIENT, user_information=replace(CLIENT.user_information, asynchronous_operations_window=window))
    wanted = sent and AsynchronousOperationsWindow(*sent)
    assert narrowed(client).user_information.asynchronous_operations_window == wanted


# -- the answer --------------------------------------------------------------------------------------------


def test_the_client_gets_its_proposal_cut_to_policy_cut_to_the_archive():
    agreement = agreed(YES_CT, ContextAnswer(1, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED))
    assert isinstance(agreement, Agreement)
    assert agreement.accept == AssociateAccept(
        CLIENT.called_ae_title,
        CLIENT.calling_ae_title,
        (
            ContextAnswer(1, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED),
            YES_CT,
            ContextAnswer(5, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED),
        ),
        UserInformation(32768, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME),
        reserved=CLIENT.reserved,
    )
    assert agreement.contexts == {3: AcceptedContext(3, CT, JPEG, DEFAULT_ROLES)}
    assert (agreement.to_requestor, agreement.to_acceptor) == (16384, 32768)


def test_a_context_the_archive_did_not_answer_is_refused_without_a_reason():
    agreement = agreed(YES_ECHO)
    assert isinstance(agreement, Agreement)
    assert agreement.accept.presentation_contexts[1] == ContextAnswer(3, ContextResult.NO_REASON)
    assert list(agreement.contexts) == [1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ContextAnswer(5, ContextResult.ACCEPTANCE, IMPLICIT), "presentation context 5 was answered but not proposed"),
        (ContextAnswer(5, ContextResult.NO_REASON), "presentation context 5 was answered but not proposed"),
        (
            ContextAnswer(99, ContextResult.ACCEPTANCE, IMPLICIT),
            "presentation context 99 was answered but not proposed",
        ),
        (
            ContextAnswer(1, ContextResult.ACCEPTANCE, EXPLICIT),
            "presentation context 1 was accepted with a transfer syntax not offered",
        ),
    ],
)
def test_an_archive_that_answers_what_it_was_not_asked_is_not_believed(answer, why):
    assert agreed(answer) == Malformed(why, AbortReason.UNEXPECTED_PDU_PARAMETER)


def test_an_archive_that_answers_a_role_it_was_not_asked_is_not_believed():
    assert agreed(YES_CT, role_selections=(RoleSelection(MR, True, True),)) == Malformed(
        "a role was answered that was not proposed", AbortReason.UNEXPECTED_PDU_PARAMETER
    )


@pytest.mark.parametrize("asked", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("answered", [(True, True), (True, False), (False, True), (False, False)])
def test_a_role_is_what_was_proposed_and_accepted(asked, answered):
    sent = narrowed(roles=(RoleSelection(CT, *asked),))
    agreement = agreed(YES_CT, sent=sent, role_selections=(RoleSelection(CT, *answered),))
    both = (asked[0] and answered[0], asked[1] and answered[1])
    assert isinstance(agreement, Agreement)
    assert agreement.contexts[3].roles == Roles(*both)
    assert told(agreement).role_selections == (RoleSelection(CT, *both),)


def test_a_role_that_was_not_answered_is_the_default():
    agreement = agreed(YES_CT)
    assert isinstance(agreement, Agreement)
    assert agreement.contexts[3].roles == Roles(scu=True, scp=False)
    assert told(agreement).role_selections == ()


@pytest.mark.parametrize(
    ("asked", "answered", "result"),
    [
        (None, (5, 5), None),
        ((5, 2), None, None),
        ((5, 2), (3, 1), (3, 1)),
        ((5, 2), (9, 9), (5, 2)),
        ((5, 2), (0, 0), (5, 2)),
    ],
)
def test_an_asynchronous_window_never_grows(asked, answered, result):
    window = asked and AsynchronousOperationsWindow(*asked)
    information = replace(CLIENT.user_information, asynchronous_operations_window=window)
    sent = narrowed(replace(CLIENT, user_information=information))
    given_back = answered and AsynchronousOperationsWindow(*answered)
    agreement = agreed(YES_CT, sent=sent, asynchronous_operations_window=given_back)
    assert told(agreement).asynchronous_operations_window == (result and AsynchronousOperationsWindow(*result))


def test_only_extended_negotiation_that_was_proposed_comes_back():
    mine, other = ExtendedNegotiation(CT, b"\1"), ExtendedNegotiation(MR, b"\1")
    assert told(agreed(YES_CT, extended_negotiations=(other, mine))).extended_negotiations == (mine,)


def test_the_answer_to_the_user_identity_is_the_gates_business_not_the_archives():
    assert told(agreed(YES_CT, user_identity_response=b"hello")).user_identity_response is None


@pytest.mark.parametrize(("declared", "result"), [(0, LIMIT), (1, 1), (0xFFFFFFFF, LIMIT)])
def test_the_archives_maximum_length_is_clamped(declared, result):
    answer = replace(accept(YES_CT), user_information=replace(accept(YES_CT).user_information, maximum_length=declared))
    agreement = agree(CLIENT, SENT, REFUSED, answer, LIMIT)
    assert isinstance(agreement, Agreement)
    assert agreement.to_acceptor == told(agreement).maximum_length == result


# -- what fits into a PDU ----------------------------------------------------------------------------------


def filled(size):
    """User information of exactly `size` bytes, most of it extended negotiation."""
    room = size - len("1.2.3") - 4 - 8 - 4 - 2 - len(CT)
    return UserInformation(16384, "1.2.3", extended_negotiations=(ExtendedNegotiation(CT, bytes(room)),))


def test_extended_negotiation_that_leaves_no_room_for_our_own_name_is_not_sent_on():
    client = replace(CLIENT, user_information=filled(65535))
    assert decode(PduType.ASSOCIATE_RQ, encode(client)[6:]) == client
    sent = narrowed(client)
    assert sent.user_information.extended_negotiations == ()
    assert decode(PduType.ASSOCIATE_RQ, encode(sent)[6:]) == sent


def test_common_extended_negotiation_that_leaves_no_room_for_our_own_name_is_not_sent_on():
    related = tuple(f"1.2.3.{'4' * 50}.{n}" for n in range(1050))
    common = (CommonExtendedNegotiation(CT, "1.2.840.10008.4.2", related),)
    information = UserInformation(16384, "1.2.3", common_extended_negotiations=common)
    client = replace(CLIENT, user_information=information)
    assert len(encode(client)) > 65000
    sent = narrowed(client)
    assert sent.user_information.common_extended_negotiations == ()
    assert decode(PduType.ASSOCIATE_RQ, encode(sent)[6:]) == sent


def test_extended_negotiation_that_leaves_no_room_for_our_own_name_is_not_sent_back():
    answer = replace(accept(YES_CT), user_information=filled(65535))
    agreement = agree(CLIENT, SENT, REFUSED, answer, LIMIT)
    assert told(agreement).extended_negotiations == ()
    encode(agreement.accept)


many = tuple(ProposedContext(2 * n + 1, f"{CT}.{'9' * 30}.{n:06}", (IMPLICIT,)) for n in range(128))


def test_as_many_negotiation_items_as_there_are_contexts_fit():
    uids = [context.abstract_syntax for context in many]
    client = replace(
        CLIENT,
        presentation_contexts=many,
        user_information=UserInformation(
            0,
            "1.2.3",
            role_selections=tuple(RoleSelection(uid, True, True) for uid in uids),
            extended_negotiations=tuple(ExtendedNegotiation(uid, bytes(16)) for uid in uids),
            common_extended_negotiations=tuple(CommonExtendedNegotiation(uid, CT) for uid in uids),
        ),
    )
    sent = narrowed(client, many, client.user_information.role_selections)
    assert replace(
        sent.user_information, maximum_length=0, implementation_class_uid="1.2.3", implementation_version_name=None
    ) == replace(client.user_information)
    encode(sent)


@settings(max_examples=100)
@given(strategies.requests, strategies.accepts, st.data())
def test_whatever_an_archive_answers_the_client_gets_what_it_proposed_or_nothing(client, answer, data):
    proposed = client.presentation_contexts
    contexts = tuple(context for context in proposed if data.draw(st.booleans()))
    refused = {c.context_id: ContextResult.USER_REJECTION for c in proposed if c not in contexts}
    sent = narrowed(client, contexts, client.user_information.role_selections)
    encode(sent)
    if data.draw(st.booleans()):  # an archive that is asked gives at least plausible answers
        answers = tuple(ContextAnswer(c.context_id, ContextResult.ACCEPTANCE, c.transfer_syntaxes[0]) for c in contexts)
        answer = replace(
            answer, presentation_contexts=answers, user_information=replace(answer.user_information, role_selections=())
        )
    agreement = agree(client, sent, refused, answer, LIMIT)
    if isinstance(agreement, Malformed):
        return
    encode(agreement.accept)
    assert [a.context_id for a in agreement.accept.presentation_contexts] == [c.context_id for c in proposed]
    by_id = {context.context_id: context for context in contexts}
    for number, context in agreement.contexts.items():
        assert context.abstract_syntax == by_id[number].abstract_syntax
        assert context.transfer_syntax in by_id[number].transfer_syntaxes
