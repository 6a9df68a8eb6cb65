"""Bytes for the bare socket: what a client sends that no DICOM library would, or would not send this way."""

from pynetdicom.sop_class import Verification

from dicomgate.demo.archive import TRANSFER_SYNTAXES
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import CommandField, PduType
from dicomgate.wire.command import Command, encode_command
from dicomgate.wire.pdu import AssociateRequest, ProposedContext, UserInformation

_IMPLEMENTATION_CLASS_UID = "2.25.157268130271316419846226497471062104573"


def association_request(called_ae_title: str, calling_ae_title: str) -> bytes:
    """A well-formed A-ASSOCIATE-RQ that proposes Verification."""
    return encode(
        AssociateRequest(
            called_ae_title.encode("ascii").ljust(16),
            calling_ae_title.encode("ascii").ljust(16),
            (ProposedContext(1, str(Verification), tuple(map(str, TRANSFER_SYNTAXES))),),
            UserInformation(16384, _IMPLEMENTATION_CLASS_UID),
        )
    )


def oversized_request() -> bytes:
    """The beginning of an A-ASSOCIATE-RQ that claims to be 4 GiB long (PS3.8 9.3.2: the length is 32 bits)."""
    return bytes([PduType.ASSOCIATE_RQ, 0]) + b"\xff\xff\xff\xff" + bytes([0, 1, 0, 0])


def message_without_association() -> bytes:
    """A P-DATA-TF with a C-ECHO-RQ inside, sent by one who never asked for an association."""
    echo = Command(CommandField.C_ECHO_RQ, has_data_set=False, affected_sop_class_uid=str(Verification), message_id=1)
    value = bytes([1, 3]) + encode_command(echo)  # presentation context 1; last fragment of a command (PS3.8 E.2)
    item = len(value).to_bytes(4, "big") + value
    return bytes([PduType.P_DATA_TF, 0]) + len(item).to_bytes(4, "big") + item
