"""The framer against golden bytes, any cut, any damage and lying lengths; the witness is session/reference.py."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.wire.codes import AbortReason, PduType
from dicomgate.wire.framer import Broken, CommandFragment, ControlPdu, DataRun, Frame, Framer, p_data_pdus
from session.reference import Control, Pdv, pdus
from wire.strategies import damaged
from wire.vector_files import corpus

ASSOCIATE_LIMIT, DATA_LIMIT = 200, 64
COMMAND, LAST = 1, 2
INVALID, UNRECOGNIZED = AbortReason.INVALID_PDU_PARAMETER_VALUE, AbortReason.UNRECOGNIZED_PDU


def pdu(kind: int, body: bytes, reserved: int = 0) -> bytes:
    return bytes((kind, reserved)) + len(body).to_bytes(4, "big") + body


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return (len(data) + 2).to_bytes(4, "big") + bytes((context_id, control)) + data


def p_data(*pdvs: bytes, reserved: int = 0) -> bytes:
    return pdu(4, b"".join(pdvs), reserved)


def fed(*pieces: bytes, carry: bool = False) -> list[Frame]:
    """The frames of a stream that arrives in these pieces; `carry` plays the driver that fetches the carry back."""
    return feed(Framer(ASSOCIATE_LIMIT, DATA_LIMIT), *pieces, carry=carry)


def feed(framer: Framer, *pieces: bytes, carry: bool = False) -> list[Frame]:
    frames: list[Frame] = []
    for piece in pieces:
        buffer = bytearray((framer.take_carry() if carry else b"") + piece)
        frames += [keep(frame) for frame in framer.feed(memoryview(buffer))]
        buffer[:] = bytes(len(buffer))  # the driver uses its one buffer again
        assert kept(framer) <= ASSOCIATE_LIMIT
    return frames


def keep(frame: Frame) -> Frame:
    """The frame with a copy of the view it holds."""
    if isinstance(frame, DataRun):
        return DataRun(frame.context_id, bytes(frame.wire), frame.size, frame.last, frame.whole)
    return frame


def kept(framer: Framer) -> int:
    """All the bytes a framer holds on to."""
    held = (getattr(framer, name) for name in Framer.__slots__)
    return sum(len(value) for value in held if isinstance(value, bytes | bytearray | memoryview))


def merged(frames: list[Frame]) -> list[Frame]:
    """Frames with neighbours joined, so that only what they say is left and not where a read ended."""
    joined: list[Frame] = []
    for frame in frames:
        match joined[-1] if joined else None, frame:
            case CommandFragment(a, data, False), CommandFragment(b, more, last) if a == b:
                joined[-1] = CommandFragment(a, data + more, last)
            case DataRun(a, wire, size, False, _), DataRun(b, more_wire, more, last, whole) if a == b:
                joined[-1] = DataRun(a, bytes(wire) + bytes(more_wire), size + more, last, whole)
            case _:
                joined.append(frame)
    return joined


# -- golden cases ------------------------------------------------------------------------------------------

RELEASE_RQ = bytes.fromhex("05 00 00000004 00000000")
COMMAND_PDV = pdv(1, COMMAND | LAST, b"command!")
DATA_PDV = pdv(1, LAST, b"data")


def run(context_id: int, *fragments: bytes, last: bool = True) -> DataRun:
    """What these data-set fragments are sent on as: each in a PDU of its own."""
    controls = [0] * (len(fragments) - 1) + [LAST if last else 0]
    wire = b"".join(p_data(pdv(context_id, c, f)) for c, f in zip(controls, fragments, strict=True))
    return DataRun(context_id, wire, sum(map(len, fragments)), last, True)


GOLDEN = {
    "nothing": (b"", []),
    "a control PDU": (RELEASE_RQ, [ControlPdu(PduType.RELEASE_RQ, bytes(4))]),
    "reserved byte of a control PDU": (pdu(6, bytes(4), 0xFF), [ControlPdu(PduType.RELEASE_RP, bytes(4))]),
    "the longest A-ASSOCIATE-RQ": (pdu(1, bytes(200)), [ControlPdu(PduType.ASSOCIATE_RQ, bytes(200))]),
    "the shortest A-ASSOCIATE-AC": (pdu(2, bytes(68)), [ControlPdu(PduType.ASSOCIATE_AC, bytes(68))]),
    "a command": (p_data(COMMAND_PDV), [CommandFragment(1, b"command!", True)]),
    "a command in two PDUs": (
        p_data(pdv(3, COMMAND, b"ab")) + p_data(pdv(3, COMMAND | LAST, b"cd")),
        [CommandFragment(3, b"abcd", True)],
    ),
    "a command in two PDVs": (
        p_data(pdv(3, COMMAND, b"ab"), pdv(3, COMMAND | LAST, b"cd")),
        [CommandFragment(3, b"abcd", True)],
    ),
    "command and data in one PDU": (
        p_data(COMMAND_PDV, DATA_PDV),
        [CommandFragment(1, b"command!", True), run(1, b"data")],
    ),
    "data sets of two contexts": (
        p_data(DATA_PDV) + p_data(pdv(3, LAST, b"more")),
        [run(1, b"data"), run(3, b"more")],
    ),
    "two data sets of one context": (p_data(DATA_PDV) * 2, [run(1, b"data"), run(1, b"data")]),
    "a data set in three PDUs": (
        p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, 0, b"cd")) + p_data(pdv(1, LAST, b"ef")),
        [run(1, b"ab", b"cd", b"ef")],
    ),
    "several data PDVs in one PDU": (
        p_data(pdv(1, 0, b"ab"), pdv(1, 0, b"cd"), pdv(1, LAST, b"ef")),
        [run(1, b"ab", b"cd", b"ef")],
    ),
    "an empty command PDV": (p_data(pdv(1, COMMAND | LAST, b"")), [CommandFragment(1, b"", True)]),
    "an empty data PDV": (p_data(pdv(1, LAST, b"")), [run(1, b"")]),
    "an empty data PDV among others": (
        p_data(pdv(1, 0, b""), pdv(1, 0, b"ab"), pdv(1, LAST, b"")),
        [run(1, b"", b"ab", b"")],
    ),
    "an odd number of bytes in a fragment": (p_data(pdv(1, LAST, b"odd")), [run(1, b"odd")]),
    "odd reserved bits": (
        p_data(pdv(1, 0xFC, b"ab"), reserved=0xFF) + p_data(pdv(1, 0xFC | LAST, b"cd")),
        [run(1, b"ab", b"cd")],
    ),
    "the longest P-DATA-TF": (p_data(pdv(1, LAST, bytes(58))), [run(1, bytes(58))]),
    "data, then release": (
        p_data(DATA_PDV) + RELEASE_RQ,
        [run(1, b"data"), ControlPdu(PduType.RELEASE_RQ, bytes(4))],
    ),
}


@pytest.mark.parametrize(("stream", "frames"), GOLDEN.values(), ids=GOLDEN)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_golden(stream, frames, size):
    assert merged(fed(*(stream[at : at + size] for at in range(0, len(stream), size)))) == frames


@pytest.mark.parametrize(
    ("stream", "why", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "unknown PDU type 47H", UNRECOGNIZED),
        (b"\x16\x03\x01\x02\x00\x01", "unknown PDU type 16H", UNRECOGNIZED),
        (b"\x00", "unknown PDU type 00H", UNRECOGNIZED),
        (b"\x08", "unknown PDU type 08H", UNRECOGNIZED),
        (bytes.fromhex("0100ffffffff"), "ASSOCIATE_RQ declares 4294967295 bytes, more than the limit of 200", INVALID),
        (bytes.fromhex("0200000000c9"), "ASSOCIATE_AC declares 201 bytes, more than the limit of 200", INVALID),
        (bytes.fromhex("010000000043"), "ASSOCIATE_RQ declares 67 bytes where at least 68 are due", INVALID),
        (bytes.fromhex("0300ffffffff"), "ASSOCIATE_RJ declares 4294967295 bytes where 4 are due", INVALID),
        (bytes.fromhex("050000000000"), "RELEASE_RQ declares 0 bytes where 4 are due", INVALID),
        (bytes.fromhex("060000000005"), "RELEASE_RP declares 5 bytes where 4 are due", INVALID),
        (bytes.fromhex("070080000004"), "ABORT declares 2147483652 bytes where 4 are due", INVALID),
        (bytes.fromhex("0400ffffffff"), "P_DATA_TF declares 4294967295 bytes, more than the limit of 64", INVALID),
        (bytes.fromhex("040000000041") + bytes(65), "P_DATA_TF declares 65 bytes, more than the limit of 64", INVALID),
        (bytes.fromhex("040000000000"), "P_DATA_TF declares 0 bytes where at least 6 are due", INVALID),
        (p_data(b"\xff\xff\xff\xff\x01\x02" + bytes(9)), "a PDV declares 4294967295 bytes where 11 are left", INVALID),
        (p_data(b"\0\0\0\x0c\x01\x02" + bytes(9)), "a PDV declares 12 bytes where 11 are left", INVALID),
        (p_data(b"\0\0\0\x01\x01\x02" + bytes(9)), "a PDV declares 1 bytes where 11 are left", INVALID),
        (p_data(b"\0\0\0\0\x01\x02"), "a PDV declares 0 bytes where 2 are left", INVALID),
        (p_data(DATA_PDV + bytes(5)), "5 bytes left where a PDV header needs 6", INVALID),
        (p_data(DATA_PDV + bytes(1)) + RELEASE_RQ, "1 bytes left where a PDV header needs 6", INVALID),
        (p_data(pdv(2, LAST, b"data")), "presentation context ID 2 is even", INVALID),
        (p_data(pdv(0, COMMAND, b"data")), "presentation context ID 0 is even", INVALID),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_leaves_the_standard_is_broken(stream, why, reason, size):
    frames = fed(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert frames[-1] == Broken(why, reason)


def test_a_lie_about_the_length_is_seen_in_the_header_and_nothing_is_kept():
    framer = Framer(ASSOCIATE_LIMIT, DATA_LIMIT)
    assert [type(frame) for frame in feed(framer, bytes.fromhex("0100ffffffff"))] == [Broken]
    assert feed(framer, bytes(100_000)) == []
    assert kept(framer) == 0


def test_something_that_is_no_pdu_is_not_waited_for():
    assert fed(b"G") == [Broken("unknown PDU type 47H", UNRECOGNIZED)]


def test_nothing_is_said_after_broken():
    assert fed(RELEASE_RQ + b"\x99", RELEASE_RQ) == [
        ControlPdu(PduType.RELEASE_RQ, bytes(4)),
        Broken("unknown PDU type 99H", UNRECOGNIZED),
    ]


def test_at_most_five_bytes_are_carried_to_the_next_read():
    for size in range(1, 40):
        framer = Framer(ASSOCIATE_LIMIT, DATA_LIMIT)
        framer.feed(memoryview(p_data(pdv(1, COMMAND | LAST, b"ab"), pdv(1, LAST, b"cdefghijklmnopqrst"))[:size]))
        assert len(framer.take_carry()) <= 5
        assert framer.take_carry() == b""


def test_bulk_data_is_passed_on_in_the_bytes_that_arrived():
    stream = p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, LAST, b"cd"))
    view = memoryview(stream)
    (frame,) = Framer(ASSOCIATE_LIMIT, DATA_LIMIT).feed(view)
    assert isinstance(frame, DataRun)
    assert isinstance(frame.wire, memoryview)
    assert frame.wire.obj is stream


def test_a_pdu_begun_under_a_larger_limit_ends_with_the_smaller_one():
    framer = Framer(ASSOCIATE_LIMIT, 1000)
    long = p_data(pdv(1, LAST, bytes(500)))
    assert feed(framer, long[:6]) == []
    framer.data_pdu = DATA_LIMIT
    assert feed(framer, long[6:]) == [Broken("a PDV declares 502 bytes where 60 are allowed", INVALID)]


# -- properties --------------------------------------------------------------------------------------------

payloads = st.binary(max_size=20)
pdvs = st.builds(pdv, st.sampled_from([1, 1, 1, 3, 255]), st.sampled_from([0, 0, 0, 1, 2, 3, 0xFC, 0xFF]), payloads)
data_pdus = st.builds(
    lambda several, reserved: p_data(*several, reserved=reserved),
    st.lists(pdvs, min_size=1, max_size=3).filter(lambda several: sum(map(len, several)) <= DATA_LIMIT),
    st.sampled_from([0, 0, 0, 1]),
)
bulk = st.builds(p_data, st.builds(pdv, st.just(1), st.sampled_from([0, 0, 0, 2]), payloads))
control_pdus = st.one_of(
    st.builds(pdu, st.sampled_from([1, 2]), st.binary(min_size=68, max_size=ASSOCIATE_LIMIT)),
    st.builds(pdu, st.sampled_from([3, 5, 6, 7]), st.binary(min_size=4, max_size=4), st.sampled_from([0, 7])),
)
good = st.lists(st.one_of(data_pdus, bulk, bulk, control_pdus), max_size=6).map(b"".join)
streams = st.one_of(good, damaged(good), damaged(good), st.binary(max_size=60))
some_real = b"".join(list(corpus("pdu").values())[:2])


@st.composite
def cut(draw, stream):
    """The pieces of a stream that arrives in any portions, empty ones included."""
    whole = draw(stream)
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


@settings(max_examples=150)
@given(cut(streams), st.booleans())
def test_frames_do_not_depend_on_the_cut(pieces, carry):
    assert merged(fed(*pieces, carry=carry)) == merged(fed(b"".join(pieces)))


@settings(max_examples=100)
@given(streams)
def test_frames_do_not_depend_on_the_cut_even_byte_by_byte(stream):
    assert merged(fed(*(bytes([byte]) for byte in stream))) == merged(fed(stream))


@settings(max_examples=100)
@given(cut(st.one_of(streams, damaged(st.just(some_real)))), st.booleans())
def test_any_bytes_end_in_frames_or_broken_and_broken_is_the_last(pieces, carry):
    frames = fed(*pieces, carry=carry)
    assert not any(isinstance(frame, Broken) for frame in frames[:-1])


@settings(max_examples=100)
@given(cut(good))
def test_what_is_sent_on_is_canonical_and_holds_exactly_the_data_that_came(pieces):
    came, rest = pdus(b"".join(pieces))
    assert rest == b""
    assert said(merged(fed(*pieces))) == [
        (p.kind, 0, p.body) if isinstance(p, Control) else (p.command, p.context_id, p.data) for p in joined(came)
    ]


def said(frames: list[Frame]) -> list[tuple[int, int, bytes]]:
    """What merged frames hold, without their headers; the wires must be canonical and their sizes true."""
    found = []
    for frame in frames:
        if isinstance(frame, ControlPdu):
            found.append((int(frame.kind), 0, frame.body))
        elif isinstance(frame, CommandFragment):
            found.append((True, frame.context_id, frame.data))
        elif isinstance(frame, DataRun):
            sent, rest = pdus(bytes(frame.wire))
            assert rest == b""
            assert frame.whole
            assert all(isinstance(p, Pdv) and p.canonical and not p.command for p in sent)
            data = b"".join(p.data for p in sent)
            assert len(data) == frame.size
            assert [p.last for p in sent] == [False] * (len(sent) - 1) + [frame.last]
            found.append((False, frame.context_id, data))
    return found


def joined(parts: list[Control | Pdv]) -> list[Control | Pdv]:
    """PDVs of the same context and kind in a row, joined up to the one that is the last fragment."""
    found: list[Control | Pdv] = []
    for part in parts:
        match found[-1] if found else None, part:
            case Pdv(a, kind, False, data), Pdv(b, same, last, more) if (a, kind) == (b, same):
                found[-1] = Pdv(a, kind, last, data + more, 0, False)
            case _:
                found.append(part)
    return found


@given(st.sampled_from([1, 3, 255]), st.binary(min_size=1, max_size=200), st.integers(8, 300))
def test_a_command_set_fits_the_maximum_length_and_comes_back(context_id, command_set, maximum_length):
    stream = p_data_pdus(context_id, command_set, maximum_length)
    sent, rest = pdus(stream)
    assert rest == b""
    assert all(isinstance(p, Pdv) and p.canonical and p.command and p.pdu_length <= maximum_length for p in sent)
    assert all(len(p.data) % 2 == 0 for p in sent[:-1])
    assert [p.last for p in sent] == [False] * (len(sent) - 1) + [True]
    assert merged(feed(Framer(0, maximum_length), stream)) == [CommandFragment(context_id, command_set, True)]


@pytest.mark.parametrize("maximum_length", range(8))
def test_a_maximum_length_without_room_for_two_bytes_gets_two_bytes_a_pdu(maximum_length):
    sent, rest = pdus(p_data_pdus(1, b"abcd", maximum_length))
    assert rest == b""
    assert [p.data for p in sent if isinstance(p, Pdv)] == [b"ab", b"cd"]
