"""A tunnel that ends on another machine, seen from the gate host: what the kernel tells, and whether anybody answers.

In: our end of the channel. Out: a Look. Nobody can be asked about security associations here. What can be seen: that
the interface which the tunnel feeds is up, that the kernel keeps marks, and that somebody at the other site answers.
"""

import errno
import select
import socket
from contextlib import suppress
from pathlib import Path

from dicomgate.channel.liveness import Look
from dicomgate.channel.model import Channel, ChannelEnd
from dicomgate.policy.model import Endpoint

_INTERFACES = Path("/sys/class/net")
_KEEPS_MARKS = Path("/proc/sys/net/ipv4/tcp_fwmark_accept")
_OPERATIONAL = ("up", "unknown")
"""Of /sys/class/net/NAME/operstate; tunnel devices say the latter."""


class Knocker:
    """Opens TCP connections to `place` one after another and counts the answers; waits for none of them.

    A refusal is an answer: it has come from there. `every`: seconds between two attempts, and for each of them.
    """

    def __init__(self, place: Endpoint, source: str | None, every: float) -> None:
        self._place = place
        self._source = source
        self._every = every
        self._asking: socket.socket | None = None
        self._began = float("-inf")
        self._answers = 0

    def look(self, now: float) -> Look:
        """What has come of it so far; the next attempt when it is due. `waiting`: an answer is always due."""
        if self._asking is not None and self._answered(self._asking, 0.0):
            self._answers += 1
            self.close()
        if now - self._began >= self._every:
            self.close()
            self._began = now
            self._asking = self._ask()
        return Look(None if self._answers else f"nobody has answered at {self._place} yet", self._answers, True)

    def once(self, seconds: float) -> bool:
        """Whether one attempt is answered within that time."""
        self._asking = self._ask()
        answered = self._asking is not None and self._answered(self._asking, seconds)
        self.close()
        return answered

    def close(self) -> None:
        """Give up the attempt that is under way."""
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def _ask(self) -> socket.socket | None:
        sock = socket.socket(socket.AF_INET6 if ":" in self._place.host else socket.AF_INET)
        sock.setblocking(False)
        try:
            if self._source is not None:
                sock.bind((self._source, 0))
            with suppress(BlockingIOError):
                sock.connect((self._place.host, self._place.port))
        except OSError:
            sock.close()  # no way there: no answer
            return None
        return sock

    @staticmethod
    def _answered(sock: socket.socket, seconds: float) -> bool:
        poll = select.poll()  # select() takes no descriptor beyond 1023, and a gate has many
        poll.register(sock, select.POLLOUT)
        if not poll.poll(seconds * 1000):
            return False
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED)


def knocker(channel: Channel) -> Knocker | None:
    """For a channel whose own end names somebody who answers; calls from the gate's own address."""
    own = channel.own
    if own is None or own.sign_of_life is None:
        return None
    gate = own.site.gate
    source = str(gate) if gate is not None and gate in own.networks else None
    return Knocker(own.sign_of_life, source, max(1.0, channel.dead_after / 3))


def host_problem(end: ChannelEnd) -> str | None:
    """What of this host stands in the way of a proof by interface or mark; None: nothing."""
    if end.mark is not None and _text(_KEEPS_MARKS) != "1":
        return "the kernel does not keep marks: set net.ipv4.tcp_fwmark_accept = 1"
    if end.interface is None:
        return None
    state = _text(_INTERFACES / end.interface / "operstate")
    if state is None:
        return f"there is no interface {end.interface}"
    return None if state in _OPERATIONAL else f"interface {end.interface} is {state}"


def counted(end: ChannelEnd) -> tuple[int, int]:
    """Bytes in and out of the interface that the tunnel feeds; 0 without one."""
    folder = _INTERFACES / (end.interface or "") / "statistics"
    received, sent = _text(folder / "rx_bytes"), _text(folder / "tx_bytes")
    return int(received or 0), int(sent or 0)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return None
