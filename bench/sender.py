"""Load program: one association with one huge C-STORE, or with many of one size, one after the other.

In: HOST PORT MAXIMUM_LENGTH BYTES [tls | OBJECTS]; out: JSON seconds, bytes.
"""

import json
import socket
import sys
import time

from bench.tls import client_context
from bench.wire import (
    ASSOCIATE_AC,
    C_STORE_RQ,
    CT_IMAGE_STORAGE,
    DATA_SET,
    EXPLICIT_VR_LITTLE_ENDIAN,
    LAST,
    P_DATA_TF,
    RELEASE_REQUEST,
    RELEASE_RP,
    associate_rq,
    data_set_opening,
    fragment_size,
    p_data,
    receive_pdu,
)

BLOCK = 4 * 1024 * 1024
"""Bytes handed to the kernel at once: large, so that the sender is never what limits the relay."""


def store(
    host: str, port: int, maximum_length: int, size: int, objects: int = 1, encrypted: bool = False
) -> dict[str, float]:
    """Send data sets of about `size` bytes each, one PDV per P-DATA-TF; wall seconds and bytes of those PDUs."""
    fragment = bytes(range(256)) * (maximum_length // 256 + 1)
    fragment = fragment[: fragment_size(maximum_length)]
    count = max(2, -(-size // len(fragment)))
    opening = data_set_opening((count * len(fragment)) & 0xFFFFFFFE)
    first = p_data(DATA_SET, opening + fragment[len(opening) :])
    middle = p_data(DATA_SET, fragment)
    last = p_data(DATA_SET | LAST, fragment)
    block = memoryview(middle * max(1, BLOCK // len(middle)))
    with _connected(host, port, encrypted) as sock:
        sock.settimeout(120)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(associate_rq(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, maximum_length))
        receive_pdu(sock, ASSOCIATE_AC)
        begin = time.monotonic()
        for _ in range(objects):
            sock.sendall(C_STORE_RQ + first)
            remaining = (count - 2) * len(middle)
            while remaining:
                sock.sendall(block[:remaining])
                remaining -= min(remaining, len(block))
            sock.sendall(last)
            receive_pdu(sock, P_DATA_TF)
        seconds = time.monotonic() - begin
        sock.sendall(RELEASE_REQUEST)
        receive_pdu(sock, RELEASE_RP)
    return {"seconds": seconds, "bytes": objects * count * len(middle)}


def _connected(host: str, port: int, encrypted: bool) -> socket.socket:
    sock = socket.create_connection((host, port), 10)
    return client_context().wrap_socket(sock) if encrypted else sock


if __name__ == "__main__":
    more = sys.argv[5] if len(sys.argv) > 5 else "1"
    figures = [int(text) for text in sys.argv[2:5]]
    print(json.dumps(store(sys.argv[1], *figures, 1 if more == "tls" else int(more), encrypted=more == "tls")))
