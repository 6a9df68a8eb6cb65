"""What both sides agree on: a proposal is narrowed before it is sent on, and its answer is checked and cut to fit.

In: the requestor's A-ASSOCIATE-RQ, what may be asked for, the acceptor's A-ASSOCIATE-AC.
Out: the A-ASSOCIATE-RQ for the acceptor, and the A-ASSOCIATE-AC for the requestor with what it means.
Nothing is invented in either direction: only what was proposed and allowed is sent on, and only what was
sent on can be accepted (PS3.8 9.3.3, PS3.7 D.3.3).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomgate.wire.codes import AbortReason, ContextResult
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

IMPLEMENTATION_CLASS_UID = "2.25.310439876796718754033287656842309040425"
"""The gate's own (PS3.7 D.3.3.2): neither party learns the other's software from the gate."""
IMPLEMENTATION_VERSION_NAME = "DICOMGATE_0_1"

OFF_UNLESS_WRITTEN: frozenset[str] = frozenset(
    {
        "1.2.840.10008.1.2.1.99",  # deflated: a few bytes inflate to gigabytes
        "1.2.840.10008.1.2.8.1",  # deflated image frames: the same
        "1.2.840.10008.1.2.2",  # explicit big endian: retired
        "1.2.840.10008.1.2.4.94",  # JPIP: pixels replaced by an address to fetch, which is a request on our behalf
        "1.2.840.10008.1.2.4.95",
        "1.2.840.10008.1.2.4.204",
        "1.2.840.10008.1.2.4.205",
    }
)
"""Transfer syntaxes that pass only where a peer names them."""

MOST_EXTENDED_NEGOTIATION = 24 * 1024
"""Bytes of all sub-items 56H, and of all 57H, that are sent on. Item 50H ends at 65,535 bytes (PS3.8 9.3.2.3) and
has to hold the roles and the gate's own name as well. Real ones are a few bytes for each SOP class."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What the requestor may act as for one SOP class; without negotiation it is SCU only (PS3.7 D.3.3.4)."""

    scu: bool = True
    scp: bool = False


DEFAULT_ROLES = Roles()


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context both sides agreed on; `roles` are the requestor's."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    roles: Roles


@dataclass(frozen=True, slots=True)
class Agreement:
    """The outcome of a negotiation: what the requestor is told, and what follows from it.

    `to_requestor` and `to_acceptor` are the longest P-DATA-TF, in bytes after the header, that may be sent
    to each (PS3.8 D.1); never 0.
    """

    accept: AssociateAccept
    contexts: Mapping[int, AcceptedContext]
    to_requestor: int
    to_acceptor: int


def clamp(maximum_length: int, limit: int) -> int:
    """A declared maximum length under the gate's own limit; 0, which means no limit, becomes the limit."""
    return min(maximum_length or limit, limit)


def pad_ae_title(title: str) -> bytes:
    """An AE title as the 16 bytes of the wire (PS3.8 9.3.2)."""
    return title.encode("ascii").ljust(16)


def narrow(
    request: AssociateRequest,
    contexts: tuple[ProposedContext, ...],
    roles: tuple[RoleSelection, ...],
    *,
    called_ae_title: str,
    calling_ae_title: str,
    pdu_limit: int,
    operations_limit: int,
    user_identity: UserIdentity | None = None,
) -> AssociateRequest:
    """The A-ASSOCIATE-RQ to send on: allowed contexts and roles only, rebuilt from the values that were judged.

    The user identity is the one given here (the client's was meant for the gate), unknown sub-items are dropped, and
    negotiation items for SOP classes that are not proposed any more go with them. So does extended negotiation
    over MOST_EXTENDED_NEGOTIATION: without it, the defaults hold (PS3.7 D.3.3.5).
    """
    proposed = {context.abstract_syntax for context in contexts}
    told = request.user_information
    window = told.asynchronous_operations_window
    return AssociateRequest(
        called_ae_title=pad_ae_title(called_ae_title),
        calling_ae_title=pad_ae_title(calling_ae_title),
        presentation_contexts=contexts,
        user_information=UserInformation(
            maximum_length=clamp(told.maximum_length, pdu_limit),
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            asynchronous_operations_window=window and _clamp_window(window, operations_limit),
            role_selections=tuple(role for role in roles if role.sop_class_uid in proposed),
            extended_negotiations=_extensions(told.extended_negotiations, proposed),
            common_extended_negotiations=_common_extensions(told.common_extended_negotiations, proposed),
            user_identity=user_identity,
        ),
    )


def agree(
    client: AssociateRequest,
    sent: AssociateRequest,
    refused: Mapping[int, ContextResult],
    accept: AssociateAccept,
    pdu_limit: int,
) -> Agreement | Malformed:
    """What the requestor (`client`) gets: its proposal ∩ what was `sent` on ∩ what the acceptor took.

    An acceptor that answers what it was not asked, or with what was not offered, is not believed: Malformed.
    """
    sent_by_id = {context.context_id: context for context in sent.presentation_contexts}
    given: dict[int, ContextAnswer] = {}
    for answer in accept.presentation_contexts:
        context = sent_by_id.get(answer.context_id)
        if context is None:
            return _lie(f"presentation context {answer.context_id} was answered but not proposed")
        if answer.result is ContextResult.ACCEPTANCE and answer.transfer_syntax not in context.transfer_syntaxes:
            return _lie(f"presentation context {answer.context_id} was accepted with a transfer syntax not offered")
        given[answer.context_id] = answer
    roles = _agreed_roles(sent, accept)
    if isinstance(roles, Malformed):
        return roles
    answers: list[ContextAnswer] = []
    contexts: dict[int, AcceptedContext] = {}
    for proposed in client.presentation_contexts:
        number = proposed.context_id
        if (result := refused.get(number)) is not None:
            answers.append(ContextAnswer(number, result))
            continue
        # An acceptor may leave a context out although it should not; every proposal gets an answer all the same.
        found = given.get(number) or ContextAnswer(number, ContextResult.NO_REASON)
        answers.append(found)
        if found.result is ContextResult.ACCEPTANCE:
            agreed = roles.get(proposed.abstract_syntax, DEFAULT_ROLES)
            contexts[number] = AcceptedContext(number, proposed.abstract_syntax, found.transfer_syntax, agreed)
    told = accept.user_information
    return Agreement(
        accept=AssociateAccept(
            called_ae_title=client.called_ae_title,
            calling_ae_title=client.calling_ae_title,
            presentation_contexts=tuple(answers),
            user_information=UserInformation(
                maximum_length=clamp(told.maximum_length, pdu_limit),
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
                asynchronous_operations_window=_agreed_window(sent, accept),
                role_selections=tuple(RoleSelection(uid, r.scu, r.scp) for uid, r in roles.items()),
                extended_negotiations=_agreed_extensions(sent, accept),
            ),
            reserved=client.reserved,
        ),
        contexts=contexts,
        to_requestor=sent.user_information.maximum_length,
        to_acceptor=clamp(told.maximum_length, pdu_limit),
    )


def _agreed_roles(sent: AssociateRequest, accept: AssociateAccept) -> dict[str, Roles] | Malformed:
    proposed = {role.sop_class_uid: role for role in sent.user_information.role_selections}
    agreed: dict[str, Roles] = {}
    for answer in accept.user_information.role_selections:
        asked = proposed.get(answer.sop_class_uid)
        if asked is None:
            return _lie("a role was answered that was not proposed")
        agreed[answer.sop_class_uid] = Roles(asked.scu_role and answer.scu_role, asked.scp_role and answer.scp_role)
    return agreed


def _agreed_extensions(sent: AssociateRequest, accept: AssociateAccept) -> tuple[ExtendedNegotiation, ...]:
    proposed = {extension.sop_class_uid for extension in sent.user_information.extended_negotiations}
    return _extensions(accept.user_information.extended_negotiations, proposed)


def _extensions(told: tuple[ExtendedNegotiation, ...], wanted: set[str]) -> tuple[ExtendedNegotiation, ...]:
    kept = tuple(e for e in told if e.sop_class_uid in wanted)
    size = sum(6 + len(e.sop_class_uid) + len(e.application_information) for e in kept)
    return kept if size <= MOST_EXTENDED_NEGOTIATION else ()


def _common_extensions(
    told: tuple[CommonExtendedNegotiation, ...], wanted: set[str]
) -> tuple[CommonExtendedNegotiation, ...]:
    kept = tuple(e for e in told if e.sop_class_uid in wanted)
    related = sum(2 + len(uid) for e in kept for uid in e.related_general_sop_class_uids)
    size = related + sum(10 + len(e.sop_class_uid) + len(e.service_class_uid) for e in kept)
    return kept if size <= MOST_EXTENDED_NEGOTIATION else ()


def _agreed_window(sent: AssociateRequest, accept: AssociateAccept) -> AsynchronousOperationsWindow | None:
    asked = sent.user_information.asynchronous_operations_window
    given = accept.user_information.asynchronous_operations_window
    if asked is None or given is None:
        return None
    return AsynchronousOperationsWindow(clamp(given.invoked, asked.invoked), clamp(given.performed, asked.performed))


def _clamp_window(window: AsynchronousOperationsWindow, limit: int) -> AsynchronousOperationsWindow:
    return AsynchronousOperationsWindow(clamp(window.invoked, limit), clamp(window.performed, limit))


def _lie(why: str) -> Malformed:
    return Malformed(why, AbortReason.UNEXPECTED_PDU_PARAMETER)
