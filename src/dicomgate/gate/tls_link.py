"""An encrypted connection with the manners of `Link`: the same calls, the same errors, OpenSSL in between.

OpenSSL holds what epoll cannot see: the rest of a record that did not fit into the buffer, and the end of the
stream once it was read. Whoever has some of that is read again without waiting for the socket.
"""

import errno
import ssl
from collections.abc import Sequence
from contextlib import suppress

from dicomgate.gate.buffers import Buffers
from dicomgate.gate.link import Buffer, Link
from dicomgate.gate.poller import Callback, Poller
from dicomgate.gate.tls import reason

_CHUNK = 128 * 1024
"""Bytes for one SSL_write. It counts as taken only as a whole, and has to be offered again unchanged until it is."""
_ONE_RECORD = 16 * 1024
"""What goes out together and is shorter than this travels in one record."""


class TlsLink(Link):
    """A `Link` over an SSLSocket whose handshake is done."""

    __slots__ = ("_ended", "_secured", "_wants_write")

    def __init__(
        self, sock: ssl.SSLSocket, poller: Poller, buffers: Buffers, on_readable: Callback, on_writable: Callback
    ) -> None:
        super().__init__(sock, poller, buffers, on_readable, on_writable)
        self._secured = sock
        self._ended: OSError | bool = False
        self._wants_write = False

    def receive(self, into: memoryview) -> int:
        got = 0
        while not self._ended and got < len(into):
            try:
                count = self._secured.recv_into(into[got:])
            except ssl.SSLWantReadError:
                break
            except ssl.SSLWantWriteError:
                # A reply of OpenSSL's own (key update) does not fit into the send buffer; it goes first.
                self._wants_write = True
                self.watch(self._reading)
                break
            except OSError as error:
                self._ended = OSError(error.errno or errno.EIO, reason(error))
                break
            if not count:
                # close_notify, or the bare end of the stream: DICOM has a release of its own that tells them apart
                self._ended = True
            got += count
        if got:
            if self._waiting_inside():
                self._poller.soon(self.sock.fileno())
            return got
        if isinstance(self._ended, OSError):
            raise self._ended
        if self._ended:
            return 0
        raise BlockingIOError

    def _waiting_inside(self) -> bool:
        return bool(self._ended) or self._secured.pending() > 0

    def watch(self, reading: bool) -> None:
        resumed = reading and not self._reading
        super().watch(reading)
        if resumed and self._waiting_inside():
            self._poller.soon(self.sock.fileno())

    @property
    def _wants_writable(self) -> bool:
        return self._wants_write or self.pending_bytes > 0

    def send(self, pieces: Sequence[Buffer], now: float) -> bool:
        if self._pending:
            self._keep(pieces, 0)
            return False
        if len(pieces) > 1 and sum(map(len, pieces)) <= _ONE_RECORD:
            pieces = (b"".join(pieces),)
        for number, piece in enumerate(pieces):
            sent = self._write(piece)
            if sent < len(piece):
                self.stalled_since = now
                self._keep(pieces[number:], sent)
                return False
        return True

    def flush(self, now: float) -> bool:
        if self._wants_write:
            self._wants_write = False
            self._poller.soon(self.sock.fileno())
        return super().flush(now)

    def _write(self, piece: Buffer) -> int:
        """Chunks begin where the last one taken ended, so what is offered again is what was offered before."""
        view = memoryview(piece)
        sent = 0
        while sent < len(view):
            try:
                sent += self._secured.send(view[sent : sent + _CHUNK])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                break
        return sent

    def close(self, reset: bool) -> None:
        """As `Link.close`, with close_notify in front when it is an orderly end; the other's is not waited for."""
        if not reset and not self.pending_bytes and not isinstance(self._ended, OSError):
            # An error means that the other side is gone, or has its own close_notify still on the way.
            with suppress(OSError):
                self._secured.unwrap()
        super().close(reset)
