"""The receive buffer that all connections share, and a few spares for those who wait with one.

Receive, judge and send happen in one step, so one buffer serves everybody. When the kernel does not take all
of a large read, the rest stays where it is and the next reader gets another buffer, as long as there is one;
copying half a megabyte each time would cost more than inspecting it.
"""

SIZE = 1024 * 1024
"""Bytes for one read. Measured from 128 KiB to 4 MiB: fewer trips below, cold caches above."""
CARRY = 64
"""Room in front for the part of a header that came with the read before."""
SPARES = 8
"""Buffers that may be lent at a time; after that, what waits is copied."""


class Buffers:
    """`current` is where the next read goes. Used on the event loop's thread only."""

    def __init__(self) -> None:
        self.current = _new()
        self._free: list[memoryview] = []
        self._lent = 0

    def lend(self) -> memoryview | None:
        """Let the caller keep what is in `current`, which becomes another buffer; None when all are lent."""
        if self._lent >= SPARES:
            return None
        self._lent += 1
        lent, self.current = self.current, self._free.pop() if self._free else _new()
        return lent

    def give_back(self, lent: memoryview) -> None:
        """The caller needs it no more."""
        self._lent -= 1
        self._free.append(lent)


def _new() -> memoryview:
    return memoryview(bytearray(SIZE + CARRY))
