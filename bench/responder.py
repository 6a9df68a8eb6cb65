"""Load program: the smallest archive that answers A-ASSOCIATE, C-ECHO and A-RELEASE. Out: JSON with its port."""

import json
import select
import socket

from bench.process import LOOPBACK, raise_descriptor_limit
from bench.wire import (
    ASSOCIATE_RQ,
    C_ECHO_RSP,
    HEADER,
    IMPLICIT_VR_LITTLE_ENDIAN,
    P_DATA_TF,
    RELEASE_REPLY,
    RELEASE_RQ,
    associate_ac,
)

ANSWERS = {
    ASSOCIATE_RQ: associate_ac(IMPLICIT_VR_LITTLE_ENDIAN),
    P_DATA_TF: C_ECHO_RSP,
    RELEASE_RQ: RELEASE_REPLY,
}


def answers(received: bytearray) -> bytes:
    """Take every whole PDU off the front of `received`; what to send back for them."""
    reply = b""
    while len(received) >= HEADER:
        end = HEADER + int.from_bytes(received[2:HEADER])
        if len(received) < end:
            break
        reply += ANSWERS.get(received[0], b"")
        del received[:end]
    return reply


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
