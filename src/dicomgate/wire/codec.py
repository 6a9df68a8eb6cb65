"""PDU bodies to frozen values and back: A-ASSOCIATE-RQ/-AC/-RJ, A-RELEASE-RQ/-RP, A-ABORT (PS3.8 9.3).

P-DATA-TF stays a stream and never comes here. What the gate sends on is always encoded from the value it judged:
reserved bytes, padding, unknown items and the order of items of the sender do not survive.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import TypeVar, assert_never

from dicomgate.wire.codes import AbortReason, ContextResult, ItemType, PduType, Rejection
from dicomgate.wire.items import ItemError, at, duplicate, exactly, item, items, missing, uid
from dicomgate.wire.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextAnswer,
    Malformed,
    Pdu,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    UserInformation,
)
from dicomgate.wire.user_information import decode_user_information, encode_user_information

MOST_CONTEXT_SUB_ITEMS = 128
"""Sub-items of one presentation context. DICOM defines about 60 transfer syntaxes, retired ones included."""

_SHORT = 4096
_REMEMBERED = 512
"""PDUs kept with their values, up to `_SHORT` bytes each: a device says the same again and again."""
_CONFIDENTIAL = {
    PduType.ASSOCIATE_RQ: bytes((ItemType.USER_IDENTITY_RQ,)),
    PduType.ASSOCIATE_AC: bytes((ItemType.USER_IDENTITY_AC,)),
}
"""Items that hold a passcode, a token or an answer to one."""

_HEADER = Struct(">BxI")
_ASSOCIATE = Struct(">H2x16s16s32s")  # protocol version, called and calling AE title, reserved: PS3.8 table 9-11
_CONTEXT_RQ = Struct(">B3x")
_CONTEXT_AC = Struct(">BxBx")
_RESULTS = {int(result): result for result in ContextResult}

_Context = TypeVar("_Context", ProposedContext, ContextAnswer)
_AssociateFields = tuple[bytes, bytes, tuple[_Context, ...], UserInformation, str, int, bytes]


def decode(kind: PduType, body: bytes) -> Pdu | Malformed:
    """One PDU from its type and the bytes after the 6-byte header. Never raises, whatever the bytes.

    The caller has limited `body`. Work and memory grow linearly with it, and the number of items is limited too.
    Malformed: a nested length that does not fit its parent, a mandatory item missing, a second item where one is
    allowed, a wrong context ID, UID, flag or result. Skipped: unknown items (PS3.8 9.3.1). Never tested: reserved
    bytes, AE titles, the protocol version (policy judges its bit 0), the numbers of A-ASSOCIATE-RJ and A-ABORT.
    """
    # A confidential item needs the byte of its type somewhere: what has none can be remembered.
    if len(body) <= _SHORT and ((item_type := _CONFIDENTIAL.get(kind)) is None or item_type not in body):
        return _remembered(kind, body)
    return _decode(kind, body)


def _decode(kind: PduType, body: bytes) -> Pdu | Malformed:
    try:
        match kind:
            case PduType.ASSOCIATE_RQ:
                return AssociateRequest(*_associate(kind, body, ItemType.PRESENTATION_CONTEXT_RQ, _proposed_context))
            case PduType.ASSOCIATE_AC:
                return AssociateAccept(*_associate(kind, body, ItemType.PRESENTATION_CONTEXT_AC, _context_answer))
            case PduType.ASSOCIATE_RJ:
                exactly(4, 0, len(body), "A-ASSOCIATE-RJ")
                return AssociateReject(Rejection(body[1], body[2], body[3]))
            case PduType.RELEASE_RQ:
                exactly(4, 0, len(body), "A-RELEASE-RQ")
                return ReleaseRequest()
            case PduType.RELEASE_RP:
                exactly(4, 0, len(body), "A-RELEASE-RP")
                return ReleaseReply()
            case PduType.ABORT:
                exactly(4, 0, len(body), "A-ABORT")
                return Abort(body[2], body[3])
            case PduType.P_DATA_TF:
                return Malformed("expected a whole control PDU, found P-DATA-TF", AbortReason.UNEXPECTED_PDU)
            case _:
                assert_never(kind)
    except ItemError as error:
        return Malformed(str(error), error.reason)


_remembered = lru_cache(maxsize=_REMEMBERED)(_decode)


def encode(pdu: Pdu) -> bytes:
    """The whole PDU, header included, in canonical form: items ascending, reserved bytes zero, UIDs unpadded.

    The reserved 32 bytes and the AE titles are written as they stand (PS3.8 9.3.3: an AC repeats the RQ's).
    ValueError for a value that has no encoding, such as a 50H over 65,535 bytes; nothing decoded has that.
    """
    try:
        match pdu:
            case AssociateRequest():
                contexts = [_encode_proposed_context(context) for context in pdu.presentation_contexts]
                return _encode_associate(PduType.ASSOCIATE_RQ, pdu, contexts)
            case AssociateAccept():
                contexts = [_encode_context_answer(answer) for answer in pdu.presentation_contexts]
                return _encode_associate(PduType.ASSOCIATE_AC, pdu, contexts)
            case AssociateReject():
                return _pdu(PduType.ASSOCIATE_RJ, bytes((0, *pdu.rejection)))
            case ReleaseRequest():
                return _pdu(PduType.RELEASE_RQ, bytes(4))
            case ReleaseReply():
                return _pdu(PduType.RELEASE_RP, bytes(4))
            case Abort():
                return _pdu(PduType.ABORT, bytes((0, 0, pdu.source, pdu.reason)))
            case _:
                assert_never(pdu)
    except struct.error as error:
        raise ValueError(f"{type(pdu).__name__} has no encoding: {error}") from error


def _associate(
    direction: PduType, body: bytes, context_item: ItemType, read_context: Callable[[bytes, int, int], _Context]
) -> "_AssociateFields[_Context]":
    """The fields of either A-ASSOCIATE PDU, in the order of their dataclasses."""
    where = "A-ASSOCIATE-RQ" if direction is PduType.ASSOCIATE_RQ else "A-ASSOCIATE-AC"
    if len(body) < _ASSOCIATE.size:
        raise ItemError(f"{where}: expected at least {_ASSOCIATE.size} bytes, found {len(body)}")
    protocol_version, called, calling, reserved = _ASSOCIATE.unpack_from(body)
    application_context_name: str | None = None
    user_information: UserInformation | None = None
    contexts: dict[int, _Context] = {}
    for kind, first, last in items(body, _ASSOCIATE.size, len(body), where):
        if kind == context_item:
            context = read_context(body, first, last)
            if context.context_id in contexts:
                raise duplicate(f"presentation context {context.context_id}", where)
            contexts[context.context_id] = context
        elif kind == ItemType.APPLICATION_CONTEXT:
            if application_context_name is not None:
                raise duplicate("item 10H", where)
            application_context_name = uid(body, first, last, "item 10H")
        elif kind == ItemType.USER_INFORMATION:
            if user_information is not None:
                raise duplicate("item 50H", where)
            user_information = decode_user_information(body, first, last, direction)
    if application_context_name is None:
        raise missing("item 10H", where)
    if not contexts:
        raise missing(f"at least one item {context_item:02X}H", where)
    if user_information is None:
        raise missing("item 50H", where)
    proposed_or_answered = tuple(contexts.values())
    return called, calling, proposed_or_answered, user_information, application_context_name, protocol_version, reserved


def _proposed_context(body: bytes, start: int, end: int) -> ProposedContext:
    """Item 20H: an odd ID, one abstract syntax, one or more transfer syntaxes (PS3.8 9.3.2.2)."""
    context_id = _context_id(body, start, end, "item 20H")
    abstract_syntax: str | None = None
    transfer_syntaxes: list[str] = []
    for kind, first, last in items(body, start + _CONTEXT_RQ.size, end, "item 20H", MOST_CONTEXT_SUB_ITEMS):
        if kind == ItemType.TRANSFER_SYNTAX:
            transfer_syntaxes.append(uid(body, first, last, "sub-item 40H"))
        elif kind == ItemType.ABSTRACT_SYNTAX:
            if abstract_syntax is not None:
                raise duplicate("sub-item 30H", "item 20H")
            abstract_syntax = uid(body, first, last, "sub-item 30H")
    if abstract_syntax is None:
        raise missing("a sub-item 30H", "item 20H")
    if not transfer_syntaxes:
        raise missing("at least one sub-item 40H", "item 20H")
    return ProposedContext(context_id, abstract_syntax, tuple(transfer_syntaxes))


def _context_answer(body: bytes, start: int, end: int) -> ContextAnswer:
    """Item 21H: an odd ID, a result and, when that is acceptance, exactly one transfer syntax (PS3.8 9.3.3.2)."""
    context_id = _context_id(body, start, end, "item 21H")
    result = _RESULTS.get(body[start + 2])
    if result is None:
        raise ItemError(f"item 21H: expected a result of 0 to 4, found {body[start + 2]} {at(start + 2)}")
    transfer_syntax: str | None = None
    for kind, first, last in items(body, start + _CONTEXT_AC.size, end, "item 21H", MOST_CONTEXT_SUB_ITEMS):
        # Under any other result the sub-item "is not significant": peers send it empty, wrong or not at all.
        if kind == ItemType.TRANSFER_SYNTAX and result is ContextResult.ACCEPTANCE:
            if transfer_syntax is not None:
                raise duplicate("sub-item 40H", "item 21H")
            transfer_syntax = uid(body, first, last, "sub-item 40H")
    if transfer_syntax is None and result is ContextResult.ACCEPTANCE:
        raise missing("a sub-item 40H", "item 21H")
    return ContextAnswer(context_id, result, transfer_syntax or "")


def _context_id(body: bytes, start: int, end: int, where: str) -> int:
    if end - start < _CONTEXT_RQ.size:
        raise ItemError(f"{where}: expected at least {_CONTEXT_RQ.size} bytes, found {end - start} {at(start)}")
    if body[start] % 2 == 0:
        raise ItemError(f"{where}: expected an odd presentation context ID, found {body[start]} {at(start)}")
    return body[start]


def _encode_associate(direction: PduType, pdu: AssociateRequest | AssociateAccept, contexts: list[bytes]) -> bytes:
    # struct would pad or cut these to size without a word.
    sizes = len(pdu.called_ae_title), len(pdu.calling_ae_title), len(pdu.reserved)
    if sizes != (16, 16, 32):
        raise ValueError(f"expected AE titles of 16 and reserved of 32 bytes, found {sizes}")
    fixed = _ASSOCIATE.pack(pdu.protocol_version, pdu.called_ae_title, pdu.calling_ae_title, pdu.reserved)
    application_context = item(ItemType.APPLICATION_CONTEXT, pdu.application_context_name.encode("ascii"))
    user_information = encode_user_information(pdu.user_information, direction)
    return _pdu(direction, b"".join((fixed, application_context, *contexts, user_information)))


def _encode_proposed_context(context: ProposedContext) -> bytes:
    parts = [_CONTEXT_RQ.pack(context.context_id)]
    parts.append(item(ItemType.ABSTRACT_SYNTAX, context.abstract_syntax.encode("ascii")))
    parts += [item(ItemType.TRANSFER_SYNTAX, syntax.encode("ascii")) for syntax in context.transfer_syntaxes]
    return item(ItemType.PRESENTATION_CONTEXT_RQ, b"".join(parts))


def _encode_context_answer(answer: ContextAnswer) -> bytes:
    """A refused context keeps its sub-item 40H, empty: PS3.8 9.3.3.2 wants it there and forbids testing it."""
    accepted = answer.result is ContextResult.ACCEPTANCE
    syntax = item(ItemType.TRANSFER_SYNTAX, answer.transfer_syntax.encode("ascii") if accepted else b"")
    return item(ItemType.PRESENTATION_CONTEXT_AC, _CONTEXT_AC.pack(answer.context_id, answer.result) + syntax)


def _pdu(kind: PduType, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body
