"""The upper layer once more, as plainly as possible and without a line of the product: what a stream of PDUs says.

Bytes in, `Control` and `Pdv` out, those joined to `Message`. Everything is in memory and nothing is limited, so
it can serve as the witness in tests of what the gate sends, and of nothing else.
"""

from dataclasses import dataclass

DATA_SET_TYPE, NO_DATA_SET = 0x0800, b"\x01\x01"


@dataclass(frozen=True)
class Control:
    """A PDU that is not P-DATA-TF."""

    kind: int
    body: bytes


@dataclass(frozen=True)
class Pdv:
    """One presentation data value; `canonical` says it was alone in its PDU and all reserved bits were zero."""

    context_id: int
    command: bool
    last: bool
    data: bytes
    pdu_length: int
    canonical: bool


@dataclass(frozen=True)
class Message:
    """A command set and, if one was announced and has begun, its data set. `complete` says its end was seen."""

    context_id: int
    command: bytes
    data: bytes | None
    complete: bool


def pdus(stream: bytes) -> tuple[list[Control | Pdv], bytes]:
    """The whole PDUs of a stream, and the bytes of the one that is not whole yet. ValueError where it is no stream."""
    found: list[Control | Pdv] = []
    while len(stream) >= 6:
        length = int.from_bytes(stream[2:6], "big")
        if not 1 <= stream[0] <= 7:
            raise ValueError(f"PDU type {stream[0]}")
        if len(stream) < 6 + length:
            break
        header, body, stream = stream[:6], stream[6 : 6 + length], stream[6 + length :]
        if header[0] == 4:
            found += _pdvs(body, header[1] == 0)
        else:
            found.append(Control(header[0], body))
    return found, stream


def _pdvs(body: bytes, clean: bool) -> list[Pdv]:
    found = []
    rest = body
    while rest:
        length = int.from_bytes(rest[:4], "big")
        if not 2 <= length <= len(rest) - 4:
            raise ValueError(f"PDV of {length} bytes with {len(rest)} left")
        canonical = clean and length == len(body) - 4 and rest[5] & ~3 == 0
        found.append(Pdv(rest[4], bool(rest[5] & 1), bool(rest[5] & 2), rest[6 : 4 + length], len(body), canonical))
        rest = rest[4 + length :]
    return found


def messages(pdvs: list[Pdv]) -> list[Message]:
    """The messages that a sequence of PDVs makes; ValueError where they interleave or lack their command."""
    found: list[Message] = []
    for pdv in pdvs:
        under_way = found[-1] if found and not found[-1].complete else None
        if under_way is not None and under_way.context_id != pdv.context_id:
            raise ValueError(f"context {pdv.context_id} inside a message on {under_way.context_id}")
        if pdv.command:
            if under_way is not None and under_way.data is not None:
                raise ValueError("a command inside a data set")
            command = (b"" if under_way is None else under_way.command) + pdv.data
            announced = pdv.last and elements(command)[DATA_SET_TYPE] != NO_DATA_SET
            message = Message(pdv.context_id, command, b"" if announced else None, pdv.last and not announced)
        elif under_way is None or under_way.data is None:
            raise ValueError("a data set that no command announced")
        else:
            message = Message(pdv.context_id, under_way.command, under_way.data + pdv.data, pdv.last)
        if under_way is None:
            found.append(message)
        else:
            found[-1] = message
    return found


def elements(command: bytes) -> dict[int, bytes]:
    """The elements of a command set by number, group length left out, padding taken off, empty ones left out."""
    found = {}
    while command:
        number, length = int.from_bytes(command[2:4], "little"), int.from_bytes(command[4:8], "little")
        value = command[8 : 8 + length]
        stripped = value.rstrip(b"\0 ") if number in _TEXTS else value
        if number and stripped:
            found[number] = stripped
        command = command[8 + length :]
    return found


_TEXTS = {0x0002, 0x0003, 0x0600, 0x0902, 0x1000, 0x1001, 0x1030}
