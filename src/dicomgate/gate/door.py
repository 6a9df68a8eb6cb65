"""One listener: accept, judge the address, read the PROXY header of a load balancer, hand the connection on.

Nothing of DICOM is read here. A header is required from listed senders, never looked for in others, and read
before anything else.
"""

import errno
import socket
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from dicomgate.facts import Address, Origin
from dicomgate.gate.link import keep_alive, send_at_once
from dicomgate.gate.settings import ListenerSettings
from dicomgate.policy.model import Endpoint
from dicomgate.wire.pdu import Malformed
from dicomgate.wire.proxy_protocol import LONGEST_V2, Incomplete, ProxyHeader, parse

if TYPE_CHECKING:
    from dicomgate.gate.gate import Gate

_AT_ONCE = 64
"""Connections accepted before running ones get their turn again."""
_OUT_OF_PLACES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_BREATHER = 0.5
"""Seconds without accepting once the process has no file descriptor left."""


class Door:
    """A listening socket. `settings` may be replaced on reload as long as `bind` stays."""

    def __init__(self, gate: "Gate", settings: ListenerSettings) -> None:
        """Bind and listen; OSError when the address cannot be had."""
        self._gate = gate
        self.settings = settings
        self._sock = _listen(settings.bind)
        self.address = _shown(self._sock)
        self._greeting: dict[_Greeter, None] = {}

    @property
    def header_rule(self) -> str:
        """The key that asks for a PROXY header, for records."""
        return f"listener[{self.settings.name}].proxy_protocol_from"

    def open(self) -> None:
        """Begin to accept."""
        self._gate.loop.add_reader(self._sock.fileno(), self._accept)

    def close(self) -> None:
        """Accept nobody any more; those already in are not touched."""
        self._gate.loop.remove_reader(self._sock.fileno())
        self._sock.close()
        for greeter in tuple(self._greeting):
            greeter.drop()

    def sweep(self, now: float) -> None:
        """End the wait for PROXY headers that do not come."""
        for greeter in tuple(self._greeting):
            if now >= greeter.deadline:
                self.refuse(greeter.origin, self.header_rule, "no PROXY header in time")
                greeter.drop()

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
            origin = Origin(self.settings.name, _address(where[0]), where[1])
            if origin.address in self.settings.proxy_protocol_from:
                greeter = _Greeter(self, self._gate, sock, origin)
                self._greeting[greeter] = None
                greeter.read()
            else:
                self.welcome(sock, origin, b"")

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self.open()

    def welcome(self, sock: socket.socket, origin: Origin, early: bytes) -> None:
        """The true address is known: let it in or close."""
        denied = self._gate.policy.decide_connection(origin.listener, origin.address)
        if denied is not None:
            self.refuse(origin, denied.rule, denied.reason)
            sock.close()
            return
        self._gate.admit(sock, origin, early)

    def refuse(self, origin: Origin, rule: str, reason: str) -> None:
        self._gate.refuse_connection(origin, rule, reason)

    def greeted(self, greeter: "_Greeter") -> None:
        self._greeting.pop(greeter, None)


class _Greeter:
    """A connection from a load balancer that has not sent its whole PROXY header yet."""

    __slots__ = ("_data", "_door", "_gate", "_reading", "_sock", "deadline", "origin")

    def __init__(self, door: Door, gate: "Gate", sock: socket.socket, origin: Origin) -> None:
        self._door = door
        self._gate = gate
        self._sock = sock
        self._data = b""
        self._reading = False
        self.origin = origin
        self.deadline = gate.now() + gate.settings.session.first_byte

    def read(self) -> None:
        """Take what is there; go on when the header is whole, close when it is none."""
        try:
            data = self._sock.recv(LONGEST_V2 - len(self._data))
        except BlockingIOError:
            if not self._reading:
                self._reading = True
                self._gate.loop.add_reader(self._sock.fileno(), self.read)
            return
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        self._data += data
        match parse(self._data):
            case Incomplete() if len(self._data) < LONGEST_V2:
                if not self._reading:
                    self._reading = True
                    self._gate.loop.add_reader(self._sock.fileno(), self.read)
            case Incomplete():
                self._refused("the PROXY header is too long")
            case Malformed(why):
                self._refused(why)
            case ProxyHeader(source, _, consumed):
                origin = self.origin
                if source is not None:
                    origin = Origin(origin.listener, _plain(source.address), source.port, proxied_by=origin.address)
                self._leave()
                self._door.welcome(self._sock, origin, self._data[consumed:])

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
        self._door.greeted(self)


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
