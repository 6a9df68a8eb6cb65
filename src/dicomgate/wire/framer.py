"""One direction of a TCP stream in, frames out, whatever the cut (PS3.8 9.3.1, 9.3.5, Annex E.1).

This is the only place that knows the 6-byte PDU header and the 6-byte PDV header. What leaves it:

- `ControlPdu`: any PDU but P-DATA-TF, collected whole, up to a limit checked before a byte is kept;
- `CommandFragment`: a piece of a command set, headers taken off;
- `DataRun`: a stretch of data-set fragments *with* canonical headers, ready to be sent on;
- `Broken`: the peer left PS3.8. It is always the last frame; a parse error is never an exception.

The bulk path is `_run`: consecutive P-DATA-TF PDUs that hold one data-set PDV each are only walked, not
copied; the bytes that arrived are the bytes of the frame. Everything unusual (several PDVs in a PDU, odd
reserved bits, headers cut in two) takes the slow path, which re-wraps each PDV into a PDU of its own, so
that what is sent on always has one PDV per PDU and zero reserved bits (PS3.8 9.3.1: never tested, sent 0).
"""

from dataclasses import dataclass
from struct import Struct

from dicomgate.wire.codes import AbortReason, PduType

PDU_HEADER = Struct(">BBI")  # type, reserved, length of what follows
PDV_HEADER = Struct(">IBB")  # length of what follows, presentation context ID, message control header
_BOTH = Struct(">HIIH")  # type and reserved, PDU length, PDV length, context ID and control header
_P_DATA = PduType.P_DATA_TF << 8
_BOTH_SIZE = _BOTH.size
_COMMAND, _LAST = 0x01, 0x02  # message control header, PS3.8 E.2
_KNOWN_TYPES = {int(kind): kind for kind in PduType}
_FIXED_LENGTH = {PduType.ASSOCIATE_RJ: 4, PduType.RELEASE_RQ: 4, PduType.RELEASE_RP: 4, PduType.ABORT: 4}
_ASSOCIATE_MINIMUM = 68  # PS3.8 9.3.2: bytes 7 to 74


@dataclass(frozen=True, slots=True)
class ControlPdu:
    """A whole PDU that is not P-DATA-TF; `body` is what follows the 6-byte header."""

    kind: PduType
    body: bytes


@dataclass(frozen=True, slots=True)
class CommandFragment:
    """A piece of a command set. `last` is True with the final piece of the final fragment."""

    context_id: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class DataRun:
    """Data-set fragments of one context, as canonical P-DATA-TF bytes that may start or end inside a PDU.

    `wire` is a view into what was fed (valid until the caller's buffer is used again) or bytes of its own.
    `size` counts the data-set bytes inside. `last` says the data set ends with this run, `whole` that the
    run ends at the end of a PDU, so that another PDU may follow it on the wire.
    """

    context_id: int
    wire: memoryview | bytes
    size: int
    last: bool
    whole: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """The peer left PS3.8 here; `why` is safe to log, `reason` is what an A-ABORT would carry."""

    why: str
    reason: AbortReason


Frame = ControlPdu | CommandFragment | DataRun | Broken


class Framer:
    """Cut one direction of a stream into frames without ever holding more than one control PDU.

    `associate_pdu` limits A-ASSOCIATE PDUs, `data_pdu` P-DATA-TF; the latter may be set again once the
    maximum length is negotiated (PS3.8 D.1: it limits the length field, without the header).
    """

    __slots__ = (
        "_associate_pdu",
        "_body",
        "_carry",
        "_dead",
        "_in_pdu",
        "_in_pdv",
        "_kind",
        "_pdv_context",
        "_pdv_control",
        "data_pdu",
    )

    def __init__(self, associate_pdu: int, data_pdu: int) -> None:
        self.data_pdu = data_pdu
        self._associate_pdu = associate_pdu
        self._carry = b""  # a header that arrived in part
        self._kind: PduType | None = None  # the PDU we are inside of
        self._in_pdu = 0  # bytes of it still to come
        self._body = bytearray()  # a control PDU being collected
        self._in_pdv = 0  # bytes of the present PDV still to come
        self._pdv_context = 0
        self._pdv_control = 0
        self._dead = False

    def take_carry(self) -> bytes:
        """Give up the part of a header that waits for its rest (at most 5 bytes).

        A driver puts it in front of the bytes it reads next and feeds both, which saves a copy of the whole
        read. A driver that never calls this is served as well.
        """
        carry, self._carry = self._carry, b""
        return carry

    @property
    def between_pdus(self) -> bool:
        """True when the last PDU is whole and nothing of the next one has come."""
        return self._kind is None and not self._carry

    @property
    def held(self) -> int:
        """Bytes that are kept because they are a part of something."""
        return len(self._carry) + len(self._body)

    def skip(self, size: int) -> bool:
        """So many bytes were sent and will not be fed. True if they lie within a fragment of a data set and the rest of
        it is still to come: only then it is known what follows."""
        if self._pdv_control & _COMMAND or self._carry or size >= self._in_pdv:
            return False
        self._in_pdv -= size
        self._in_pdu -= size
        return True

    def feed(self, data: memoryview) -> list[Frame]:
        """The frames that `data` completes or continues. After `Broken` everything is ignored."""
        if self._carry:
            data = memoryview(self.take_carry() + bytes(data))
        frames: list[Frame] = []
        position, end = 0, len(data)
        while position < end and not self._dead:
            if self._in_pdv:
                position = self._continue_pdv(data, position, end, frames)
            elif self._kind is None:
                position = self._start_pdu(data, position, end, frames)
            elif self._kind is PduType.P_DATA_TF:
                position = self._start_pdv(data, position, end, frames)
            else:
                position = self._collect(data, position, end, frames)
        return frames

    def _start_pdu(self, data: memoryview, position: int, end: int, frames: list[Frame]) -> int:
        if end - position >= _BOTH_SIZE and data[position] == PduType.P_DATA_TF:
            after = self._run(data, position, end, frames)
            if after != position:
                return after
        if end - position < PDU_HEADER.size:
            # Waiting for the length of something that is no PDU would let a stranger hold the connection.
            if data[position] not in _KNOWN_TYPES:
                return self._break(f"unknown PDU type {data[position]:02x}H", AbortReason.UNRECOGNIZED_PDU, frames, end)
            self._carry = bytes(data[position:])
            return end
        number, _, length = PDU_HEADER.unpack_from(data, position)
        if number not in _KNOWN_TYPES:
            return self._break(f"unknown PDU type {number:02x}H", AbortReason.UNRECOGNIZED_PDU, frames, end)
        kind = _KNOWN_TYPES[number]
        if (wrong := self._wrong_length(kind, length)) is not None:
            return self._break(wrong, AbortReason.INVALID_PDU_PARAMETER_VALUE, frames, end)
        self._kind, self._in_pdu = kind, length
        if kind is not PduType.P_DATA_TF:
            self._body = bytearray()  # of its own: a big request must not leave its size behind
        return position + PDU_HEADER.size

    def _wrong_length(self, kind: PduType, length: int) -> str | None:
        if (fixed := _FIXED_LENGTH.get(kind)) is not None:
            return None if length == fixed else f"{kind.name} declares {length} bytes where {fixed} are due"
        limit = self.data_pdu if kind is PduType.P_DATA_TF else self._associate_pdu
        least = PDV_HEADER.size if kind is PduType.P_DATA_TF else _ASSOCIATE_MINIMUM
        if length > limit:
            return f"{kind.name} declares {length} bytes, more than the limit of {limit}"
        return f"{kind.name} declares {length} bytes where at least {least} are due" if length < least else None

    def _run(self, data: memoryview, position: int, end: int, frames: list[Frame]) -> int:
        """Walk PDUs of one data-set PDV each, from a PDU's start; returns where the run ended."""
        unpack, limit = _BOTH.unpack_from, self.data_pdu
        start, payload = position, 0
        context = data[position + 10] << 8  # context ID with control header 00H: data set, more to come
        last = False
        if not context & 0x0100:
            return start  # an even context ID: the slow path says so
        while position + _BOTH_SIZE <= end:
            head, pdu_length, pdv_length, control = unpack(data, position)
            if (
                head != _P_DATA
                or pdv_length != pdu_length - 4
                or pdu_length > limit
                or pdv_length < 2
                or control & ~_LAST != context
            ):
                break
            position += 6 + pdu_length
            payload += pdv_length - 2
            if control & _LAST:
                last = True
                break
        if position == start:
            return start
        over = position - end
        if over > 0:  # the final PDU of the run goes on in what comes next
            self._kind, self._in_pdu = PduType.P_DATA_TF, over
            self._in_pdv, self._pdv_context = over, context >> 8
            self._pdv_control = _LAST if last else 0
            frames.append(DataRun(context >> 8, data[start:], payload - over, False, False))
            return end
        frames.append(DataRun(context >> 8, data[start:position], payload, last, True))
        return position

    def _start_pdv(self, data: memoryview, position: int, end: int, frames: list[Frame]) -> int:
        if self._in_pdu < PDV_HEADER.size:
            return self._break_pdv(f"{self._in_pdu} bytes left where a PDV header needs 6", frames, end)
        if end - position < PDV_HEADER.size:
            self._carry = bytes(data[position:])
            return end
        length, context_id, control = PDV_HEADER.unpack_from(data, position)
        if not 2 <= length <= self._in_pdu - 4:
            return self._break_pdv(f"a PDV declares {length} bytes where {self._in_pdu - 4} are left", frames, end)
        if length > self.data_pdu - 4:  # the PDU began before the limit was lowered
            why = f"a PDV declares {length} bytes where {self.data_pdu - 4} are allowed"
            return self._break_pdv(why, frames, end)
        if context_id % 2 == 0:
            return self._break_pdv(f"presentation context ID {context_id} is even", frames, end)
        self._in_pdu -= PDV_HEADER.size
        self._in_pdv = length - 2
        self._pdv_context, self._pdv_control = context_id, control & (_COMMAND | _LAST)
        if self._pdv_control & _COMMAND:
            if not self._in_pdv:
                frames.append(CommandFragment(context_id, b"", bool(self._pdv_control & _LAST)))
        else:
            header = _BOTH.pack(_P_DATA, length + 4, length, context_id << 8 | self._pdv_control)
            ended = not self._in_pdv
            frames.append(DataRun(context_id, header, 0, ended and bool(self._pdv_control & _LAST), ended))
        if not self._in_pdv and not self._in_pdu:
            self._kind = None
        return position + PDV_HEADER.size

    def _continue_pdv(self, data: memoryview, position: int, end: int, frames: list[Frame]) -> int:
        stop = min(end, position + self._in_pdv)
        piece = data[position:stop]
        self._in_pdv -= stop - position
        self._in_pdu -= stop - position
        ended = self._in_pdv == 0
        last = ended and bool(self._pdv_control & _LAST)
        if self._pdv_control & _COMMAND:
            frames.append(CommandFragment(self._pdv_context, bytes(piece), last))
        else:
            frames.append(DataRun(self._pdv_context, piece, len(piece), last, ended))
        if not self._in_pdu:
            self._kind = None
        return stop

    def _collect(self, data: memoryview, position: int, end: int, frames: list[Frame]) -> int:
        stop = min(end, position + self._in_pdu)
        self._body += data[position:stop]
        self._in_pdu -= stop - position
        if not self._in_pdu and self._kind is not None:
            frames.append(ControlPdu(self._kind, bytes(self._body)))
            self._kind, self._body = None, bytearray()
        return stop

    def _break_pdv(self, why: str, frames: list[Frame], end: int) -> int:
        return self._break(why, AbortReason.INVALID_PDU_PARAMETER_VALUE, frames, end)

    def _break(self, why: str, reason: AbortReason, frames: list[Frame], end: int) -> int:
        self._dead, self._body = True, bytearray()
        frames.append(Broken(why, reason))
        return end


def p_data_pdus(context_id: int, command_set: bytes, maximum_length: int) -> bytes:
    """A command set as P-DATA-TF PDUs of one PDV each, none longer than `maximum_length` (PS3.8 D.1, E.1).

    Below 8 a maximum length has no room for a fragment of two bytes; it is taken for 8.
    """
    room = max(2, (maximum_length - PDV_HEADER.size) & ~1)  # fragments are even (PS3.8 E.1)
    pdus = []
    for start in range(0, len(command_set), room):
        piece = command_set[start : start + room]
        control = _COMMAND | (_LAST if start + room >= len(command_set) else 0)
        pdus.append(_BOTH.pack(_P_DATA, len(piece) + 6, len(piece) + 2, context_id << 8 | control) + piece)
    return b"".join(pdus)
