"""Raw TCP in both roles: an archive and a client that can send any bytes at any moment, so that they can lie.

In: bytes, hand-made or from the builders below (PS3.8 9.3, PS3.7 6.3). Out: what the gate says to each side.
A test drives both ends by hand: `RawArchive.meet` takes the next connection the gate makes, `dial` makes one to it.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from types import TracebackType

from dicomgate.wire.codes import CommandField, PduType
from dicomgate.wire.command import Command, decode_command, encode_command
from lab.process import LOOPBACK, Address

SECONDS = 20.0
"""How long anything may take before a test fails. Nothing waits that long when all is well."""
HEADER = 6

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ON_ECHO, ON_CT, ON_FIND, ON_GET = 1, 3, 5, 7
"""The presentation contexts of `PROPOSED`."""
COMMAND, LAST = 1, 2
"""Bits of the message control header (PS3.8 E.2)."""
PENDING = 0xFF00


# -- bytes ---------------------------------------------------------------------------------------------------


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """One PDU; `length` is what its header says, the truth if left out."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """One item of an A-ASSOCIATE PDU; `length` as in pdu()."""
    return struct.pack(">BxH", kind, len(body) if length is None else length) + body


def proposed(context_id: int, abstract_syntax: str, *transfer_syntaxes: str) -> bytes:
    """Item 20H."""
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfer_syntaxes)
    return item(0x20, bytes((context_id, 0, 0, 0)) + item(0x30, abstract_syntax.encode()) + syntaxes)


def answered(context_id: int, transfer_syntax: str, result: int = 0) -> bytes:
    """Item 21H."""
    return item(0x21, bytes((context_id, 0, result, 0)) + item(0x40, transfer_syntax.encode()))


def role(sop_class_uid: str, scu: int, scp: int) -> bytes:
    """Sub-item 54H."""
    return item(0x54, struct.pack(">H", len(sop_class_uid)) + sop_class_uid.encode() + bytes((scu, scp)))


def user_information(*sub_items: bytes, maximum_length: int = 16384) -> bytes:
    """Item 50H with 51H, 52H and whatever else."""
    told = item(0x51, struct.pack(">I", maximum_length)) + item(0x52, b"2.25.1")
    return item(0x50, told + b"".join(sub_items))


def user_identity(kind: int, primary: bytes, secondary: bytes = b"", asked: int = 0) -> bytes:
    """Sub-item 58H (PS3.7 table D.3-14); kind 2 is a name with a passcode."""
    fields = struct.pack(">H", len(primary)) + primary + struct.pack(">H", len(secondary)) + secondary
    return item(0x58, bytes((kind, asked)) + fields)


APPLICATION_CONTEXT = item(0x10, b"1.2.840.10008.3.1.1.1")
PROPOSED = (
    proposed(ON_ECHO, VERIFICATION, IMPLICIT)
    + proposed(ON_CT, CT, EXPLICIT)
    + proposed(ON_FIND, FIND, IMPLICIT)
    + proposed(ON_GET, GET, IMPLICIT)
)
ANSWERED = (
    answered(ON_ECHO, IMPLICIT) + answered(ON_CT, EXPLICIT) + answered(ON_FIND, IMPLICIT) + answered(ON_GET, IMPLICIT)
)
BOTH_ROLES = role(CT, 1, 1)


def associate(
    kind: int,
    items: bytes,
    *,
    calling: str = "CT1",
    called: str = "ARCHIVE",
    version: int = 1,
    length: int | None = None,
) -> bytes:
    """An A-ASSOCIATE-RQ or -AC with these items behind the fixed fields (PS3.8 table 9-11)."""
    titles = called.encode("latin-1").ljust(16) + calling.encode("latin-1").ljust(16)
    return pdu(kind, struct.pack(">H2x", version) + titles + bytes(32) + items, length)


def associate_rq(
    contexts: bytes = PROPOSED,
    *,
    calling: str = "CT1",
    called: str = "ARCHIVE",
    version: int = 1,
    user: bytes | None = None,
    application_context: bytes = APPLICATION_CONTEXT,
) -> bytes:
    """A request that the gate of these tests admits, unless something in it is changed."""
    items = application_context + contexts + (user_information(BOTH_ROLES) if user is None else user)
    return associate(PduType.ASSOCIATE_RQ, items, calling=calling, called=called, version=version)


def associate_ac(contexts: bytes = ANSWERED, *, user: bytes | None = None) -> bytes:
    """The answer to it that the gate passes on, unless something in it is changed."""
    items = APPLICATION_CONTEXT + contexts + (user_information(BOTH_ROLES) if user is None else user)
    return associate(PduType.ASSOCIATE_AC, items)


def reject(result: int, source: int, reason: int) -> bytes:
    return pdu(PduType.ASSOCIATE_RJ, bytes((0, result, source, reason)))


def abort(source: int, reason: int) -> bytes:
    return pdu(PduType.ABORT, bytes((0, 0, source, reason)))


RELEASE_RQ, RELEASE_RP = pdu(PduType.RELEASE_RQ, bytes(4)), pdu(PduType.RELEASE_RP, bytes(4))


def pdv(context_id: int, control: int, fragment: bytes, length: int | None = None) -> bytes:
    """One presentation data value; `length` as in pdu()."""
    return struct.pack(">IBB", len(fragment) + 2 if length is None else length, context_id, control) + fragment


def p_data(*pdvs: bytes) -> bytes:
    return pdu(PduType.P_DATA_TF, b"".join(pdvs))


def element(number: int, value: bytes, group: int = 0) -> bytes:
    """One element of a command set (Implicit VR Little Endian)."""
    return struct.pack("<HHI", group, number, len(value)) + value


def command(context_id: int, field: CommandField, *, data_set: bool = False, **values: object) -> bytes:
    """A message's command set in one P-DATA-TF."""
    encoded = encode_command(Command(field, data_set, **values))  # type: ignore[arg-type]
    return p_data(pdv(context_id, COMMAND | LAST, encoded))


def data_set(context_id: int, fragment: bytes = bytes(64)) -> bytes:
    """A whole data set in one P-DATA-TF."""
    return p_data(pdv(context_id, LAST, fragment))


def echo_rq(message_id: int = 1, context_id: int = ON_ECHO) -> bytes:
    return command(context_id, CommandField.C_ECHO_RQ, message_id=message_id, affected_sop_class_uid=VERIFICATION)


def echo_rsp(message_id: int = 1, context_id: int = ON_ECHO) -> bytes:
    return response(context_id, CommandField.C_ECHO_RSP, message_id, 0, sop_class=VERIFICATION)


def store_rq(message_id: int = 1, instance: str = "1.2.3.4", context_id: int = ON_CT) -> bytes:
    """The command of a C-STORE; its data set is to follow."""
    return command(
        context_id,
        CommandField.C_STORE_RQ,
        data_set=True,
        message_id=message_id,
        affected_sop_class_uid=CT,
        affected_sop_instance_uid=instance,
        priority=0,
    )


def query_rq(field: CommandField = CommandField.C_FIND_RQ, message_id: int = 1) -> bytes:
    """A C-FIND or C-GET with its identifier."""
    context_id, sop_class = (ON_FIND, FIND) if field is CommandField.C_FIND_RQ else (ON_GET, GET)
    asked = command(
        context_id, field, data_set=True, message_id=message_id, affected_sop_class_uid=sop_class, priority=0
    )
    return asked + data_set(context_id, b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ")


def response(
    context_id: int,
    field: CommandField,
    message_id: int,
    status: int,
    *,
    sop_class: str | None = None,
    instance: str | None = None,
    data_set: bool = False,
) -> bytes:
    """The command of a response."""
    return command(
        context_id,
        field,
        data_set=data_set,
        message_id_being_responded_to=message_id,
        status=status,
        affected_sop_class_uid=sop_class,
        affected_sop_instance_uid=instance,
    )


def command_of(came: bytes) -> Command:
    """The command set of a P-DATA-TF that holds one, whole."""
    assert came[:1] == b"\x04", f"expected P-DATA-TF, came {came[:80].hex(' ') or 'the end'}"
    assert came[11] == COMMAND | LAST
    decoded = decode_command(came[12:])
    assert isinstance(decoded, Command), decoded
    return decoded


# -- connections ---------------------------------------------------------------------------------------------


class Wire:
    """One TCP connection of ours. Everything blocks for SECONDS at most and then raises TimeoutError."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.here = Address(*sock.getsockname()[:2])
        self.was_reset = False
        self._received = bytearray()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def say(self, *pieces: bytes) -> None:
        """Send; a gate that has closed already may have good reasons, so that is no error here."""
        with suppress(ConnectionError):
            self.sock.sendall(b"".join(pieces))

    def dribble(self, data: bytes) -> None:
        """Send in segments of one byte."""
        for number in range(len(data)):
            self.say(data[number : number + 1])

    def pdu(self) -> bytes:
        """The next whole PDU; what had come of it (mostly nothing) when the other side closes or resets instead."""
        while len(self._received) < HEADER or len(self._received) < self._due():
            came = self._more()
            if not came:
                rest = bytes(self._received)
                self._received.clear()
                return rest
            self._received += came
        size = self._due()
        whole = bytes(self._received[:size])
        del self._received[:size]
        return whole

    def expect(self, kind: PduType) -> bytes:
        """The next PDU, which must be of this type."""
        came = self.pdu()
        assert came[:1] == bytes((kind,)), f"expected {kind.name}, came {came[:80].hex(' ') or 'the end'}"
        return came

    def rest(self) -> bytes:
        """Everything until the other side closes or resets."""
        while came := self._more():
            self._received += came
        rest = bytes(self._received)
        self._received.clear()
        return rest

    def half_close(self) -> None:
        """Send nothing more, still listen."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def _due(self) -> int:
        return HEADER + int.from_bytes(self._received[2:HEADER], "big")

    def _more(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except ConnectionError:
            self.was_reset = True
            return b""


class RawArchive:
    """A listening socket. The kernel takes connections for it, so one that was made cannot have been missed."""

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, port), family=family, backlog=256)
        self._server.settimeout(SECONDS)
        self.address = Address(*self._server.getsockname()[:2])
        self._met = 0

    def __enter__(self) -> RawArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    def meet(self) -> Wire:
        """The next connection that the gate makes."""
        sock, _ = self._server.accept()
        self._met += 1
        return Wire(sock)

    @property
    def connections(self) -> int:
        """How many there were, those that nobody has met included."""
        self._server.setblocking(False)
        try:
            with suppress(BlockingIOError):
                while True:
                    self._server.accept()[0].close()
                    self._met += 1
        finally:
            self._server.settimeout(SECONDS)
        return self._met


def dial(to: Address, source: str | None = None, receive_buffer: int | None = None) -> Wire:
    """Connect, from this address if one is given; the kernel takes about `receive_buffer` bytes that we do not read."""
    sock = socket.socket(socket.AF_INET6 if ":" in to.host else socket.AF_INET)
    try:
        sock.settimeout(SECONDS)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            sock.bind((source, 0))
        sock.connect((to.host, to.port))
    except BaseException:
        sock.close()
        raise
    return Wire(sock)


def established(client: Wire, archive: RawArchive) -> Wire:
    """Make the standard association with an archive that is driven by hand; the archive's end of it."""
    client.say(associate_rq())
    upstream = archive.meet()
    upstream.expect(PduType.ASSOCIATE_RQ)
    upstream.say(associate_ac())
    client.expect(PduType.ASSOCIATE_AC)
    return upstream
