"""One non-blocking TCP connection: what is read goes up at once, what cannot be sent waits in one bounded place.

The fast shape, measured: `recv_into` one buffer shared by all connections, hand the view on, `send` the same
view. Only when the kernel takes less than all is the rest copied, and then the sender is not read any more.
"""

import socket
from collections import deque
from collections.abc import Sequence

Buffer = bytes | memoryview
_IOV_MAX = 512  # the kernel takes 1024 pieces at most; far below it


class Link:
    """A socket that is driven by readiness callbacks. `on_writable` is the owner's; it calls `flush`."""

    __slots__ = ("_pending", "fd", "pending_bytes", "reading", "sock", "stalled_since", "writing")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.reading = False
        self.writing = False
        self._pending: deque[Buffer] = deque()
        self.pending_bytes = 0
        self.stalled_since = 0.0

    def send(self, pieces: Sequence[Buffer], now: float) -> bool:
        """Send or keep `pieces`; True when all of it went out. OSError when the connection is gone."""
        if self._pending:
            self._keep(pieces, 0)
            return False
        try:
            sent = self.sock.send(pieces[0]) if len(pieces) == 1 else self.sock.sendmsg(pieces[:_IOV_MAX])
        except BlockingIOError:
            sent = 0
        if sent == sum(map(len, pieces)):
            return True
        self.stalled_since = now
        self._keep(pieces, sent)
        return False

    def _keep(self, pieces: Sequence[Buffer], skip: int) -> None:
        for piece in pieces:
            if skip >= len(piece):
                skip -= len(piece)
                continue
            rest = bytes(piece[skip:])  # the view is only valid now
            skip = 0
            self._pending.append(rest)
            self.pending_bytes += len(rest)

    def flush(self, now: float) -> bool:
        """Send what waits; True when nothing waits any more. OSError when the connection is gone."""
        while self._pending:
            piece = self._pending[0]
            try:
                sent = self.sock.send(piece)
            except BlockingIOError:
                return False
            if sent:
                self.stalled_since = now
            self.pending_bytes -= sent
            if sent < len(piece):
                self._pending[0] = memoryview(piece)[sent:]
                return False
            self._pending.popleft()
        return True

    def discard(self) -> None:
        """Forget what waits: the connection took an error, and nobody will ever take it."""
        self._pending.clear()
        self.pending_bytes = 0

    def reset(self) -> None:
        """Make the coming close throw away what was not taken, and tell the other side so (RST)."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        except OSError:
            return  # already gone: there is nobody left to tell


def send_at_once(sock: socket.socket) -> None:
    """Small messages do not wait for the ACK of earlier ones. Accepted sockets inherit it from their listener."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def keep_alive(sock: socket.socket) -> None:
    """A party that vanished without a word is noticed within two minutes. Inherited from a listener as well."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def acknowledge_at_once(sock: socket.socket) -> None:
    """Do not let the kernel delay the next ACK (TCP_QUICKACK); it forgets, so this is said again and again.

    DICOM toolkits that leave Nagle's algorithm on wait for that ACK with every small message: about 40 ms each.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
