"""Load program: the smallest archive that answers associations, C-ECHO and C-STORE. Out: JSON with its port."""

import json
import select
import socket

from bench.process import LOOPBACK, raise_descriptor_limit
from bench.wire import (
    ASSOCIATE_RQ,
    C_ECHO_RSP,
    C_STORE_RSP,
    COMMAND,
    ECHO_FIELD,
    HEADER,
    IMPLICIT_VR_LITTLE_ENDIAN,
    LAST,
    P_DATA_TF,
    RELEASE_REPLY,
    RELEASE_RQ,
    associate_ac,
)

ANSWERS = {
    ASSOCIATE_RQ: associate_ac(IMPLICIT_VR_LITTLE_ENDIAN),
    RELEASE_RQ: RELEASE_REPLY,
}


def answers(received: bytearray) -> bytes:
    """Take every whole PDU off the front of `received`; what to send back for them."""
    reply = b""
    while len(received) >= HEADER:
        end = HEADER + int.from_bytes(received[2:HEADER])
        if len(received) < end:
            break
        reply += _operation(received, end) if received[0] == P_DATA_TF else ANSWERS.get(received[0], b"")
        del received[:end]
    return reply


def _operation(received: bytearray, end: int) -> bytes:
    """To a C-ECHO at once, to a C-STORE behind the last fragment of its object."""
    control = received[HEADER + 5]
    if control & COMMAND:
        return C_ECHO_RSP if received.find(ECHO_FIELD, 0, end) >= 0 else b""
    return C_STORE_RSP if control & LAST else b""


def main() -> None:
    raise_descriptor_limit()
    poll = select.epoll()
    connections: dict[int, tuple[socket.socket, bytearray]] = {}
    with socket.create_server((LOOPBACK, 0), backlog=4096) as server:
        server.setblocking(False)
        poll.register(server, select.EPOLLIN)
        print(json.dumps({"port": server.getsockname()[1]}), flush=True)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == server.fileno():
                    sock, _ = server.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections[sock.fileno()] = (sock, bytearray())
                    poll.register(sock, select.EPOLLIN)
                    continue
                sock, received = connections[descriptor]
                try:
                    chunk = sock.recv(65536)
                    received += chunk
                    if chunk and (reply := answers(received)):
                        sock.sendall(reply)
                except ConnectionError:
                    chunk = b""
                if not chunk:
                    poll.unregister(sock)
                    del connections[descriptor]
                    sock.close()


if __name__ == "__main__":
    main()
