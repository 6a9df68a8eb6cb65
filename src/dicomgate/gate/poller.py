"""Readiness of many sockets for one event loop: an epoll of our own inside the loop's.

asyncio's `add_reader` makes a handle, a selector key and a turn in its queue for every event. The gate needs
none of that: what is ready is called at once. Measured, this takes about a tenth off an association.
"""

import asyncio
import select
from collections.abc import Callable

Callback = Callable[[], None]
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_AT_ONCE = 256
_ROUNDS = 8
"""How often it is asked again, as long as something is ready, before timers and signals of the loop get their turn."""


class Poller:
    """Calls back when a file descriptor is readable or writable. Used on the loop's own thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Callback | None, Callback | None]] = {}
        self._soon: set[int] = set()
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def watch(self, fd: int, on_readable: Callback | None, on_writable: Callback | None) -> None:
        """Call these from now on, in place of what was asked before; both None forgets `fd`.

        A descriptor with nothing to wait for is not kept registered: a hang-up,
        which epoll reports unasked, would come again and again.
        """
        mask = (_IN if on_readable else 0) | (_OUT if on_writable else 0)
        known = fd in self._watched
        if not mask:
            if known:
                del self._watched[fd]
                self._epoll.unregister(fd)
            return
        self._watched[fd] = (on_readable, on_writable)
        if known:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)

    def soon(self, fd: int) -> None:
        """Call the reader of `fd`, if it has one then, as if bytes had come: some wait where epoll cannot see them."""
        if not self._soon:
            self._loop.call_soon(self._read_again)
        self._soon.add(fd)

    def _read_again(self) -> None:
        for fd in tuple(self._soon):
            if fd in self._soon:  # and not closed by the callback of another
                self._soon.remove(fd)
                asked = self._watched.get(fd)
                if asked is not None and asked[0] is not None:
                    self._call(asked[0])
        if self._soon:
            self._loop.call_soon(self._read_again)

    def forget(self, fd: int) -> None:
        """Watch `fd` no more, because it is about to be closed: the kernel then drops it from the epoll itself."""
        self._watched.pop(fd, None)
        self._soon.discard(fd)

    def close(self) -> None:
        """Watch nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _dispatch(self) -> None:
        for _ in range(_ROUNDS):
            events = self._epoll.poll(0, _AT_ONCE)
            if not events:
                return
            self._serve(events)

    def _serve(self, events: list[tuple[int, int]]) -> None:
        watched = self._watched
        ready = [(fd, mask, watched.get(fd)) for fd, mask in events]
        for fd, mask, asked in ready:
            if asked is None or watched.get(fd) is not asked:
                continue  # an earlier callback closed it or asked for something else; it will be reported again
            on_readable, on_writable = asked
            # An error or hang-up is found out by reading or writing, whichever is asked for.
            if on_writable is not None and (mask & ~_IN or on_readable is None):
                self._call(on_writable)
                if watched.get(fd) is not asked:
                    continue
            if on_readable is not None and mask & ~_OUT:
                self._call(on_readable)

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except Exception as bug:
            # One connection's bug must not keep the others from their turn.
            self._loop.call_exception_handler({"message": "bug in a readiness callback", "exception": bug})
