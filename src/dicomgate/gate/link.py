"""One non-blocking TCP connection: what is read goes up at once, what cannot be sent waits in one bounded place.

The fast shape, measured: `recv_into` one buffer shared by all connections, hand the view on, `send` the same
view. Only when the kernel takes less than all is the rest copied, and then the sender is not read any more.
"""

import socket
import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from dicomgate.gate.buffers import Buffers
from dicomgate.gate.poller import Callback, Poller

Buffer = bytes | memoryview
_WORTH_A_BUFFER = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds
_IOV_MAX = 512  # the kernel takes 1024 pieces at most; far below it


class Link:
    """A socket that is driven by readiness: its owner's callbacks read it, and `flush` it."""

    __slots__ = (
        "_buffers",
        "_lent",
        "_on_readable",
        "_on_writable",
        "_pending",
        "_poller",
        "_reading",
        "_writing",
        "pending_bytes",
        "sock",
        "stalled_since",
    )

    def __init__(
        self, sock: socket.socket, poller: Poller, buffers: Buffers, on_readable: Callback, on_writable: Callback
    ) -> None:
        self.sock = sock
        self._buffers = buffers
        self._lent: list[memoryview] = []
        self._poller = poller
        self._on_readable = on_readable
        self._on_writable = on_writable
        self._reading = False
        self._writing = False
        self._pending: deque[Buffer] = deque()
        self.pending_bytes = 0
        self.stalled_since = 0.0

    def receive(self, into: memoryview) -> int:
        """What has come, into `into`; 0 at the end of the stream. BlockingIOError when nothing has come."""
        return self.sock.recv_into(into)

    def watch(self, reading: bool) -> None:
        """Ask to be called when bytes come, if `reading`; and when the kernel takes more, while some wait."""
        writing = self._wants_writable
        if reading is self._reading and writing is self._writing:
            return
        self._reading, self._writing = reading, writing
        self._poller.watch(
            self.sock.fileno(), self._on_readable if reading else None, self._on_writable if writing else None
        )

    @property
    def _wants_writable(self) -> bool:
        return self.pending_bytes > 0

    def close(self, reset: bool) -> None:
        """Close; with `reset` what was not taken is thrown away, and the other side is told so (RST)."""
        self._poller.forget(self.sock.fileno())
        self.discard()
        if reset:
            # An error here means that it is already gone, and nobody is left to tell.
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()

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
        """A view into the shared buffer is only valid now: keep the whole buffer, or a copy of small pieces."""
        large = any(isinstance(piece, memoryview) and len(piece) >= _WORTH_A_BUFFER for piece in pieces)
        lent = self._buffers.lend() if large else None
        if lent is not None:
            self._lent.append(lent)
        for piece in pieces:
            if skip >= len(piece):
                skip -= len(piece)
                continue
            rest = piece[skip:]
            skip = 0
            if lent is None and isinstance(rest, memoryview):
                rest = bytes(rest)
            self._pending.append(rest)
            self.pending_bytes += len(rest)

    def flush(self, now: float) -> bool:
        """Send what waits; True when nothing waits any more. OSError when the connection is gone."""
        while self._pending:
            piece = self._pending[0]
            sent = self._write(piece)
            if sent:
                self.stalled_since = now
            self.pending_bytes -= sent
            if sent < len(piece):
                self._pending[0] = memoryview(piece)[sent:]
                return False
            self._pending.popleft()
        self.discard()
        return True

    def _write(self, piece: Buffer) -> int:
        """How much of it the connection takes now."""
        try:
            return self.sock.send(piece)
        except BlockingIOError:
            return 0

    def discard(self) -> None:
        """Forget what waits: all of it went out, or nobody will ever take it."""
        self._pending.clear()
        self.pending_bytes = 0
        while self._lent:
            self._buffers.give_back(self._lent.pop())


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
