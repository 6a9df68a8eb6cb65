"""One listener: accept, judge the address, read the PROXY header of a load balancer, hand the connection on.

Nothing of DICOM is read here. A header is required from listed senders, never looked for in others, and read
before anything else; after it comes TLS, if the listener has it.
"""

import errno
import socket
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from dicomgate.detect.model import Rung
from dicomgate.facts import Address, Origin
from dicomgate.gate.bans import RULE as BAN
from dicomgate.gate.bans import why_held
from dicomgate.gate.handshake import TlsArrival
from dicomgate.gate.host import Arrival, Host
from dicomgate.gate.link import keep_alive, send_at_once
from dicomgate.gate.peek import peek, wake_beyond
from dicomgate.gate.settings import ListenerSettings
from dicomgate.policy.model import Endpoint
from dicomgate.wire.pdu import Malformed
from dicomgate.wire.proxy_protocol import LONGEST_V2, Incomplete, ProxyHeader, parse

_AT_ONCE = 64
"""Connections accepted before running ones get their turn again."""
_OUT_OF_PLACES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BREATHER = 0.5
"""Seconds without accepting once the process has no file descriptor left."""


class Door:
    """A listening socket. `settings` may be replaced on reload as long as `bind` stays."""

    def __init__(self, gate: Host, settings: ListenerSettings) -> None:
        """Bind and listen; OSError when the address cannot be had."""
        self._gate = gate
        self.settings = settings
        self._sock = _listen(settings.bind)
        self.address = _shown(self._sock)
        self._arriving: dict[Arrival, None] = {}

    @property
    def header_rule(self) -> str:
        """The key that asks for a PROXY header, for records."""
        return f"listener[{self.settings.name}].proxy_protocol_from"

    @property
    def tls_rule(self) -> str:
        """The key that asks for TLS, for records."""
        return f"listener[{self.settings.name}].tls"

    def open(self) -> None:
        """Begin to accept."""
        self._gate.loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept nobody any more; those already in are not touched."""
        self._gate.loop.remove_reader(self._sock.fileno())
        self._sock.close()
        for arrival in tuple(self._arriving):
            arrival.drop()

    def sweep(self, now: float) -> None:
        """End the wait for PROXY headers and handshakes that do not come."""
        for arrival in tuple(self._arriving):
            if now >= arrival.deadline:
                arrival.late()

    def channel_lost(self, name: str) -> None:
        """Who is still coming in through this channel has lost its proof."""
        for arrival in tuple(self._arriving):
            if arrival.origin.channel == name:
                self.refuse(arrival.origin, f"channel[{name}]", f"channel {name} went down")
                arrival.drop()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, where = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_PLACES:
                    self._gate.report_out_of_places(error)
                    self._gate.loop.remove_reader(self._sock.fileno())
                    self._gate.loop.call_later(_BREATHER, self._resume)
                    return
                continue  # the caller was gone before it was accepted
            sock.setblocking(False)
            channels = self._gate.channels
            carrier = None if channels is None else channels.carrier_of(sock)
            origin = Origin(self.settings.name, _address(where[0]), where[1], channel=carrier)
            if origin.address in self.settings.proxy_protocol_from:
                greeter = _Greeter(self, self._gate, sock, origin)
                self._arriving[greeter] = None
                greeter.read()
            else:
                self.welcome(sock, origin)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self.open()

    def welcome(self, sock: socket.socket, origin: Origin) -> None:
        """The true address is known: let it in, by way of a TLS handshake if there has to be one, or close."""
        denied = self._gate.policy.decide_connection(origin.listener, origin.address, origin.channel)
        if denied is not None:
            self.refuse(origin, denied.rule, denied.reason)
            sock.close()
            return
        held = self._gate.bans.at_door(origin.address)
        if held is not None and held.rung >= Rung.REFUSE:
            self._gate.refuse_connection(origin, BAN, why_held(held))
            sock.close()
        elif held is not None and held.rung is Rung.DELAY:
            waiting = _Held(self, self._gate, sock, origin)
            self._arriving[waiting] = None
            self._gate.make_room(origin, waiting)
        else:
            self.let_in(sock, origin)

    def let_in(self, sock: socket.socket, origin: Origin) -> None:
        """Nothing holds it any more."""
        if self.settings.tls is None:
            self._gate.admit(sock, origin)
            return
        arrival = TlsArrival(self, self._gate, sock, origin)
        self._arriving[arrival] = None
        self._gate.make_room(origin, arrival)
        arrival.read()

    def refuse(self, origin: Origin, rule: str, reason: str) -> None:
        self._gate.refuse_connection(origin, rule, reason)

    def arrived(self, arrival: Arrival) -> None:
        """It was handed on, or is gone."""
        self._arriving.pop(arrival, None)


class _Greeter:
    """A connection from a load balancer that has not sent its whole PROXY header yet."""

    __slots__ = ("_door", "_gate", "_known", "_reading", "_sock", "deadline", "origin")

    def __init__(self, door: Door, gate: Host, sock: socket.socket, origin: Origin) -> None:
        self._door = door
        self._gate = gate
        self._sock = sock
        self._known = 0
        self._reading = False
        self.origin = origin
        self.deadline = gate.now() + gate.settings.session.first_byte

    def read(self) -> None:
        """Take what is there; go on when the header is whole, close when it is none."""
        try:
            data = peek(self._sock, LONGEST_V2, self._known)
        except BlockingIOError:
            self._wait()
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        match parse(data):
            case Incomplete() if len(data) < LONGEST_V2:
                self._known = len(data)
                wake_beyond(self._sock, self._known)
                self._wait()
            case Incomplete():
                self._refused("the PROXY header is too long")
            case Malformed(why):
                self._refused(why)
            case ProxyHeader(source, _, consumed):
                origin = self.origin
                if source is not None:  # whatever carried the balancer says nothing of who is behind it
                    origin = Origin(origin.listener, _plain(source.address), source.port, proxied_by=origin.address)
                self._leave()
                self._sock.recv(consumed)  # what follows belongs to the next protocol
                if self._known:
                    wake_beyond(self._sock, 0)
                self._door.welcome(self._sock, origin)

    def _wait(self) -> None:
        if not self._reading:
            self._reading = True
            self._gate.loop.add_reader(self._sock.fileno(), self.read)

    def late(self) -> None:
        """Its deadline has passed."""
        self._refused("no PROXY header in time")

    def _refused(self, why: str) -> None:
        self._door.refuse(self.origin, self._door.header_rule, why)
        self.drop()

    def drop(self) -> None:
        self._leave()
        self._sock.close()

    def _leave(self) -> None:
        if self._reading:
            self._gate.loop.remove_reader(self._sock.fileno())
            self._reading = False
        self._door.arrived(self)


class _Held:
    """A connection from an address on the rung `delay`: not read for some seconds."""

    __slots__ = ("_door", "_gate", "_sock", "deadline", "origin")

    def __init__(self, door: Door, gate: Host, sock: socket.socket, origin: Origin) -> None:
        self._door = door
        self._gate = gate
        self._sock = sock
        self.origin = origin
        self.deadline = gate.now() + gate.bans.delay

    def late(self) -> None:
        """It has waited long enough."""
        self._leave()
        self._door.let_in(self._sock, self.origin)

    def give_way(self) -> None:
        """Its place is needed for a newer connection."""
        self._door.refuse(self.origin, "gate", "gave way to a newer connection")
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        self._leave()
        self._sock.close()

    def _leave(self) -> None:
        self._gate.half_open.leave(self.origin.address, self)
        self._door.arrived(self)


def _listen(bind: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        send_at_once(sock)
        keep_alive(sock)
        sock.bind((bind.host, bind.port))
        sock.listen(4096)
    except BaseException:
        sock.close()
        raise
    return sock


def _shown(sock: socket.socket) -> str:
    where = sock.getsockname()
    return str(Endpoint(where[0], where[1]))


@lru_cache(maxsize=4096)
def _address(text: str) -> Address:
    return _plain(ip_address(text.partition("%")[0]))


def _plain(address: Address) -> Address:
    """An IPv4 caller on an IPv6 socket is judged as what it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
