"""While thousands hold half-open connections, also from the caller's own address, an allowed C-ECHO still passes."""

from __future__ import annotations

import random
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dicomgate.wire.codes import PduType
from lab.process import Address, wait_until
from system.bystanders import call, echoes, release
from system.house import House, house
from system.raw_archive import SECONDS, associate_rq

pytestmark = pytest.mark.system
CROWD = 2000
SOURCES = tuple(f"127.0.0.{number}" for number in range(1, 10))
"""The innocent's own address, and eight others."""
PAUSE = 1.0
"""Seconds until one who was thrown out comes again."""


class Crowd:
    """So many connections at any time: some say nothing, some dribble; who is thrown out comes again."""

    def __init__(self, to: Address) -> None:
        self.arrivals = 0
        self._to = to
        self._random = random.Random(7)
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd")
        self._thread.start()

    def leave(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        outside: deque[float] = deque()
        with self._selector:
            for _ in range(CROWD):
                self._come()
            while not self._stop.is_set():
                for key, _ in self._selector.select(0.01):
                    with suppress(BlockingIOError, ConnectionError):
                        if key.fileobj.recv(4096):  # type: ignore[union-attr]
                            continue
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
                    outside.append(time.monotonic() + PAUSE)
                while outside and outside[0] <= time.monotonic():
                    outside.popleft()
                    self._come()
                self._dribble()
            for key in list(self._selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]

    def _come(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((SOURCES[self.arrivals % len(SOURCES)], 0))
        sock.connect_ex((self._to.host, self._to.port))
        self._selector.register(sock, selectors.EVENT_READ, associate_rq())
        self.arrivals += 1

    def _dribble(self) -> None:
        """A few of them send another byte or ten."""
        keys = list(self._selector.get_map().values())
        for key in self._random.sample(keys, min(20, len(keys))):
            size = self._random.randrange(1, 10)
            with suppress(OSError):
                key.fileobj.send(key.data[:size])  # type: ignore[union-attr]
                self._selector.modify(key.fileobj, selectors.EVENT_READ, key.data[size:] or b"\0")


@contextmanager
def crowd(door: House) -> Iterator[Crowd]:
    there = Crowd(door.gate.address("outside"))
    try:
        wait_until(lambda: there.arrivals > CROWD * 1.5, SECONDS * 2, "the crowd")
        yield there
    finally:
        there.leave()


@pytest.mark.parametrize("limits", ["", "half_open_per_address = 100000"], ids=["by address", "all together"])
def test_an_allowed_echo_passes_all_the_same(tmp_path: Path, limits: str) -> None:
    with house(tmp_path, limits=limits) as door, crowd(door) as there:
        arrivals = there.arrivals
        for number in range(20):
            source = SOURCES[number % 3]
            wire = call(door.gate.address("outside"), source=source)
            assert echoes(wire)
            release(wire)
        door.innocent.is_undisturbed()
        assert there.arrivals > arrivals, "the crowd had given up"
    refused = door.trail.records(event="connection_refused")
    assert refused, "nobody had to give way"
    assert len(refused) < there.arrivals / 2, "each of them was recorded"


def test_a_request_that_is_there_is_read_before_its_connection_gives_way(tmp_path: Path) -> None:
    """One who asked at once, then fifty silent ones from the same address, before the gate came to look."""
    with house(tmp_path) as door:
        door.gate.process.send_signal(signal.SIGSTOP)
        wires = [door.dial("127.0.0.9")]
        wires[0].say(associate_rq(called="HONEST"))
        wires += [door.dial("127.0.0.9") for _ in range(50)]
        door.gate.process.send_signal(signal.SIGCONT)
        wires[0].expect(PduType.ASSOCIATE_AC)
        for wire in wires:
            wire.close()
