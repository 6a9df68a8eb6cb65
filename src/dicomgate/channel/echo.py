"""One C-ECHO (PS3.7 9.1.5) over a socket of its own: does DICOM get there and back? An address in, a word out."""

import socket
from dataclasses import dataclass

from dicomgate.association.negotiation import IMPLEMENTATION_CLASS_UID
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import CommandField, ContextResult, PduType
from dicomgate.wire.command import Command, decode_command, encode_command
from dicomgate.wire.framer import p_data_pdus
from dicomgate.wire.pdu import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Malformed,
    ProposedContext,
    ReleaseRequest,
    UserInformation,
)

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
LONGEST_ANSWER = 64 * 1024
"""Bytes of one PDU. The answers to an echo take a few hundred."""


@dataclass(frozen=True, slots=True)
class EchoTarget:
    """Whom to ask, and under which titles."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str

    def __str__(self) -> str:
        return f"{self.called_ae_title} at {self.host} port {self.port}"


@dataclass(frozen=True, slots=True)
class Echo:
    """`answered`: DICOM came back, be it a refusal. `text` says what."""

    answered: bool
    text: str


def echo(target: EchoTarget, seconds: float = 5.0) -> Echo:
    """Ask once. Every silence ends after `seconds`."""
    try:
        with socket.create_connection((target.host, target.port), seconds) as sock:
            return _ask(sock, target)
    except TimeoutError:
        return Echo(False, f"{target} did not answer within {seconds:g} s")
    except OSError as error:
        return Echo(False, f"{target} cannot be reached: {error.strerror or error}")
    except _OtherError as error:
        return Echo(False, f"{target} {error}")


class _OtherError(Exception):
    """What came was no answer to an echo."""


def _ask(sock: socket.socket, target: EchoTarget) -> Echo:
    sock.sendall(
        encode(
            AssociateRequest(
                target.called_ae_title.encode("ascii").ljust(16),
                target.calling_ae_title.encode("ascii").ljust(16),
                (ProposedContext(1, VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,)),),
                UserInformation(16384, IMPLEMENTATION_CLASS_UID),
            )
        )
    )
    kind, body = _pdu(sock)
    answer = decode(PduType(kind), body) if kind in (PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ) else None
    if isinstance(answer, AssociateReject):
        code = answer.rejection
        return Echo(True, f"{target} answered with A-ASSOCIATE-RJ {code.result}/{code.source}/{code.reason}")
    if not isinstance(answer, AssociateAccept) or isinstance(answer, Malformed):
        raise _OtherError("answered something that is no answer to an A-ASSOCIATE-RQ")
    if any(context.result is not ContextResult.ACCEPTANCE for context in answer.presentation_contexts):
        return Echo(True, f"{target} answered, and does not take Verification")
    request = Command(CommandField.C_ECHO_RQ, has_data_set=False, affected_sop_class_uid=VERIFICATION, message_id=1)
    sock.sendall(p_data_pdus(1, encode_command(request), answer.user_information.maximum_length or 16384))
    kind, body = _pdu(sock)
    command = decode_command(body[6:]) if kind == PduType.P_DATA_TF and len(body) > 6 else None
    if not isinstance(command, Command) or command.command_field is not CommandField.C_ECHO_RSP:
        raise _OtherError("answered something that is no C-ECHO-RSP")
    sock.sendall(encode(ReleaseRequest()))
    _pdu(sock)
    return Echo(True, f"{target} answered with status {command.status or 0:04X}")


def _pdu(sock: socket.socket) -> tuple[int, bytes]:
    header = _exactly(sock, 6)
    length = int.from_bytes(header[2:], "big")
    if length > LONGEST_ANSWER:
        raise _OtherError(f"announced a PDU of {length} bytes")
    return header[0], _exactly(sock, length)


def _exactly(sock: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        more = sock.recv(size - len(got))
        if not more:
            raise _OtherError("closed the connection amid its answer")
        got += more
    return bytes(got)
