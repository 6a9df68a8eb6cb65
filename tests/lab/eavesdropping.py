"""A plain TCP listener that only counts. In: nothing; out: what came, to prove that nothing did."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab.process import LOOPBACK, Address

READ_BYTES = 65536


class EavesdroppingListener:
    """Accepts everyone, answers nobody, counts. `received` holds the bytes of each connection in order of arrival."""

    def __init__(self, server: socket.socket) -> None:
        self.address = Address(*server.getsockname()[:2])
        self.received: list[bytearray] = []
        self._server = server
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._listen, name="eavesdropping")
        self._thread.start()

    @property
    def connections(self) -> int:
        return len(self.received)

    @property
    def bytes(self) -> int:
        return sum(map(len, self.received))

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._wake.close()
        self._thread.join()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector, self._server, self._woken:
            selector.register(self._server, selectors.EVENT_READ, None)
            selector.register(self._woken, selectors.EVENT_READ, None)
            open_sockets: list[socket.socket] = []
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        for opened in open_sockets:
                            opened.close()
                        return
                    if key.fileobj is self._server:
                        opened, _ = self._server.accept()
                        open_sockets.append(opened)
                        self.received.append(bytearray())
                        selector.register(opened, selectors.EVENT_READ, self.received[-1])
                    else:
                        self._read(key, selector)

    @staticmethod
    def _read(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
        came = b""
        with suppress(ConnectionError):
            came = key.fileobj.recv(READ_BYTES)  # type: ignore[union-attr]
        if came:
            key.data.extend(came)
        else:
            selector.unregister(key.fileobj)


@contextmanager
def eavesdropping_listener(address: Address | None = None) -> Iterator[EavesdroppingListener]:
    """Listen on loopback until the block ends."""
    where = address or Address(LOOPBACK, 0)
    listener = EavesdroppingListener(socket.create_server((where.host, where.port)))
    try:
        yield listener
    finally:
        listener.close()
