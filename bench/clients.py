"""Load program: many associations. In: `churn HOST PORT COUNT AT_ONCE` or `hold HOST PORT COUNT`; out: JSON.

churn  A-ASSOCIATE, C-ECHO, A-RELEASE, over and over, AT_ONCE at a time: {"seconds", "associations"}.
hold   opens COUNT associations and reports {"held"}; then, for each line on stdin, one C-ECHO on every one of
       them: {"answered"}. Ends when stdin closes.
Any refusal ends it with the reason on stderr: a measurement in which associations fail measures something else.
"""

import json
import select
import socket
import sys
import time
from enum import IntEnum

from bench.process import raise_descriptor_limit
from bench.wire import (
    ASSOCIATE_AC,
    C_ECHO_RQ,
    HEADER,
    IMPLICIT_VR_LITTLE_ENDIAN,
    P_DATA_TF,
    PDU_NAMES,
    RELEASE_REQUEST,
    RELEASE_RP,
    VERIFICATION,
    RefusedError,
    associate_rq,
    describe,
    receive_pdu,
)

REQUEST = associate_rq(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN)
STALLED = 30.0
"""Seconds without any event after which the load gives up."""


class Step(IntEnum):
    """What a client waits for next; the value of each but the first is the PDU type."""

    CONNECTED = 0
    ACCEPTED = ASSOCIATE_AC
    ECHOED = P_DATA_TF
    RELEASED = RELEASE_RP


class Client:
    """One association on a non-blocking socket. `releases`: C-ECHO and A-RELEASE follow, else it stays open."""

    def __init__(self, address: tuple[str, int], releases: bool) -> None:
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(address)
        self._releases = releases
        self._step = Step.CONNECTED
        self._received = b""

    def ready(self) -> bool:
        """Something happened on the socket; True when this client has reached its end."""
        if self._step is Step.CONNECTED:
            if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise RefusedError(f"connecting failed: errno {error}")
            self.sock.sendall(REQUEST)
            self._step = Step.ACCEPTED
            return False
        chunk = self.sock.recv(65536)
        self._received += chunk
        if chunk and len(self._received) < HEADER + int.from_bytes(self._received[2:HEADER].ljust(4, b"\xff")):
            return False
        if not chunk or self._received[0] != self._step:
            raise RefusedError(f"expected {PDU_NAMES[self._step]}, received {describe(self._received)}")
        self._received = b""
        match self._step:
            case Step.ACCEPTED if self._releases:
                self.sock.sendall(C_ECHO_RQ)
                self._step = Step.ECHOED
                return False
            case Step.ECHOED:
                self.sock.sendall(RELEASE_REQUEST)
                self._step = Step.RELEASED
                return False
            case _:
                return True


def run(address: tuple[str, int], count: int, at_once: int, releases: bool) -> list[socket.socket]:
    """Take `count` clients to their end, `at_once` at a time; the sockets that are still open (none if released)."""
    poll = select.epoll()
    clients: dict[int, Client] = {}
    finished: list[socket.socket] = []
    started = done = 0
    while done < count:
        while started < count and len(clients) < at_once:
            client = Client(address, releases)
            clients[client.sock.fileno()] = client
            poll.register(client.sock, select.EPOLLOUT)
            started += 1
        events = poll.poll(STALLED)
        if not events:
            raise RefusedError(f"nothing happened for {STALLED:.0f} s after {done} of {count} associations")
        for descriptor, event in events:
            client = clients[descriptor]
            try:
                over = client.ready()
            except (RefusedError, OSError) as failure:
                raise RefusedError(f"association {done + 1} of {count}: {failure}") from failure
            if event & select.EPOLLOUT:
                poll.modify(descriptor, select.EPOLLIN)
            if over:
                done += 1
                poll.unregister(descriptor)
                del clients[descriptor]
                if releases:
                    client.sock.close()
                else:
                    finished.append(client.sock)
    return finished


def hold(address: tuple[str, int], count: int) -> None:
    held = run(address, count, 16, releases=False)
    print(json.dumps({"held": len(held)}), flush=True)
    for _ in sys.stdin:
        for sock in held:
            sock.settimeout(STALLED)
            sock.sendall(C_ECHO_RQ)
            receive_pdu(sock, P_DATA_TF)
        print(json.dumps({"answered": len(held)}), flush=True)


def main() -> None:
    raise_descriptor_limit()
    mode, host, *numbers = sys.argv[1:]
    port, count, *rest = map(int, numbers)
    try:
        if mode == "churn":
            begin = time.monotonic()
            run((host, port), count, rest[0], releases=True)
            print(json.dumps({"seconds": time.monotonic() - begin, "associations": count}), flush=True)
        else:
            hold((host, port), count)
    except (RefusedError, OSError) as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
