"""A link over a socket pair: short writes, order, what waits in lent buffers, and the ways it ends."""

import asyncio
import hashlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from dicomgate.gate.buffers import SPARES, Buffers
from dicomgate.gate.link import Buffer, Link, acknowledge_at_once, keep_alive, send_at_once
from dicomgate.gate.poller import Poller


class Rig:
    """Links on one loop, with the far end of each."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.poller = Poller(self.loop)
        self.buffers = Buffers()
        self.socks: list[socket.socket] = []

    def link(
        self, on_readable: Callable[[], None] = lambda: None, on_writable: Callable[[], None] = lambda: None
    ) -> tuple[Link, socket.socket]:
        """A link whose kernel buffers are small, and its far end."""
        listener = socket.create_server(("127.0.0.1", 0))
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
        listener.close()
        near.setblocking(False)
        far.settimeout(10)
        self.socks += [near, far]
        return Link(near, self.poller, self.buffers, on_readable, on_writable), far

    def read(self, data: bytes) -> memoryview:
        """As a connection reads: into the current buffer, handed on as a view."""
        view = self.buffers.current
        view[: len(data)] = data
        return view[: len(data)]

    def turn(self) -> None:
        """One turn of the loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def until(self, done: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline
            self.turn()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.poller.close()
    rig.loop.close()
    for sock in rig.socks:
        sock.close()


def until_it_fails(step: Callable[[], object]) -> None:
    for _ in range(10_000):
        step()


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def received(far: socket.socket, size: int, link: Link) -> bytes:
    """Read so much at the far end, flushing in between."""
    got = bytearray()
    while len(got) < size:
        got += far.recv(65536)
        link.flush(0.0)
    return bytes(got)


def test_what_the_kernel_takes_is_gone_at_once(rig: Rig) -> None:
    link, far = rig.link()
    assert link.send((b"abc",), 1.0)
    assert link.send((b"d", b"", memoryview(b"ef")), 1.0)
    assert link.send((), 1.0)
    assert link.pending_bytes == 0
    assert far.recv(100) == b"abcdef"


@pytest.mark.parametrize("size", [1, 60_000, 64 * 1024, 500_000, 1024 * 1024])
def test_short_writes_keep_the_order(rig: Rig, size: int) -> None:
    link, far = rig.link()
    sent = [noise(seed, size) for seed in range(4)]
    for piece in sent:
        link.send((rig.read(piece),), 1.0)
    link.send((b"end", b"."), 1.0)
    total = b"".join(sent) + b"end."
    assert received(far, len(total), link) == total
    assert link.flush(2.0)
    assert link.pending_bytes == 0


def test_what_waits_is_not_overwritten_by_what_is_read_next(rig: Rig) -> None:
    """More links wait than there are buffers to lend; each must keep its own bytes."""
    links = [rig.link() for _ in range(SPARES + 4)]
    rounds = 3
    for turn in range(rounds):
        for number, (link, _) in enumerate(links):
            link.send((rig.read(noise(100 * turn + number, 700_000)),), 1.0)
    for number, (link, far) in enumerate(links):
        expected = b"".join(noise(100 * turn + number, 700_000) for turn in range(rounds))
        assert hashlib.sha256(received(far, len(expected), link)).digest() == hashlib.sha256(expected).digest()
    # and all buffers are back: as many can be lent again
    lent = [rig.buffers.lend() for _ in range(SPARES + 1)]
    assert [buffer is None for buffer in lent] == [False] * SPARES + [True]
    assert len({id(buffer.obj) for buffer in lent if buffer is not None}) == SPARES


def test_several_pieces_of_one_read_survive_the_next_read(rig: Rig) -> None:
    link, far = rig.link()
    first = noise(1, 900_000)
    view = rig.read(first)
    pieces: list[Buffer] = [view[:200_000], b"between", view[200_000:800_000], view[800_000:]]
    link.send(pieces, 1.0)
    rig.read(bytes(900_000))
    expected = first[:200_000] + b"between" + first[200_000:]
    assert received(far, len(expected), link) == expected


def test_many_small_pieces_are_more_than_one_system_call_takes(rig: Rig) -> None:
    link, far = rig.link()
    pieces = [bytes([number % 256]) for number in range(3000)]
    link.send(pieces, 1.0)
    assert received(far, 3000, link) == b"".join(pieces)


def test_a_link_that_moves_is_not_stalled(rig: Rig) -> None:
    link, far = rig.link()
    link.send((bytes(5_000_000),), 5.0)
    assert link.stalled_since == 5.0
    now, waiting = 6.0, 0
    while waiting != link.pending_bytes:  # until the kernel takes no more
        now, waiting = now + 1, link.pending_bytes
        link.flush(now)
    assert link.stalled_since < now
    while waiting == link.pending_bytes:
        far.recv(65536)
        link.flush(1000.0)
    assert link.stalled_since == 1000.0


def test_a_reset_connection_is_an_error_and_what_waits_can_be_forgotten(rig: Rig) -> None:
    link, far = rig.link()
    link.send((rig.read(bytes(1_000_000)),), 1.0)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on when the RST arrives
        until_it_fails(lambda: link.flush(1.0))
    link.discard()
    assert link.pending_bytes == 0
    assert sum(rig.buffers.lend() is not None for _ in range(SPARES + 1)) == SPARES


def test_closing_with_reset_tells_the_other_side(rig: Rig) -> None:
    link, far = rig.link()
    link.send((bytes(1_000_000),), 1.0)
    link.close(reset=True)
    with pytest.raises(ConnectionResetError):
        until_it_fails(lambda: far.recv(65536))


def test_closing_without_reset_is_an_end_of_file(rig: Rig) -> None:
    link, far = rig.link()
    link.send((b"bye",), 1.0)
    link.close(reset=False)
    assert far.recv(10) == b"bye"
    assert far.recv(10) == b""


def test_closing_what_is_already_gone_is_fine(rig: Rig) -> None:
    link, far = rig.link()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    with suppress(OSError):
        for _ in range(3):
            link.send((b"x",), 1.0)
    link.close(reset=True)


def test_callbacks_come_only_for_what_is_asked(rig: Rig) -> None:
    calls: list[str] = []
    link, far = rig.link(lambda: calls.append("read"), lambda: calls.append("write"))
    far.send(b"x")
    rig.turn()
    assert calls == []
    link.watch(reading=True)
    rig.until(lambda: bool(calls))
    assert set(calls) == {"read"}
    link.watch(reading=False)
    calls.clear()
    link.send((bytes(2_000_000),), 1.0)
    link.watch(reading=False)
    rig.turn()
    assert calls == []  # the kernel takes no more
    far.settimeout(0.001)
    while not calls:
        with suppress(TimeoutError):
            far.recv(1_000_000)
        rig.turn()
    assert set(calls) == {"write"}


def test_a_descriptor_that_is_closed_and_used_again_in_one_turn_is_not_mistaken(rig: Rig) -> None:
    """Two are ready; the callback of the first closes the second and takes its number for a new connection."""
    calls: list[str] = []
    links: list[Link] = []

    def first_come() -> None:
        if len(links) == 2:
            victim = links[1] if calls == [] else links[0]
            calls.append("first")
            victim.close(reset=False)
            fresh, _ = rig.link(lambda: calls.append("wrong"))
            fresh.watch(reading=True)
            links.append(fresh)

    for _ in range(2):
        link, far = rig.link(first_come)
        link.watch(reading=True)
        far.send(b"x")
        links.append(link)
    rig.until(lambda: bool(calls))
    rig.turn()
    assert calls == ["first"]


def test_a_bug_in_one_callback_leaves_the_others_their_turn(rig: Rig) -> None:
    bugs: list[object] = []
    calls: list[str] = []
    rig.loop.set_exception_handler(lambda _, context: bugs.append(context["exception"]))

    def buggy() -> None:
        raise ValueError("bug")

    for callback in (buggy, lambda: calls.append("sound")):
        link, far = rig.link(callback)
        link.watch(reading=True)
        far.send(b"x")
    rig.until(lambda: bool(bugs) and bool(calls))
    assert isinstance(bugs[0], ValueError)


def test_the_options_are_set(rig: Rig) -> None:
    link, _ = rig.link()
    send_at_once(link.sock)
    keep_alive(link.sock)
    acknowledge_at_once(link.sock)
    assert link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
