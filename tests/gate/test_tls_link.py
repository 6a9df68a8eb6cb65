"""An encrypted link: short writes and their repetition, what waits inside OpenSSL, and the ways it ends."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomgate.gate.buffers import SIZE, Buffers
from dicomgate.gate.link import Buffer
from dicomgate.gate.poller import Poller
from dicomgate.gate.settings import ServerTls
from dicomgate.gate.tls import server_context
from dicomgate.gate.tls_link import TlsLink
from lab.pki import SERVER, Authority, trusting


class Rig:
    """A link on a loop of its own, and the far end of it. `got` is what the link has read, None its end."""

    def __init__(self, directory: Path) -> None:
        ca = Authority(directory)
        gate = ca.issue("gate", names=["127.0.0.1"], usage=[SERVER])
        self.loop = asyncio.new_event_loop()
        self.bugs: list[object] = []
        self.loop.set_exception_handler(lambda _, context: self.bugs.append(context))
        self.poller = Poller(self.loop)
        self.buffers = Buffers()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        raw.connect(listener.getsockname())
        accepted, _ = listener.accept()
        listener.close()
        made: list[ssl.SSLSocket] = []
        shaking = threading.Thread(
            target=lambda: made.append(
                server_context(ServerTls(gate.certificate, gate.key)).wrap_socket(accepted, server_side=True)
            )
        )
        shaking.start()
        self.far = trusting(ca.certificate).wrap_socket(raw, server_hostname="127.0.0.1")
        shaking.join()
        self.far.settimeout(10)
        self.near = made[0]
        self.near.setblocking(False)
        self.got: list[bytes | None] = []
        self.trouble: list[str | None] = []
        self.room = SIZE
        self.link = TlsLink(self.near, self.poller, self.buffers, self.read, self.write)

    def read(self) -> None:
        """As a connection does it."""
        view = self.buffers.current[: self.room]
        try:
            count = self.link.receive(view)
        except BlockingIOError:
            return
        except OSError as error:
            self.trouble.append(error.strerror)
            self.link.watch(reading=False)
            return
        self.got.append(bytes(view[:count]) if count else None)
        if not count:
            self.link.watch(reading=False)

    def write(self) -> None:
        self.link.flush(2.0)
        self.link.watch(reading=False)

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def until(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not done():
            assert time.monotonic() < deadline
            self.turn()

    def has_read(self) -> bytes:
        return b"".join(part for part in self.got if part is not None)

    def view(self, data: bytes) -> memoryview:
        """As the bulk path has it: a view into the shared buffer, overwritten by the next read."""
        view = self.buffers.current
        view[: len(data)] = data
        return view[: len(data)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.poller.close()
    rig.loop.close()
    rig.near.close()
    rig.far.close()
    assert rig.bugs == []


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


class Reader(threading.Thread):
    """Reads so much at the far end."""

    def __init__(self, far: ssl.SSLSocket, size: int) -> None:
        super().__init__()
        self.far, self.size, self.got = far, size, bytearray()
        self.start()

    def run(self) -> None:
        while len(self.got) < self.size and (more := self.far.recv(65536)):
            self.got += more


@pytest.mark.parametrize("size", [1, 60_000, 131_072, 131_073, 500_000, 1024 * 1024])
def test_short_writes_are_repeated_and_keep_the_order(rig: Rig, size: int) -> None:
    sent = [noise(seed, size) for seed in range(4)]
    pieces: list[list[Buffer]] = [[rig.view(sent[0])], [sent[1], b"", b"-"], [b"small", sent[2]], [sent[3]]]
    total = sent[0] + sent[1] + b"-small" + sent[2] + sent[3] + b"end."
    went = [rig.link.send(each, 1.0) for each in pieces]
    rig.view(bytes(SIZE))  # what waits must not depend on the shared buffer
    rig.link.send((b"end", b"."), 1.0)
    assert size < 60_000 or not all(went)
    rig.link.watch(reading=False)
    reader = Reader(rig.far, len(total))
    rig.until(lambda: not reader.is_alive())
    reader.join()
    assert bytes(reader.got) == total
    assert rig.link.flush(2.0)
    assert rig.link.pending_bytes == 0


def test_what_goes_out_together_is_one_record(rig: Rig) -> None:
    assert rig.link.send((b"abc", memoryview(b"de"), b"", b"f"), 1.0)
    assert rig.far.recv(100) == b"abcdef"
    assert rig.link.send((), 1.0)


@pytest.mark.parametrize("room", [1, 1000, 16384, SIZE])
def test_what_waits_inside_is_read_without_the_socket(rig: Rig, room: int) -> None:
    """One record of 16 KiB, read in small pieces: the kernel has nothing more to report after the first."""
    rig.room = room
    data = noise(1, 16384 if room > 1 else 500)
    rig.link.watch(reading=True)
    rig.far.sendall(data)
    rig.until(lambda: len(rig.has_read()) == len(data))
    assert rig.has_read() == data


def test_who_is_read_again_gets_what_waited_inside(rig: Rig) -> None:
    rig.room = 100
    rig.far.sendall(noise(2, 1000))
    rig.link.watch(reading=True)
    rig.until(lambda: rig.got)
    rig.link.watch(reading=False)
    count = len(rig.got)
    for _ in range(5):
        rig.turn()
    assert len(rig.got) == count
    rig.link.watch(reading=True)
    rig.until(lambda: len(rig.has_read()) == 1000)
    assert rig.has_read() == noise(2, 1000)


@pytest.mark.parametrize("how", ["close_notify", "bare end"])
def test_the_end_behind_the_last_bytes_is_not_lost(rig: Rig, how: str) -> None:
    rig.far.sendall(b"last words")
    if how == "close_notify":
        rig.far.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            rig.far.unwrap()  # and the connection itself stays open: no readiness will tell
    else:
        rig.far.shutdown(socket.SHUT_WR)
    rig.link.watch(reading=True)
    rig.until(lambda: None in rig.got)
    assert rig.got == [b"last words", None]


def test_rubbish_instead_of_a_record(rig: Rig) -> None:
    rig.far.sendall(b"before")
    raw = socket.socket(fileno=rig.far.detach())
    raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
    rig.link.watch(reading=True)
    rig.until(lambda: rig.trouble)
    assert rig.got == [b"before"]
    assert rig.trouble == ["wrong version number"]
    rig.link.close(reset=False)
    raw.close()


def test_an_orderly_close_says_so(rig: Rig) -> None:
    rig.link.send((b"bye",), 1.0)
    rig.link.close(reset=False)
    rig.far.suppress_ragged_eofs = False
    assert rig.far.recv(10) == b"bye"
    assert rig.far.recv(10) == b""


def test_a_reset_does_not(rig: Rig) -> None:
    rig.link.close(reset=True)
    rig.far.suppress_ragged_eofs = False
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        rig.far.recv(10)


def test_a_full_send_buffer_does_not_hold_up_a_close(rig: Rig) -> None:
    rig.link.send((noise(3, 1024 * 1024),), 1.0)
    assert rig.link.pending_bytes
    rig.link.close(reset=False)
    assert rig.link.pending_bytes == 0
