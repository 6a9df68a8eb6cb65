"""Load program: a minimal acceptor that counts. In: MAXIMUM_LENGTH BYTES [OBJECTS] as the sender has; out: JSON
with its port.

It serves one association after the other and knows the end of a data set by its length, so that it spends next
to nothing on each PDU and leaves the processor to what is measured.
"""

import json
import socket
import sys

from bench.process import LOOPBACK
from bench.wire import (
    ASSOCIATE_RQ,
    C_STORE_RSP,
    COMMAND,
    EXPLICIT_VR_LITTLE_ENDIAN,
    HEADER,
    LAST,
    P_DATA_TF,
    RELEASE_REPLY,
    RELEASE_RQ,
    RefusedError,
    associate_ac,
    fragment_size,
    receive_pdu,
)

PDV_HEADER = 6
BUFFER = 4 * 1024 * 1024


def serve(sock: socket.socket, maximum_length: int, size: int, objects: int = 1) -> None:
    """One association of C-STOREs of as many PDUs as the sender makes of `size`; RefusedError on anything else."""
    sock.settimeout(120)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    receive_pdu(sock, ASSOCIATE_RQ)
    sock.sendall(associate_ac(EXPLICIT_VR_LITTLE_ENDIAN, maximum_length))
    buffer = memoryview(bytearray(BUFFER))
    for _ in range(objects):
        _take(sock, maximum_length, size, buffer)
    receive_pdu(sock, RELEASE_RQ)
    sock.sendall(RELEASE_REPLY)
    sock.recv(1)


def _take(sock: socket.socket, maximum_length: int, size: int, buffer: memoryview) -> None:
    command = receive_pdu(sock, P_DATA_TF)
    if command[HEADER + 5] != COMMAND | LAST:
        raise RefusedError("expected one PDU with the whole command set first")
    fragment = fragment_size(maximum_length)
    expected = max(2, -(-size // fragment)) * (HEADER + PDV_HEADER + fragment)
    while expected:
        received = sock.recv_into(buffer, min(expected, len(buffer)))
        if not received:
            raise RefusedError(f"the data set ended {expected} bytes early")
        expected -= received
    sock.sendall(C_STORE_RSP)


def main() -> None:
    expected = [int(text) for text in sys.argv[1:4]]
    with socket.create_server((LOOPBACK, 0), backlog=64) as server:
        print(json.dumps({"port": server.getsockname()[1]}), flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    serve(connection, *expected)
                except (RefusedError, OSError) as failure:
                    # A relay that only looks whether we are there is no failure; a broken C-STORE fails at the sender.
                    print(f"sink: {failure}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
