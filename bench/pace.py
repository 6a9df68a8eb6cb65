"""Load program: a running transfer. In: HOST PORT SECONDS; out: JSON with the latency of each object in seconds.

One association carries an object of half a megabyte every 50 ms, as a scanner does. Latency runs from the moment an
object was due until its C-STORE-RSP has come, so that a gate that stands still delays every object of that time.
"""

import json
import socket
import sys
import time

from bench.wire import (
    ASSOCIATE_AC,
    C_STORE_RQ,
    CT_IMAGE_STORAGE,
    DATA_SET,
    IMPLICIT_VR_LITTLE_ENDIAN,
    LAST,
    P_DATA_TF,
    RELEASE_REQUEST,
    RELEASE_RP,
    associate_rq,
    fragment_size,
    p_data,
    receive_pdu,
)

INTERVAL = 0.05
OBJECT = 512 * 1024
MAXIMUM_LENGTH = 16384


def main() -> None:
    address, seconds = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3])
    fragment = bytes(fragment_size(MAXIMUM_LENGTH))
    count = OBJECT // len(fragment)
    message = C_STORE_RQ + p_data(DATA_SET, fragment) * (count - 1) + p_data(DATA_SET | LAST, fragment)
    latencies: list[float] = []
    with socket.create_connection(address, 10) as sock:
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(associate_rq(CT_IMAGE_STORAGE, IMPLICIT_VR_LITTLE_ENDIAN, MAXIMUM_LENGTH))
        receive_pdu(sock, ASSOCIATE_AC)
        begin = time.monotonic()
        for number in range(round(seconds / INTERVAL)):
            due = begin + number * INTERVAL
            time.sleep(max(0.0, due - time.monotonic()))
            sock.sendall(message)
            receive_pdu(sock, P_DATA_TF)
            latencies.append(time.monotonic() - due)
        sock.sendall(RELEASE_REQUEST)
        receive_pdu(sock, RELEASE_RP)
    print(json.dumps({"latencies": latencies}), flush=True)


if __name__ == "__main__":
    main()
