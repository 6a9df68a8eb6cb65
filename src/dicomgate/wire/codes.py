"""The standard's numbers with their names. Each enum names the table it was taken from."""

from enum import IntEnum
from typing import NamedTuple


class PduType(IntEnum):
    """PS3.8 9.3.1: the first byte of every PDU."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class ItemType(IntEnum):
    """PS3.8 9.3.2, 9.3.3 and PS3.7 Annex D: items and sub-items of A-ASSOCIATE PDUs."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


class ContextResult(IntEnum):
    """PS3.8 table 9-18: the answer to one proposed presentation context."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class Rejection(NamedTuple):
    """PS3.8 table 9-21: result, source, reason of an A-ASSOCIATE-RJ."""

    result: int
    source: int
    reason: int

    def __str__(self) -> str:
        return f"{self.result}/{self.source}/{self.reason}"

    @property
    def transient(self) -> bool:
        """True when the requestor is invited to try again later."""
        return self.result == 2


class Reject:
    """The rejections the gate sends (PS3.8 table 9-21; identity: PS3.7 D.3.3.7.3)."""

    NO_REASON = Rejection(1, 1, 1)
    APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2)
    CALLING_AE_TITLE_NOT_RECOGNIZED = Rejection(1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = Rejection(1, 1, 7)
    USER_IDENTITY_FAILED = Rejection(1, 2, 1)
    PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(1, 2, 2)
    TEMPORARY_CONGESTION = Rejection(2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2)


REJECT_REASONS = frozenset({(1, 1), (1, 2), (1, 3), (1, 7), (2, 1), (2, 2), (3, 1), (3, 2)})
"""PS3.8 table 9-21: every source and reason that has a meaning."""


class AbortSource(IntEnum):
    """PS3.8 table 9-26: who aborts."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """PS3.8 table 9-26: why a service-provider aborts."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PDU_PARAMETER = 4
    UNEXPECTED_PDU_PARAMETER = 5
    INVALID_PDU_PARAMETER_VALUE = 6


ABORT_REASONS = frozenset(AbortReason)


class IdentityType(IntEnum):
    """PS3.7 table D.3-14: kinds of user identity."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JWT = 5


class CommandField(IntEnum):
    """PS3.7 table E.1-1: (0000,0100). A response is its request with bit 15 set."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF
    C_STORE_RSP = 0x8001
    C_GET_RSP = 0x8010
    C_FIND_RSP = 0x8020
    C_MOVE_RSP = 0x8021
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RSP = 0x8110
    N_SET_RSP = 0x8120
    N_ACTION_RSP = 0x8130
    N_CREATE_RSP = 0x8140
    N_DELETE_RSP = 0x8150

    @property
    def is_response(self) -> bool:
        return self >= 0x8000

    @property
    def response(self) -> "CommandField":
        """The response that answers this request; C-CANCEL has none (ValueError)."""
        return CommandField(self | 0x8000)


class Status(IntEnum):
    """PS3.7 Annex C: the status codes the gate itself sends or acts upon."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_SOP_CLASS = 0x0118
    INVALID_SOP_INSTANCE = 0x0117
    INVALID_ARGUMENT_VALUE = 0x0115
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    DUPLICATE_INVOCATION = 0x0210
    UNRECOGNIZED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    MOVE_DESTINATION_UNKNOWN = 0xA801
    UNABLE_TO_PROCESS = 0xC000
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WITH_WARNING = 0xFF01


def is_pending(status: int) -> bool:
    """PS3.7 C.4: FF00H and FF01H announce that more responses follow."""
    return status in (0xFF00, 0xFF01)


def status_class(status: int) -> str:
    """PS3.7 Annex C: `success`, `pending`, `cancel`, `warning` or `failure`."""
    if status == 0:
        return "success"
    if is_pending(status):
        return "pending"
    if status == 0xFE00:
        return "cancel"
    if status in (0x0001, 0x0107, 0x0116) or status >> 12 == 0xB:
        return "warning"
    return "failure"
