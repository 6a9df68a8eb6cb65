"""Hypothesis strategies for every value of wire/, and for damaging its bytes."""

from dataclasses import fields

from hypothesis import strategies as st

from dicomgate.wire.codes import CommandField, ContextResult, IdentityType, Rejection
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ContextAnswer,
    ExtendedNegotiation,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
uids = st.text("0123456789.", min_size=1, max_size=64)
context_ids = st.integers(0, 127).map(lambda n: 2 * n + 1)
titles = st.binary(min_size=16, max_size=16)
printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)


def _by(attribute, strategy):
    return st.lists(strategy, max_size=3, unique_by=lambda value: getattr(value, attribute)).map(tuple)


proposed_contexts = st.builds(ProposedContext, context_ids, uids, st.lists(uids, min_size=1, max_size=3).map(tuple))
context_answers = st.one_of(
    st.builds(ContextAnswer, context_ids, st.just(ContextResult.ACCEPTANCE), uids),
    st.builds(ContextAnswer, context_ids, st.sampled_from([r for r in ContextResult if r])),
)
identities = st.one_of(
    st.builds(UserIdentity, st.sampled_from(IdentityType), st.booleans(), st.binary(max_size=40)),
    st.builds(
        UserIdentity, st.just(IdentityType.USERNAME_AND_PASSCODE), st.booleans(), st.binary(), st.binary(max_size=40)
    ),
)
_common = {
    "maximum_length": u32,
    "implementation_class_uid": st.one_of(st.just(""), uids),
    "implementation_version_name": st.one_of(
        st.none(), st.text(printable, max_size=16).map(lambda name: name.rstrip(" ") or None)
    ),
    "asynchronous_operations_window": st.one_of(st.none(), st.builds(AsynchronousOperationsWindow, u16, u16)),
    "role_selections": _by("sop_class_uid", st.builds(RoleSelection, uids, st.booleans(), st.booleans())),
    "extended_negotiations": _by("sop_class_uid", st.builds(ExtendedNegotiation, uids, st.binary(max_size=8))),
}
requestor_information = st.builds(
    UserInformation,
    common_extended_negotiations=_by(
        "sop_class_uid", st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3).map(tuple))
    ),
    user_identity=st.one_of(st.none(), identities),
    **_common,
)
acceptor_information = st.builds(
    UserInformation, user_identity_response=st.one_of(st.none(), st.binary(max_size=40)), **_common
)


def _associate(kind, contexts, information):
    several = st.lists(contexts, min_size=1, max_size=4, unique_by=lambda context: context.context_id)
    return st.builds(
        kind, titles, titles, several.map(tuple), information, uids, u16, st.binary(min_size=32, max_size=32)
    )


requests = _associate(AssociateRequest, proposed_contexts, requestor_information)
accepts = _associate(AssociateAccept, context_answers, acceptor_information)
pdus = st.one_of(
    requests,
    accepts,
    st.builds(AssociateReject, st.builds(Rejection, u8, u8, u8)),
    st.just(ReleaseRequest()),
    st.just(ReleaseReply()),
    st.builds(Abort, u8, u8),
)

_command_uids = st.text(printable, min_size=1, max_size=64).filter(lambda text: not text.endswith(" "))
_ae_titles = st.text(printable, min_size=1, max_size=16).filter(lambda t: t == t.strip(" ") and "\\" not in t)
_comments = st.text(st.characters(max_codepoint=0xFF), min_size=1, max_size=64).filter(
    lambda text: text.isprintable() and not text.endswith(" ")
)
_tags = st.lists(u32, min_size=1, max_size=5).map(tuple)
_VALUES = {
    "move_destination": _ae_titles,
    "move_originator_ae_title": _ae_titles,
    "error_comment": _comments,
    "offending_element": _tags,
    "attribute_identifier_list": _tags,
}
_MANDATORY = {
    CommandField.C_STORE_RQ: "affected_sop_class_uid message_id affected_sop_instance_uid",
    CommandField.C_FIND_RQ: "affected_sop_class_uid message_id",
    CommandField.C_GET_RQ: "affected_sop_class_uid message_id",
    CommandField.C_MOVE_RQ: "affected_sop_class_uid message_id move_destination",
    CommandField.C_ECHO_RQ: "affected_sop_class_uid message_id",
    CommandField.C_CANCEL_RQ: "message_id_being_responded_to",
    CommandField.N_EVENT_REPORT_RQ: "affected_sop_class_uid message_id affected_sop_instance_uid event_type_id",
    CommandField.N_GET_RQ: "requested_sop_class_uid message_id requested_sop_instance_uid",
    CommandField.N_SET_RQ: "requested_sop_class_uid message_id requested_sop_instance_uid",
    CommandField.N_ACTION_RQ: "requested_sop_class_uid message_id requested_sop_instance_uid action_type_id",
    CommandField.N_CREATE_RQ: "affected_sop_class_uid message_id",
    CommandField.N_DELETE_RQ: "requested_sop_class_uid message_id requested_sop_instance_uid",
}
_WITH_DATA_SET = {
    CommandField.C_STORE_RQ,
    CommandField.C_FIND_RQ,
    CommandField.C_GET_RQ,
    CommandField.C_MOVE_RQ,
    CommandField.N_SET_RQ,
}
_EITHER_WAY = {CommandField.N_EVENT_REPORT_RQ, CommandField.N_ACTION_RQ, CommandField.N_CREATE_RQ}
_OPTIONAL = [field.name for field in fields(Command) if field.name not in ("command_field", "has_data_set")]


def mandatory_elements(command_field):
    """The attributes without which a command set of this kind is malformed (PS3.7 9.3, 10.3)."""
    return _MANDATORY.get(command_field, "message_id_being_responded_to status").split()


def data_set_rule(command_field):
    """Whether this kind always (True) or never (False) has a data set, or either (None)."""
    if command_field.is_response or command_field in _EITHER_WAY:
        return None
    return command_field in _WITH_DATA_SET


def _values(attribute):
    if attribute.endswith("uid"):
        return _command_uids
    return _VALUES.get(attribute, u16)


@st.composite
def commands(draw):
    """A Command with its mandatory elements and any of the others."""
    command_field = draw(st.sampled_from(CommandField))
    rule = data_set_rule(command_field)
    present = set(mandatory_elements(command_field)) | draw(st.sets(st.sampled_from(_OPTIONAL), max_size=6))
    values = {attribute: draw(_values(attribute)) for attribute in sorted(present)}
    return Command(command_field, draw(st.booleans()) if rule is None else rule, **values)


@st.composite
def damaged(draw, samples):
    """One of `samples`, cut, with bytes overwritten, inserted, removed or repeated."""
    data = bytearray(draw(samples))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["overwrite", "overwrite", "insert", "remove", "repeat", "cut"])):
            case "overwrite":
                data[start : start + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[start:start] = draw(st.binary(max_size=8))
            case "remove":
                del data[start:end]
            case "repeat":
                data[end:end] = data[start:end]
            case "cut":
                del data[start:]
    return bytes(data)
