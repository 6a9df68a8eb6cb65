"""What a watcher makes of traffic: DICOM, TLS, what only looks alike, and what a network does to all of them."""

from __future__ import annotations

import random
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.policy.policy import Policy
from dicomgate.watch.capture import CaptureError, read_file
from dicomgate.watch.conversation import End, Kind
from dicomgate.watch.parties import Parties, Remark
from dicomgate.watch.streams import Gap, Stream
from dicomgate.watch.surroundings import Surroundings
from dicomgate.watch.watcher import Seen, Watcher
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import ReleaseReply, ReleaseRequest
from playbook import message
from session.cast import ON_ECHO, ON_FIND, ON_STORE, accept, answer, echo, find, hospital, request, store
from watch.wiretap import CLIENT, SERVER, Call, frame, pcap, pcapng


def conversation(**where: object) -> Call:
    """An association with an echo, a query and an object of 100 kB."""
    return (
        Call(**where)  # type: ignore[arg-type]
        .opens()
        .says(encode(request("CT1")))
        .answers(encode(accept(ON_ECHO, ON_STORE, ON_FIND)))
        .says(message(ON_ECHO, echo(1)))
        .answers(message(ON_ECHO, answer(echo(1))))
        .says(message(ON_STORE, store(2), b"DOE^JOHN" * 12500))
        .answers(message(ON_STORE, answer(store(2))))
        .says(message(ON_FIND, find(3), b"query"))
        .answers(message(ON_FIND, answer(find(3))))
        .says(encode(ReleaseRequest()))
        .answers(encode(ReleaseReply()))
        .ends()
    )


def watched(frames: list[bytes], **options: object) -> list[Seen]:
    watcher = Watcher(**options)  # type: ignore[arg-type]
    seen = [each for number, one in enumerate(frames) for each in watcher.frame(1, memoryview(one), number)]
    return [*seen, *watcher.finish()]


VERBS = {"echo": 1, "store": 1, "find": 1}


def test_who_talks_to_whom_and_does_what() -> None:
    (seen,) = watched(conversation().frames)
    assert (str(seen.client), str(seen.server), seen.server_port) == ("10.1.2.31", "10.1.1.20", 11112)
    told = seen.conversation
    assert (told.kind, told.calling_ae_title, told.called_ae_title) == (Kind.DICOM, "CT1", "ARCHIVE")
    assert (told.accepted, told.end, told.lost, told.joined_late) == (True, End.RELEASED, 0, False)
    assert told.verbs == VERBS
    assert seen.sent > 100_000


def test_no_payload_is_kept() -> None:
    watcher = Watcher()
    for one in conversation().frames[:-2]:
        list(watcher.frame(1, memoryview(one), 0.0))
    held = repr([vars_of(connection) for connection in watcher._open.values()])
    assert "DOE" not in held
    assert "DOE" not in repr(list(watcher.finish()))


def vars_of(thing: object, depth: int = 4) -> object:
    if depth == 0 or isinstance(thing, str | bytes | bytearray | int | float | None.__class__):
        return bytes(thing) if isinstance(thing, bytearray) else thing
    if isinstance(thing, dict):
        return {str(key): vars_of(value, depth - 1) for key, value in thing.items()}
    names = getattr(type(thing), "__slots__", ())
    return {name: vars_of(getattr(thing, name, None), depth - 1) for name in names}


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_network_may_reorder_and_repeat(seed: int) -> None:
    """Neighbours change places, some come twice: what is understood stays the same."""
    frames, dice = conversation().frames, random.Random(seed)
    body = frames[2:-2]
    shuffled = [each for _, each in sorted((place + dice.uniform(0, 4), each) for place, each in enumerate(body))]
    repeated = [each for each in shuffled for _ in range(1 + (dice.random() < 0.2))]
    (seen,) = watched([*frames[:2], *repeated, *frames[-2:]])
    assert seen.conversation.verbs == VERBS
    assert seen.conversation.lost == 0


@settings(deadline=None)
@given(cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=6))
def test_any_cut_is_understood(cuts: list[int]) -> None:
    call = Call().opens()
    said = encode(request("CT1")) + message(ON_ECHO, echo(1)) + message(ON_STORE, store(2), bytes(9000))
    place = 0
    for size in cuts * 2000:
        if place >= len(said):
            break
        call.says(said[place : place + size], size=1 << 20)
        place += size
    (seen,) = watched(call.frames)
    assert seen.conversation.verbs == {"echo": 1, "store": 1}


def test_an_overlap_cannot_rewrite_what_was_said() -> None:
    rq = encode(request("CT1"))
    call = Call().opens()
    start = call._at[True]
    call.frames.append(frame(CLIENT, SERVER, start, 0x10, rq[:60]))
    call.frames.append(frame(CLIENT, SERVER, start, 0x10, encode(request("EVIL"))))
    (seen,) = watched(call.frames)
    assert seen.conversation.calling_ae_title == "CT1"


def test_what_is_lost_is_counted_and_nothing_is_made_up() -> None:
    frames = conversation().frames
    del frames[10:20]  # in the middle of the object
    (seen,) = watched(frames)
    told = seen.conversation
    assert told.verbs == {"echo": 1, "store": 1}
    assert told.lost > 10_000


def test_packets_that_were_cut_by_the_capture() -> None:
    (seen,) = watched([each[:1000] for each in conversation().frames])
    assert seen.conversation.calling_ae_title == "CT1"
    assert seen.conversation.lost > 30_000


def test_whoever_joins_late_says_so() -> None:
    (seen,) = watched(conversation().frames[2:])
    assert seen.conversation.joined_late
    assert seen.conversation.verbs == VERBS


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        bytes(2000),
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),
        b"\x01\x00\x00\x00\x00\x10" + bytes(100),
        b"\x01\x00\x00\x00\x01\x00\x00\x02" + bytes(100),
        b"\x04\x00\x00\x00\x00\x10" + bytes(100),
        b"\x16\x03\x01\x00\x05garbage garbage",
    ],
)
def test_what_only_looks_alike_is_not_told(said: bytes) -> None:
    watcher = Watcher()
    for one in Call().opens().says(said).answers(b"anything").ends().frames:
        assert list(watcher.frame(1, memoryview(one), 0.0)) == []
    assert watcher.totals.kinds["dicom"] == 0
    assert len(watcher) == 0


def hello(*protocols: str, name: str = "archive.example") -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("port", "protocols", "told"),
    [(9999, ("dicom",), True), (2762, (), True), (2762, ("h2",), True), (443, ("h2",), False), (443, (), False)],
)
def test_tls_is_told_when_it_is_dicom_or_where_dicom_listens(port: int, protocols: tuple[str, ...], told: bool) -> None:
    seen = watched(Call(server=("10.1.1.20", port)).opens().says(hello(*protocols)).ends().frames)
    assert len(seen) == told
    if told:
        assert (seen[0].conversation.kind, seen[0].conversation.server_name) == (Kind.TLS, "archive.example")


def test_ipv6_and_vlans() -> None:
    six = conversation(client=("2001:db8::1", 50000), server=("2001:db8::2", 104)).frames
    assert str(watched(six)[0].client) == "2001:db8::1"
    tagged = [each[:12] + b"\x81\x00\x00\x07" + each[12:] for each in conversation().frames]
    assert watched(tagged)[0].conversation.verbs == VERBS


@given(st.binary(max_size=200), st.sampled_from([0, 1, 101, 108, 113, 228, 229, 276, 999]))
def test_no_frame_raises(content: bytes, link: int) -> None:
    watcher = Watcher()
    list(watcher.frame(link, memoryview(content), 0.0))
    list(watcher.finish())


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=40)), max_size=60))
def test_a_stream_delivers_each_byte_once_and_in_order(pieces: list[tuple[int, bytes]]) -> None:
    truth = bytes(range(256)) * 2
    stream, got = Stream(0xFFFF_FFF0), bytearray()
    for at, piece in pieces:
        part = truth[at : at + len(piece)]
        for delivered in stream.take((0xFFFF_FFF0 + at) & 0xFFFF_FFFF, memoryview(part), 0):
            assert not isinstance(delivered, Gap)
            got += delivered
    assert truth.startswith(bytes(got))


def test_the_number_of_connections_is_bounded() -> None:
    watcher = Watcher(most=50)
    for number in range(500):
        for one in conversation(client=("10.1.2.31", 20000 + number)).frames[:4]:
            list(watcher.frame(1, memoryview(one), 0.0))
    assert len(watcher) == 50
    assert watcher.totals.forgotten == 450


@pytest.mark.parametrize(
    "made",
    [
        pcap,
        lambda frames: pcap(frames, order=">"),
        lambda frames: pcap(frames, nanoseconds=True),
        pcapng,
        lambda frames: pcapng(frames, order=">"),
    ],
)
def test_capture_files(tmp_path: Path, made: object) -> None:
    file = tmp_path / "day.pcap"
    file.write_bytes(made(conversation().frames))  # type: ignore[operator]
    watcher = Watcher()
    seen = [each for link, one, at in read_file(file) for each in watcher.frame(link, one, at)]
    assert seen[0].conversation.verbs == VERBS
    assert 1700000000 <= seen[0].first < 1700000100


@pytest.mark.parametrize("write", [pcap, pcapng])
def test_a_capture_that_is_cut_off_or_none_at_all(tmp_path: Path, write: object) -> None:
    whole = write(conversation().frames)  # type: ignore[operator]
    file = tmp_path / "day.pcap"
    for size in (2, 10, 30, len(whole) // 2, len(whole) - 5):
        file.write_bytes(whole[:size])
        with pytest.raises(CaptureError):
            list(read_file(file))
    with pytest.raises(CaptureError):
        list(read_file(tmp_path / "none"))


@given(st.binary(max_size=300))
def test_no_capture_file_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("capture") / "x.pcap"
    for magic in (b"", b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a"):
        file.write_bytes(magic + content)
        with suppress(CaptureError):
            list(read_file(file))


def test_a_configuration_says_who_goes_past_the_gate() -> None:
    rules = hospital().rules
    assert isinstance(Policy(rules), Policy)
    parties = Parties(Surroundings(rules, frozenset({"10.1.1.5"})))
    gate, stranger = "10.1.1.5", "10.1.9.9"
    parties.add(watched(conversation(server=(gate, 104)).frames))
    parties.add(watched(conversation(client=(gate, 40000)).frames))
    parties.add(watched(conversation(client=("10.1.2.31", 40001)).frames))
    parties.add(watched(conversation(client=(stranger, 40002)).frames))
    found = {(row.party.client, row.party.server): row.remarks for row in parties.rows()}
    assert found == {
        ("10.1.2.31", gate): (Remark.CLEAR,),
        (gate, "10.1.1.20"): (Remark.CLEAR,),
        ("10.1.2.31", "10.1.1.20"): (Remark.BYPASSES, Remark.CLEAR),
        (stranger, "10.1.1.20"): (Remark.BYPASSES, Remark.UNKNOWN, Remark.CLEAR),
    }
    assert parties.rows()[0].party.client == stranger
    line = parties.rows()[0].line()
    assert "10.1.9.9 → 10.1.1.20:11112  clear  CT1 → ARCHIVE" in line
    assert "BYPASSES THE GATE" in line
