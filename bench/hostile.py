"""Load program: clients that connect and never ask. In: HOST PORT COUNT; out: JSON; ends when stdin closes.

COUNT clients from 127.0.0.2 to 127.0.0.9: half say nothing at all, half send a valid A-ASSOCIATE-RQ one byte a
second and never reach its end. Whoever is thrown out comes back after `PAUSE` seconds. First line out: {"connected"}
once every client has tried; last line: {"held"} connections open at the same time on average, {"thrown_out"} how often.
"""

import contextlib
import heapq
import json
import select
import socket
import sys
import time

from bench.clients import REQUEST
from bench.process import raise_descriptor_limit

SOURCES = tuple(f"127.0.0.{number}" for number in range(2, 10))
PAUSE = 5.0
DRIBBLE = 1.0
ARRIVAL = 0.0005
"""Seconds between the first arrivals of two clients."""


class Crowd:
    """All clients, driven by one clock: what is due next stands in a heap as (time, client number)."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self._address = address
        self._poll = select.epoll()
        self._poll.register(sys.stdin, select.EPOLLIN)
        begin = time.monotonic()
        self._due = [(begin + number * ARRIVAL, number) for number in range(count)]
        self._sockets: dict[int, tuple[int, socket.socket]] = {}
        self._descriptor: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self._tried = 0
        self._count = count
        self.thrown_out = 0
        self._held_samples: list[int] = []

    def run(self) -> None:
        """Until stdin closes."""
        next_sample = time.monotonic()
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._act(heapq.heappop(self._due)[1], now)
            if now >= next_sample:
                next_sample = now + 0.1
                if self._tried >= self._count:
                    self._held_samples.append(len(self._sockets))
            pause = min(next_sample, self._due[0][0] if self._due else next_sample) - time.monotonic()
            for descriptor, _ in self._poll.poll(max(0.0, pause)):
                if descriptor == sys.stdin.fileno():
                    return
                self._heard(descriptor)

    @property
    def held(self) -> float:
        """Connections open at the same time, on average since every client has tried."""
        return sum(self._held_samples) / max(1, len(self._held_samples))

    def _act(self, number: int, now: float) -> None:
        if number not in self._descriptor:
            self._connect(number)
        elif self._sent[number] < len(REQUEST) - 1:
            _, sock = self._sockets[self._descriptor[number]]
            with contextlib.suppress(OSError):  # not yet connected, or closing: the poll will tell
                self._sent[number] += sock.send(REQUEST[self._sent[number] : self._sent[number] + 1])
        if number % 2 and number in self._descriptor:
            heapq.heappush(self._due, (now + DRIBBLE, number))

    def _connect(self, number: int) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((SOURCES[number % len(SOURCES)], 0))
        sock.connect_ex(self._address)
        self._sockets[sock.fileno()] = (number, sock)
        self._descriptor[number] = sock.fileno()
        self._sent[number] = 0
        self._poll.register(sock, select.EPOLLIN)
        self._tried += 1
        if self._tried == self._count:
            print(json.dumps({"connected": len(self._sockets)}), flush=True)

    def _heard(self, descriptor: int) -> None:
        number, sock = self._sockets[descriptor]
        try:
            if sock.recv(4096):
                return  # an A-ABORT on the way out; the close follows
        except BlockingIOError:
            return
        except OSError:
            pass  # reset: closed all the same
        self._poll.unregister(descriptor)
        sock.close()
        del self._sockets[descriptor], self._descriptor[number]
        self.thrown_out += 1
        self._due = [entry for entry in self._due if entry[1] != number] if number % 2 else self._due
        heapq.heapify(self._due)
        heapq.heappush(self._due, (time.monotonic() + PAUSE, number))


def main() -> None:
    raise_descriptor_limit()
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    crowd = Crowd((host, port), count)
    crowd.run()
    print(json.dumps({"held": crowd.held, "thrown_out": crowd.thrown_out}), flush=True)


if __name__ == "__main__":
    main()
