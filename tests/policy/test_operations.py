"""Operations that the cases files cannot spell: malformed UIDs and titles, commands that say two things."""

import pytest

from dicomgate.facts import OperationFacts, Side
from dicomgate.policy.model import Verb
from dicomgate.policy.verdict import AllowOperation, Deny, OperationPermit
from dicomgate.wire.codes import CommandField as C
from dicomgate.wire.codes import Status
from dicomgate.wire.command import Command
from policy.scene import COMMIT, CT, FIND, MPPS, MR, admitted, operation, policy, request, store

NOT_UIDS = ["../../etc/passwd", "1.2.3/4", "1..2", ".1", "1.", "1.2.a", "1.2 3", "-1", "1.2.3\\4", "1.2.3\n"]


@pytest.mark.parametrize("uid", NOT_UIDS)
@pytest.mark.parametrize("element", ["affected_sop_instance_uid", "requested_sop_instance_uid"])
def test_a_malformed_instance_uid_is_refused_whichever_element_holds_it(uid: str, element: str) -> None:
    verdict = policy().decide_operation(admitted(policy()), operation(store(**{element: uid}), CT))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("malformed", Status.INVALID_SOP_INSTANCE)


@pytest.mark.parametrize("uid", NOT_UIDS)
def test_a_malformed_class_uid_is_refused(uid: str) -> None:
    verdict = policy().decide_operation(admitted(policy()), operation(store(affected_sop_class_uid=uid), CT))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("malformed", Status.SOP_CLASS_NOT_SUPPORTED)


def test_a_malformed_move_originator_is_refused() -> None:
    verdict = policy().decide_operation(admitted(policy()), operation(store(move_originator_ae_title="A\\B"), CT))
    assert isinstance(verdict, Deny)
    assert verdict.rule == "malformed"


@pytest.mark.parametrize("named", [MR, "1.2.3", "", None])
def test_a_command_names_the_class_of_its_presentation_context(named: str | None) -> None:
    verdict = policy().decide_operation(admitted(policy()), operation(store(affected_sop_class_uid=named), CT))
    assert isinstance(verdict, Deny)
    assert verdict.rule == "malformed"


def _set(**elements: object) -> Command:
    values: dict[str, object] = {
        "requested_sop_class_uid": MPPS,
        "requested_sop_instance_uid": "1.2.3.4",
        "message_id": 1,
        **elements,
    }
    return Command(C.N_SET_RQ, True, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "command",
    [
        _set(requested_sop_class_uid=MR, affected_sop_class_uid=MPPS),
        _set(affected_sop_class_uid=MR),
        _set(affected_sop_instance_uid="1.2.3.5"),
        store(requested_sop_class_uid=MR),
        store(requested_sop_instance_uid="1.2.3.5"),
    ],
    ids=["class judged is not the one acted on", "class", "instance", "store class", "store instance"],
)
def test_a_command_that_names_two_classes_or_two_instances_is_refused(command: Command) -> None:
    """Affected and Requested: the gate would judge and record one, the archive act on the other."""
    abstract_syntax = CT if command.command_field is C.C_STORE_RQ else MPPS
    verdict = policy().decide_operation(admitted(policy()), operation(command, abstract_syntax))
    assert isinstance(verdict, Deny)
    assert verdict.rule == "malformed"


def test_a_command_that_names_the_same_twice_is_no_matter() -> None:
    command = _set(affected_sop_class_uid=MPPS, affected_sop_instance_uid="1.2.3.4")
    assert isinstance(policy().decide_operation(admitted(policy()), operation(command)), AllowOperation)


def test_the_permit_holds_the_very_command_that_was_judged() -> None:
    command = store()
    verdict = policy().decide_operation(admitted(policy()), operation(command))
    assert isinstance(verdict, AllowOperation)
    assert verdict.permit.command is command
    assert verdict.permit.sender is Side.REQUESTOR
    assert verdict.permit.verb is Verb.STORE
    assert verdict.rule == "peer[ct-1].may"


@pytest.mark.parametrize(
    ("field", "abstract_syntax", "status"),
    [
        (C.C_ECHO_RQ, "1.2.840.10008.1.1", 0x0122),
        (C.C_STORE_RQ, CT, 0x0124),
        (C.C_FIND_RQ, FIND, 0xC000),
        (C.C_MOVE_RQ, "1.2.840.10008.5.1.4.1.2.2.2", 0x0124),
        (C.C_GET_RQ, "1.2.840.10008.5.1.4.1.2.2.3", 0x0124),
        (C.N_ACTION_RQ, COMMIT, 0x0124),
        (C.N_CREATE_RQ, MPPS, 0x0124),
        (C.N_SET_RQ, MPPS, 0x0124),
        (C.N_GET_RQ, "1.2.840.10008.3.1.2.3.4", 0x0124),
        (C.N_DELETE_RQ, "1.2.840.10008.5.1.1.2", 0x0124),
    ],
    ids=lambda value: value.name if isinstance(value, C) else None,
)
def test_a_verb_that_is_lost_in_a_reload_is_refused_with_a_status_its_service_lists(
    field: C, abstract_syntax: str, status: int
) -> None:
    """PS3.7 9.1, 10.1: 0124H is not listed for C-ECHO and C-FIND. The contexts were negotiated under wider rules."""
    only = policy(may=frozenset({Verb.ECHO if field is C.C_STORE_RQ else Verb.STORE}))
    permit = admitted(only, request((CT,), ("1.2.840.10008.1.1",)))
    command = Command(field, True, affected_sop_class_uid=abstract_syntax, message_id=1, move_destination="CT1")
    verdict = only.decide_operation(permit, operation(command))
    assert isinstance(verdict, Deny)
    assert (verdict.rule, verdict.answer) == ("peer[ct-1].may", status)


def test_only_a_policy_makes_permits() -> None:
    with pytest.raises(TypeError):
        OperationPermit()
    with pytest.raises(TypeError):
        type(admitted(policy()))()


def test_an_outstanding_get_explains_stores_only_where_the_session_says_so() -> None:
    permit = admitted(policy(), request((CT,)))
    asked = OperationFacts(Side.ACCEPTOR, "CT1", CT, store(), retrieving=False)
    assert isinstance(policy().decide_operation(permit, asked), Deny)
