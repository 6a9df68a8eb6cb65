"""A stand-in for `python -m dicomgate` that guards nothing: it passes every byte on and records nothing.

The demo must notice. Run as `careless_gate.py run|audit|explain … -c FILE`.
"""

import selectors
import socket
import sys
import tomllib
from pathlib import Path
from threading import Thread


def pump(left: socket.socket, right: socket.socket) -> None:
    """Carry bytes both ways until either side closes."""
    with left, right, selectors.DefaultSelector() as selector:
        selector.register(left, selectors.EVENT_READ, right)
        selector.register(right, selectors.EVENT_READ, left)
        while True:
            for key, _ in selector.select():
                try:
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    key.data.sendall(data)
                except OSError:
                    return


def serve(listening: socket.socket, archive: tuple[str, int]) -> None:
    while True:
        client, _ = listening.accept()
        Thread(target=pump, args=(client, socket.create_connection(archive)), daemon=True).start()


def run(configuration: dict) -> None:
    host, port = configuration["archive"][0]["address"].split(":")
    threads = []
    for listener in configuration["listener"]:
        listening = socket.create_server(("127.0.0.1", 0))
        threads.append(Thread(target=serve, args=(listening, (host, int(port))), daemon=True))
        threads[-1].start()
        print("ready", listener["name"], f"127.0.0.1:{listening.getsockname()[1]}", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__" and sys.argv[1] == "run":
    run(tomllib.loads(Path(sys.argv[sys.argv.index("-c") + 1]).read_text()))
