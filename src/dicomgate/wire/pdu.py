"""The PDUs of PS3.8 9.3 as frozen values. P-DATA-TF is missing on purpose: it stays a stream (see framer.py)."""

from dataclasses import dataclass, field

from dicomgate.wire.codes import AbortReason, AbortSource, ContextResult, IdentityType, Rejection

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"
"""PS3.7 A.2.1: the only application context DICOM defines."""


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """Item 20H (PS3.8 9.3.2.2)."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextAnswer:
    """Item 21H (PS3.8 9.3.3.2). `transfer_syntax` has no meaning unless `result` is acceptance."""

    context_id: int
    result: ContextResult
    transfer_syntax: str = ""


@dataclass(frozen=True, slots=True)
class AsynchronousOperationsWindow:
    """Sub-item 53H (PS3.7 D.3.3.3). 0 means unlimited."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Sub-item 54H (PS3.7 D.3.3.4): in the RQ a proposal, in the AC whether it was accepted."""

    sop_class_uid: str
    scu_role: bool
    scp_role: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """Sub-item 56H (PS3.7 D.3.3.5)."""

    sop_class_uid: str
    application_information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """Sub-item 57H, version 0, RQ only (PS3.7 D.3.3.6)."""

    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Sub-item 58H, RQ only (PS3.7 D.3.3.7.1). Its fields are secrets and stay out of repr and logs."""

    identity_type: IdentityType
    positive_response_requested: bool
    primary_field: bytes = field(repr=False)
    secondary_field: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class UserInformation:
    """Item 50H (PS3.8 9.3.2.3). Sub-items the codec does not know are skipped (PS3.8 D.2) and only counted."""

    maximum_length: int
    implementation_class_uid: str
    implementation_version_name: str | None = None
    asynchronous_operations_window: AsynchronousOperationsWindow | None = None
    role_selections: tuple[RoleSelection, ...] = ()
    extended_negotiations: tuple[ExtendedNegotiation, ...] = ()
    common_extended_negotiations: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    """RQ only."""
    user_identity_response: bytes | None = field(default=None, repr=False)
    """AC only: the server response of sub-item 59H; None when the sub-item is absent."""
    unknown_items: int = 0


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ, 01H (PS3.8 9.3.2). Titles are the 16 bytes of the wire, spaces included."""

    called_ae_title: bytes
    calling_ae_title: bytes
    presentation_contexts: tuple[ProposedContext, ...]
    user_information: UserInformation
    application_context_name: str = APPLICATION_CONTEXT_NAME
    protocol_version: int = 1
    reserved: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE-AC, 02H (PS3.8 9.3.3). Titles and `reserved` repeat the request's bytes and are never tested."""

    called_ae_title: bytes
    calling_ae_title: bytes
    presentation_contexts: tuple[ContextAnswer, ...]
    user_information: UserInformation
    application_context_name: str = APPLICATION_CONTEXT_NAME
    protocol_version: int = 1
    reserved: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ, 03H (PS3.8 9.3.4)."""

    rejection: Rejection


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ, 05H (PS3.8 9.3.6)."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE-RP, 06H (PS3.8 9.3.7)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT, 07H (PS3.8 9.3.8). Numbers outside the tables are kept as received: nobody may test them."""

    source: int = AbortSource.SERVICE_PROVIDER
    reason: int = AbortReason.NOT_SPECIFIED


Pdu = AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseReply | Abort


@dataclass(frozen=True, slots=True)
class Malformed:
    """What a decoder returns when the bytes leave the standard: never an exception.

    `why` says what was expected, what came and where; it holds no value of the peer longer than a number
    or a UID, so it is safe to log. `reason` is what a service-provider abort would carry.
    """

    why: str
    reason: AbortReason = AbortReason.INVALID_PDU_PARAMETER_VALUE
