"""A thread that looks at every channel about once a second, so that the gate's event loop never has to.

In: the channels. Out: changes of their state as they happen, and at any moment whether one is up. A channel is down
within `dead_after` and `SLACK` seconds of its last sign of life, and up again by itself when there is one.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from dicomgate.channel import elsewhere, ipsec, vici, wg, words
from dicomgate.channel.liveness import Liveness, Look, State
from dicomgate.channel.model import Channel, ChannelKind, Termination
from dicomgate.channel.problem import ChannelError
from dicomgate.channel.proof import arrival, carrier, leads_through

EVERY = 1.0
"""Seconds between two looks."""
UNSEEN = 5.0
"""Seconds without a successful look after which a channel counts as down."""
AGAIN = 5.0
"""Seconds between two attempts to bring up an IPsec tunnel that is down."""
SLACK = 5.0
"""What a change may take beyond `dead_after`, at most: the interval, and programs that take their time to answer."""


@dataclass(frozen=True, slots=True)
class Change:
    """A channel went up or down, and why."""

    name: str
    up: bool
    why: str


class Watcher:
    """`changed` is called on the watcher's thread, or by `look` and `reload` on their caller's."""

    def __init__(
        self,
        channels: tuple[Channel, ...],
        changed: Callable[[Change], None],
        *,
        vici_socket: Path = vici.SOCKET,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changed = changed
        self._vici_socket = vici_socket
        self._now = now
        self._lock = threading.Lock()
        self._followed: dict[str, tuple[Channel, Liveness]] = {}
        self._knocking: dict[Liveness, elsewhere.Knocker] = {}  # used by whoever looks, by nobody else
        self._told: dict[str, bool] = {}
        self._next_try: dict[str, float] = {}
        self._states: dict[str, State] = {}  # replaced as a whole: the loop reads it without a lock
        self._channels: tuple[Channel, ...] = ()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="channels", daemon=True)
        self.reload(channels)

    def reload(self, channels: tuple[Channel, ...]) -> None:
        """Follow these from now on. One that has changed has to prove itself anew."""
        with self._lock:
            wanted = {channel.name: channel for channel in channels if channel.own is not None}
            for name, (channel, _) in tuple(self._followed.items()):
                if wanted.get(name) != channel:
                    del self._followed[name]
                    if self._told.pop(name, False):
                        self._changed(Change(name, False, "its configuration has changed"))
            for name, channel in wanted.items():
                if name not in self._followed:
                    self._followed[name] = channel, Liveness(_patience(channel), UNSEEN, self._now())
            self._publish()

    def start(self) -> None:
        """Look once, here; then again and again, on a thread."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Stop looking; nothing is told any more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(SLACK)
        for knocking in self._knocking.values():
            knocking.close()

    def look(self) -> None:
        """One round."""
        followed = tuple(self._followed.values())
        for gone in self._knocking.keys() - {liveness for _, liveness in followed}:
            self._knocking.pop(gone).close()
        for channel, liveness in followed:
            state = self._see(channel, liveness)
            with self._lock:
                if self._followed.get(channel.name, (None, None))[1] is not liveness:
                    continue  # replaced while it was looked at
                self._publish()
                if self._told.get(channel.name) is not state.up:
                    self._told[channel.name] = state.up
                    self._changed(Change(channel.name, state.up, state.why))

    def is_up(self, channel: Channel) -> bool:
        """As far as is known now. What nobody has looked at for long is not up, even if the thread is stuck."""
        state = self._states.get(channel.name)
        return state is not None and state.up and self._now() - state.seen < UNSEEN

    def carrier_of(self, sock: socket.socket) -> str | None:
        """Name of the channel that carried this accepted connection, proven; None when none is."""
        came = arrival(sock) if self._channels else None
        found = None if came is None else carrier(came, self._channels, self.is_up)
        return None if found is None else found.name

    def closed_to(self, host: str) -> str | None:
        """Name of the channel that should carry what is sent to this address, and is down; None: send it."""
        channels = self._channels
        if not channels:
            return None
        address = ip_address(host.partition("%")[0])
        return next((each.name for each in channels if leads_through(each, address) and not self.is_up(each)), None)

    def _publish(self) -> None:
        self._channels = tuple(channel for channel, _ in self._followed.values())
        self._states = {name: liveness.state for name, (_, liveness) in self._followed.items()}

    def _watch(self) -> None:
        while not self._closing.wait(EVERY):
            self.look()

    def _see(self, channel: Channel, liveness: Liveness) -> State:
        try:
            found = look_at(channel, self._vici_socket)
            if found.wrong is None:
                found = self._knock(channel, liveness) or found
        except ChannelError as error:
            return liveness.cannot_see(error.text, self._now())
        except Exception as bug:  # without this thread nobody would be told that a tunnel is down
            return liveness.cannot_see(f"it could not be looked at: {type(bug).__name__}", self._now())
        if found.wrong is not None:
            self._begin_again(channel)
        return liveness.see(found, self._now())

    def _knock(self, channel: Channel, liveness: Liveness) -> Look | None:
        """Where the tunnel itself cannot be asked: whether anybody at the other site answers."""
        knocking = self._knocking.get(liveness) or elsewhere.knocker(channel)
        if knocking is None:
            return None
        self._knocking[liveness] = knocking
        return knocking.look(self._now())

    def _begin_again(self, channel: Channel) -> None:
        """Where this end begins: charon may have given up, and nobody else would try again."""
        own, now = channel.own, self._now()
        here = own is not None and own.termination is Termination.GATE_HOST and channel.kind is ChannelKind.IPSEC
        if own is None or not here or not ipsec.initiates(channel, own) or now < self._next_try.get(channel.name, 0.0):
            return
        self._next_try[channel.name] = now + AGAIN
        with suppress(ChannelError):  # the look that follows says what is wrong
            vici.initiate(channel, own, self._vici_socket)


def look_at(channel: Channel, vici_socket: Path = vici.SOCKET) -> Look:
    """How one channel is, seen from its end at the own site; ChannelError when nobody can tell."""
    own = channel.own
    if own is None:
        raise ChannelError(f"channel {channel.name} has no end at the own site", "look at it where it ends")
    problem = elsewhere.host_problem(own)
    if own.termination is not Termination.GATE_HOST or (problem is not None and own.mark is not None):
        return Look(problem)
    if channel.kind is ChannelKind.IPSEC:
        return vici.judge_life(channel, own, vici.look(vici_socket))
    return wg.judge_life(channel, own, wg.look(words.device(channel, own)), wg.wall())


def _patience(channel: Channel) -> float:
    """How long a sign of life may be due. charon asks only after a silence, so less is left once it has asked."""
    if channel.kind is ChannelKind.IPSEC:
        return max(1.0, channel.dead_after - ipsec.question_after(channel))
    return channel.dead_after
