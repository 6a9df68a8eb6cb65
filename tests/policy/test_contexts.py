"""What is left of a proposal: presentation contexts, transfer syntaxes, roles, and what is told to the archive."""

from dataclasses import replace

import pytest

from dicomgate.association.negotiation import IMPLEMENTATION_CLASS_UID
from dicomgate.policy.model import Mode, Verb
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AllowAssociation, Deny, Direction
from dicomgate.wire.codes import ContextResult, IdentityType, Reject
from dicomgate.wire.pdu import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
)
from policy.scene import (
    ARCHIVE,
    BIG_ENDIAN,
    COMMIT,
    CT,
    EXPLICIT,
    FIND,
    GET,
    IMPLICIT,
    MR,
    RULES,
    VERIFICATION,
    admitted,
    association,
    policy,
    request,
)

UNSUPPORTED = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
NO_SYNTAX = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED


def test_allowed_contexts_stay_and_the_others_get_the_standards_answer() -> None:
    asked = policy(may=frozenset({Verb.ECHO, Verb.STORE}), sop_classes=frozenset({CT}))
    permit = admitted(asked, request((VERIFICATION,), (CT, BIG_ENDIAN), (MR,), (FIND,), (CT, IMPLICIT, BIG_ENDIAN)))
    assert [c.context_id for c in permit.request.presentation_contexts] == [1, 9]
    assert permit.refused_contexts == {3: NO_SYNTAX, 5: UNSUPPORTED, 7: UNSUPPORTED}


def test_forbidden_transfer_syntaxes_are_taken_out_and_the_order_of_the_others_is_kept() -> None:
    permit = admitted(policy(), request((CT, BIG_ENDIAN, EXPLICIT, "1.2.840.10008.1.2.1.99", IMPLICIT)))
    assert permit.request.presentation_contexts[0].transfer_syntaxes == (EXPLICIT, IMPLICIT)


def test_a_written_list_is_all_there_is() -> None:
    permit = admitted(policy(transfer_syntaxes=frozenset({BIG_ENDIAN})), request((CT, IMPLICIT, BIG_ENDIAN)))
    assert permit.request.presentation_contexts[0].transfer_syntaxes == (BIG_ENDIAN,)


@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        ({"may": frozenset({Verb.ECHO})}, "peer[ct-1].may"),
        ({"sop_classes": frozenset({CT})}, "peer[ct-1].sop_classes"),
        ({"transfer_syntaxes": frozenset({EXPLICIT})}, "peer[ct-1].transfer_syntaxes"),
    ],
)
def test_when_nothing_is_left_the_rule_is_the_key_that_took_it(limit: dict[str, object], rule: str) -> None:
    verdict = policy(**limit).decide_association(association(request((MR, IMPLICIT))))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == (rule, Reject.NO_REASON)


def test_the_request_for_the_archive_is_told_nothing_that_was_not_judged() -> None:
    rq = request(
        (CT,),
        (FIND,),
        roles=(RoleSelection(CT, True, False), RoleSelection(MR, True, True)),
        implementation_version_name="OLD_SCANNER",
        asynchronous_operations_window=AsynchronousOperationsWindow(0, 500),
        extended_negotiations=(ExtendedNegotiation(FIND, b"\1"), ExtendedNegotiation(CT, b"\2")),
        common_extended_negotiations=(CommonExtendedNegotiation(MR, "1.2.840.10008.4.2"),),
        user_identity=UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, b"anna", b"secret"),
        unknown_items=3,
    )
    rq = replace(rq, protocol_version=3, reserved=b"\7" * 32)
    sent = admitted(policy(may=frozenset({Verb.STORE})), rq).request
    told = sent.user_information
    assert told.user_identity is None
    assert told.unknown_items == 0
    assert told.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert told.implementation_version_name != "OLD_SCANNER"
    assert told.role_selections == (RoleSelection(CT, True, False),)
    assert told.extended_negotiations == (ExtendedNegotiation(CT, b"\2"),)
    assert told.common_extended_negotiations == ()
    assert told.asynchronous_operations_window == AsynchronousOperationsWindow(64, 64)
    assert (sent.protocol_version, sent.reserved) == (1, bytes(32))


@pytest.mark.parametrize(("asked", "sent"), [(0, 65536), (16384, 16384), (2**32 - 1, 65536)])
def test_the_maximum_length_is_clamped(asked: int, sent: int) -> None:
    limited = Policy(RULES, pdu_limit=65536)
    rq = request((CT,))
    rq = replace(rq, user_information=replace(rq.user_information, maximum_length=asked))
    assert admitted(limited, rq).request.user_information.maximum_length == sent


@pytest.mark.parametrize(
    ("may", "role", "kept"),
    [
        ({Verb.STORE}, (True, False), (True, False)),
        ({Verb.STORE}, (True, True), (True, False)),
        ({Verb.STORE}, (False, True), None),
        ({Verb.STORE, Verb.GET}, (True, True), (True, True)),
        ({Verb.STORE, Verb.GET}, (False, True), (False, True)),
        ({Verb.GET}, (False, True), (False, True)),
        ({Verb.GET}, (True, True), (False, True)),
    ],
)
def test_a_role_keeps_the_bits_that_an_allowed_verb_needs(
    may: set[Verb], role: tuple[bool, bool], kept: tuple[bool, bool] | None
) -> None:
    rq = request((CT,), (GET,), roles=(RoleSelection(CT, *role),))
    selections = admitted(policy(may=frozenset(may)), rq).request.user_information.role_selections
    assert selections == (() if kept is None else (RoleSelection(CT, *kept),))


def test_an_event_receiver_may_be_scp_of_nothing_else() -> None:
    rq = request((COMMIT,), (FIND,), roles=(RoleSelection(COMMIT, True, True), RoleSelection(FIND, True, True)))
    sent = admitted(policy(), rq).request
    assert sent.user_information.role_selections == (
        RoleSelection(COMMIT, True, True),
        RoleSelection(FIND, True, False),
    )


def test_the_calling_title_can_be_replaced_for_the_archive_and_the_called_side_of_a_return_is_left_alone() -> None:
    rules = replace(RULES, archives=(replace(ARCHIVE, calling_ae="GATE"),))
    permit = admitted(Policy(rules))
    assert permit.request.calling_ae_title == b"GATE            "
    assert permit.facts.calling_ae_title == "CT1"
    back = admitted(Policy(rules), request((CT,)), calling="ARCHIVE", called="CT1", address="10.1.1.20")
    assert back.route.direction is Direction.TO_PEER
    assert back.request.calling_ae_title == b"ARCHIVE         "
    assert back.request.called_ae_title == b"CT1             "


def test_titles_are_sent_on_trimmed_and_padded_anew() -> None:
    rq = replace(
        request(), called_ae_title=b"  ARCHIVE\0\0\0\0\0\0\0", calling_ae_title=b" CT1\0\0\0\0\0\0\0\0\0\0\0\0"
    )
    sent = admitted(policy(), rq).request
    assert (sent.called_ae_title, sent.calling_ae_title) == (b"ARCHIVE         ", b"CT1             ")


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"protocol_version": 0}, Reject.PROTOCOL_VERSION_NOT_SUPPORTED),
        ({"protocol_version": 2}, Reject.PROTOCOL_VERSION_NOT_SUPPORTED),
        ({"application_context_name": "1.2.3"}, Reject.APPLICATION_CONTEXT_NOT_SUPPORTED),
    ],
)
@pytest.mark.parametrize("mode", Mode)
def test_what_is_not_dicom_is_refused_in_every_mode(changed: dict[str, object], answer: object, mode: Mode) -> None:
    asked = Policy(replace(RULES, mode=mode))
    verdict = asked.decide_association(association(replace(request(), **changed)))  # type: ignore[arg-type]
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("protocol", answer)


def test_only_bit_0_of_the_protocol_version_is_looked_at() -> None:
    assert admitted(policy(), replace(request(), protocol_version=0xFFFF))


def test_monitor_mode_sends_on_a_context_that_it_would_refuse_as_it_was_proposed() -> None:
    watching = Policy(replace(policy(may=frozenset({Verb.ECHO})).rules, mode=Mode.MONITOR))
    rq = request((VERIFICATION,), (CT, IMPLICIT, BIG_ENDIAN), roles=(RoleSelection(CT, True, True),))
    verdict = watching.decide_association(association(rq))
    assert isinstance(verdict, AllowAssociation)
    assert verdict.permit.request.presentation_contexts == rq.presentation_contexts
    assert verdict.permit.request.user_information.role_selections == rq.user_information.role_selections
    assert verdict.permit.refused_contexts == {}
    assert verdict.would_refuse is not None
    assert verdict.would_refuse.rule == "peer[ct-1].may"
