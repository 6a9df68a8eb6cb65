"""Load program: one honest client. In: HOST PORT SECONDS; out: JSON with the latencies in seconds and the failures.

Every 50 ms an association with one C-ECHO is due. Latency runs from the moment it was due, so that a gate that
stands still for a second costs every probe that should have run in it, not just one.
"""

import json
import socket
import sys
import time

from bench.clients import REQUEST
from bench.wire import ASSOCIATE_AC, C_ECHO_RQ, P_DATA_TF, RELEASE_REQUEST, RELEASE_RP, RefusedError, receive_pdu

INTERVAL = 0.05
TIMEOUT = 10.0


def echo(address: tuple[str, int]) -> float:
    """One association with one C-ECHO; the time its response arrived."""
    with socket.create_connection(address, TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(REQUEST)
        receive_pdu(sock, ASSOCIATE_AC)
        sock.sendall(C_ECHO_RQ)
        receive_pdu(sock, P_DATA_TF)
        answered = time.monotonic()
        sock.sendall(RELEASE_REQUEST)
        receive_pdu(sock, RELEASE_RP)
    return answered


def main() -> None:
    address, seconds = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3])
    latencies: list[float] = []
    failures: list[str] = []
    begin = time.monotonic()
    for number in range(round(seconds / INTERVAL)):
        due = begin + number * INTERVAL
        if due > begin + seconds or time.monotonic() > begin + seconds + TIMEOUT:
            break
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            latencies.append(echo(address) - due)
        except (RefusedError, OSError) as failure:
            failures.append(str(failure))
    print(json.dumps({"latencies": latencies, "failures": failures}), flush=True)


if __name__ == "__main__":
    main()
