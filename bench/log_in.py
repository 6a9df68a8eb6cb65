"""Load program: users who log in. In: HOST PORT RATE SECONDS FILE; out: JSON {"let_in", "turned_away", "latencies"}.

FILE is a JSON list of [calling AE title, identity type, primary field, secondary field], the fields in hexadecimal; the
users take turns. RATE logins are due each second, whatever becomes of them; each that is let in is released at once.
"""

import json
import select
import socket
import sys
import time
from pathlib import Path

from bench.process import raise_descriptor_limit
from bench.wire import ASSOCIATE_AC, HEADER, RELEASE_REQUEST, login_rq

PATIENCE = 20.0
"""Seconds for the last answers."""


def main() -> None:
    raise_descriptor_limit()
    address, rate, seconds = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3]), float(sys.argv[4])
    users = [
        login_rq(calling, kind, bytes.fromhex(primary), bytes.fromhex(secondary))
        for calling, kind, primary, secondary in json.loads(Path(sys.argv[5]).read_text())
    ]
    print(json.dumps({"ready": len(users)}), flush=True)
    sys.stdin.readline()
    poll = select.poll()
    waiting: dict[int, tuple[socket.socket, float]] = {}
    latencies: list[float] = []
    count, sent, turned_away = round(rate * seconds), 0, 0
    begin = time.monotonic()
    while (sent < count or waiting) and time.monotonic() < begin + seconds + PATIENCE:
        due = begin + sent / rate
        if sent < count and time.monotonic() >= due:
            sock = socket.create_connection(address, 10)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(users[sent % len(users)])
            poll.register(sock, select.POLLIN)
            waiting[sock.fileno()] = (sock, due)
            sent += 1
            continue
        pause = max(0.0, due - time.monotonic()) if sent < count else 0.1
        for descriptor, _ in poll.poll(pause * 1000):
            sock, due = waiting.pop(descriptor)
            poll.unregister(descriptor)
            answer = sock.recv(65536)
            if answer[:1] == bytes((ASSOCIATE_AC,)) and len(answer) > HEADER:
                latencies.append(time.monotonic() - due)
                sock.sendall(RELEASE_REQUEST)
            else:
                turned_away += 1
            sock.close()
    turned_away += len(waiting)
    print(json.dumps({"let_in": len(latencies), "turned_away": turned_away, "latencies": latencies}), flush=True)


if __name__ == "__main__":
    main()
