"""The few PDUs the load programs speak. In: UIDs and sizes; out: encoded PDUs (PS3.8 9.3, PS3.7 9.3).

Written apart from the gate's own codec on purpose: a measuring instrument that shares code with what it measures
shares its mistakes.
"""

import socket
import struct

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
PDU_NAMES = (
    "PDU type 00H",
    "A-ASSOCIATE-RQ",
    "A-ASSOCIATE-AC",
    "A-ASSOCIATE-RJ",
    "P-DATA-TF",
    "A-RELEASE-RQ",
    "A-RELEASE-RP",
    "A-ABORT",
)

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
UID_ROOT = "2.25.2070"

CALLING, CALLED = "LOAD", "ARCHIVE"
CONTEXT_ID = 1
MESSAGE_ID = 1

COMMAND, DATA_SET, LAST = 1, 0, 2
HEADER = 6
"""Bytes in front of every PDU's variable field (PS3.8 9.3.1)."""


def pdu(pdu_type: int, body: bytes) -> bytes:
    return struct.pack(">BxL", pdu_type, len(body)) + body


def _item(item_type: int, body: bytes) -> bytes:
    return struct.pack(">BxH", item_type, len(body)) + body


def _associate(
    pdu_type: int, contexts: bytes, maximum_length: int, calling: str = CALLING, sub_items: bytes = b""
) -> bytes:
    titles = CALLED.ljust(16).encode() + calling.ljust(16).encode()
    user_information = _item(0x51, struct.pack(">L", maximum_length)) + _item(0x52, UID_ROOT.encode()) + sub_items
    body = struct.pack(">Hxx", 1) + titles + bytes(32) + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts
    return pdu(pdu_type, body + _item(0x50, user_information))


def associate_rq(abstract_syntax: str, transfer_syntax: str, maximum_length: int = 16384) -> bytes:
    """A-ASSOCIATE-RQ with one presentation context (PS3.8 9.3.2)."""
    syntaxes = _item(0x30, abstract_syntax.encode()) + _item(0x40, transfer_syntax.encode())
    return _associate(ASSOCIATE_RQ, _item(0x20, bytes((CONTEXT_ID, 0, 0, 0)) + syntaxes), maximum_length)


def login_rq(calling: str, identity_type: int, primary: bytes, secondary: bytes = b"") -> bytes:
    """A-ASSOCIATE-RQ for C-ECHO with a user identity (PS3.7 D.3.3.7.1)."""
    fields = b"".join(struct.pack(">H", len(field)) + field for field in (primary, secondary))
    syntaxes = _item(0x30, VERIFICATION.encode()) + _item(0x40, IMPLICIT_VR_LITTLE_ENDIAN.encode())
    context = _item(0x20, bytes((CONTEXT_ID, 0, 0, 0)) + syntaxes)
    return _associate(ASSOCIATE_RQ, context, 16384, calling, _item(0x58, bytes((identity_type, 0)) + fields))


def associate_ac(transfer_syntax: str, maximum_length: int = 16384) -> bytes:
    """A-ASSOCIATE-AC that accepts that one presentation context (PS3.8 9.3.3)."""
    accepted = bytes((CONTEXT_ID, 0, 0, 0)) + _item(0x40, transfer_syntax.encode())
    return _associate(ASSOCIATE_AC, _item(0x21, accepted), maximum_length)


def p_data(control: int, fragment: bytes) -> bytes:
    """P-DATA-TF with one PDV; `control` is the message control header (PS3.8 E.2)."""
    return pdu(P_DATA_TF, struct.pack(">LBB", len(fragment) + 2, CONTEXT_ID, control) + fragment)


def fragment_size(maximum_length: int) -> int:
    """The longest even fragment that fits one PDV in a P-DATA-TF of `maximum_length` bytes (PS3.8 D.1, 9.3.5.1)."""
    return (maximum_length - 6) & ~1


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, element, len(value)) + value


def _uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def _us(number: int) -> bytes:
    return struct.pack("<H", number)


def _command(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return p_data(COMMAND | LAST, _element(0x0000, struct.pack("<L", len(body))) + body)


NO_DATA_SET = _us(0x0101)

ECHO_FIELD = _element(0x0100, _us(0x0030))
"""Stands in the command set of every C-ECHO-RQ, whoever has encoded it."""

C_ECHO_RQ = _command(
    _element(0x0002, _uid(VERIFICATION)),
    _element(0x0100, _us(0x0030)),
    _element(0x0110, _us(MESSAGE_ID)),
    _element(0x0800, NO_DATA_SET),
)
C_ECHO_RSP = _command(
    _element(0x0002, _uid(VERIFICATION)),
    _element(0x0100, _us(0x8030)),
    _element(0x0120, _us(MESSAGE_ID)),
    _element(0x0800, NO_DATA_SET),
    _element(0x0900, _us(0)),
)
C_STORE_RQ = _command(
    _element(0x0002, _uid(CT_IMAGE_STORAGE)),
    _element(0x0100, _us(0x0001)),
    _element(0x0110, _us(MESSAGE_ID)),
    _element(0x0700, _us(0)),
    _element(0x0800, _us(0x0001)),
    _element(0x1000, _uid(UID_ROOT + ".1")),
)
C_STORE_RSP = _command(
    _element(0x0002, _uid(CT_IMAGE_STORAGE)),
    _element(0x0100, _us(0x8001)),
    _element(0x0120, _us(MESSAGE_ID)),
    _element(0x0800, NO_DATA_SET),
    _element(0x0900, _us(0)),
    _element(0x1000, _uid(UID_ROOT + ".1")),
)
RELEASE_REQUEST = pdu(RELEASE_RQ, bytes(4))
RELEASE_REPLY = pdu(RELEASE_RP, bytes(4))


def data_set_opening(pixel_bytes: int) -> bytes:
    """The first bytes of a CT data set, Explicit VR Little Endian: SOP class, SOP instance, then pixels without end."""

    def short(group: int, element: int, vr: bytes, value: bytes) -> bytes:
        return struct.pack("<HH2sH", group, element, vr, len(value)) + value

    sop_class = short(0x0008, 0x0016, b"UI", _uid(CT_IMAGE_STORAGE))
    sop_instance = short(0x0008, 0x0018, b"UI", _uid(UID_ROOT + ".1"))
    return sop_class + sop_instance + struct.pack("<HH2sxxL", 0x7FE0, 0x0010, b"OW", pixel_bytes)


class RefusedError(Exception):
    """The other side answered with another PDU than the one this step needs, or closed."""


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """`size` bytes from a blocking socket; RefusedError if the other side closes first."""
    received = bytearray()
    while len(received) < size:
        chunk = sock.recv(size - len(received))
        if not chunk:
            raise RefusedError(f"expected {size} bytes, the connection closed after {len(received)}")
        received += chunk
    return bytes(received)


def receive_pdu(sock: socket.socket, wanted: int) -> bytes:
    """The next PDU with its header, from a blocking socket; RefusedError unless it is of type `wanted`."""
    header = receive_exactly(sock, HEADER)
    body = receive_exactly(sock, struct.unpack(">L", header[2:])[0])
    if header[0] != wanted:
        raise RefusedError(f"expected {PDU_NAMES[wanted]}, received {describe(header + body)}")
    return header + body


def describe(received: bytes) -> str:
    """A PDU's name and, for rejections and aborts, its numbers: enough to see why a measurement failed."""
    if not received:
        return "a closed connection"
    name = PDU_NAMES[received[0]] if received[0] < len(PDU_NAMES) else f"PDU type {received[0]:02X}H"
    if received[0] in (ASSOCIATE_RJ, ABORT) and len(received) >= 10:
        return f"{name} {received[7]}/{received[8]}/{received[9]}"
    return name
