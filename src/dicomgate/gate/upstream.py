"""Which address of a party to connect to next: names resolved off the loop, dead addresses tried last."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from dicomgate.policy.model import Endpoint

SocketAddress = tuple[int, tuple[str, int]]
"""Address family, and (literal address, port)."""

_RESOLVED_FOR = 60.0
_DOWN_FOR = 10.0


@dataclass(slots=True)
class _Resolution:
    addresses: tuple[SocketAddress, ...]
    at: float


class Upstreams:
    """Passive failover: an address that could not be connected to is tried last for a while (10 s).

    Host names are looked up in a thread and kept for a minute; an old answer is used while a new one is
    fetched, and kept when the name service fails.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._resolved: dict[Endpoint, _Resolution] = {}
        self._resolving: dict[Endpoint, list[Callable[[], None]]] = {}
        self._down_until: dict[SocketAddress, float] = {}

    def candidates(
        self, endpoints: tuple[Endpoint, ...], now: float, ready: Callable[[list[SocketAddress]], None]
    ) -> None:
        """Call `ready` with the addresses to try in order; at once when no name has to be looked up."""
        unknown = [endpoint for endpoint in endpoints if not self._addresses(endpoint, now)]
        if not unknown:
            ready(self._in_order(endpoints, now))
            return
        waiting = len(unknown)

        def one_more() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                ready(self._in_order(endpoints, self._loop.time()))

        for endpoint in unknown:
            self._look_up(endpoint, one_more)

    def host_of(self, address: SocketAddress, endpoints: tuple[Endpoint, ...]) -> str:
        """The host that stood for this address in the configuration: what its certificate must be for."""
        for endpoint in endpoints:
            held = self._resolved.get(endpoint)
            if held is not None and address in held.addresses:
                return endpoint.host
        return address[1][0]

    def failed(self, address: SocketAddress, now: float) -> None:
        self._down_until[address] = now + _DOWN_FOR

    def answered(self, address: SocketAddress) -> None:
        self._down_until.pop(address, None)

    def all_failed(self, endpoints: tuple[Endpoint, ...]) -> bool:
        """Was the last connect to every address known of them a failure? From any thread."""
        held = [self._resolved.get(endpoint) for endpoint in endpoints]
        known = [address for each in held if each is not None for address in each.addresses]
        return bool(known) and all(address in self._down_until for address in known)

    def _in_order(self, endpoints: tuple[Endpoint, ...], now: float) -> list[SocketAddress]:
        known = [address for endpoint in endpoints for address in self._addresses(endpoint, now)]
        return sorted(known, key=lambda address: self._down_until.get(address, 0.0) > now)

    def _addresses(self, endpoint: Endpoint, now: float) -> tuple[SocketAddress, ...]:
        held = self._resolved.get(endpoint)
        if held is None:
            literal = _literal(endpoint)
            if literal is None:
                return ()
            held = self._resolved[endpoint] = _Resolution((literal,), float("inf"))
        elif now - held.at > _RESOLVED_FOR and endpoint not in self._resolving:
            self._look_up(endpoint, lambda: None)
        return held.addresses

    def _look_up(self, endpoint: Endpoint, then: Callable[[], None]) -> None:
        if endpoint in self._resolving:
            self._resolving[endpoint].append(then)
            return
        self._resolving[endpoint] = [then]
        found = self._loop.run_in_executor(None, _resolve, endpoint)
        found.add_done_callback(lambda future: self._looked_up(endpoint, future))

    def _looked_up(self, endpoint: Endpoint, found: "asyncio.Future[tuple[SocketAddress, ...]]") -> None:
        if (addresses := found.result()) or endpoint not in self._resolved:
            self._resolved[endpoint] = _Resolution(addresses, self._loop.time())
        if not addresses:
            # Ask again with the next association instead of remembering that there is nothing.
            self._resolved[endpoint].at = self._loop.time()
            if not self._resolved[endpoint].addresses:
                del self._resolved[endpoint]
        for then in self._resolving.pop(endpoint):
            then()


def _literal(endpoint: Endpoint) -> SocketAddress | None:
    try:
        address = ip_address(endpoint.host)
    except ValueError:
        return None
    return (socket.AF_INET6 if address.version == 6 else socket.AF_INET), (endpoint.host, endpoint.port)


def _resolve(endpoint: Endpoint) -> tuple[SocketAddress, ...]:
    """In a thread: getaddrinfo. A name that cannot be resolved has no addresses."""
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: no name at all, such as one with an empty or an overlong part
        return ()
    return tuple(dict.fromkeys((int(family), (str(where[0]), endpoint.port)) for family, _, _, _, where in found))
