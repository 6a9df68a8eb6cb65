"""Which channel carried a connection: what the kernel knows of an accepted socket in, the channel's name out.

A plain TCP socket can prove two things. The kernel keeps the interface on which the last packet of the handshake
arrived (`IP_PKTOPTIONS`), and, where `net.ipv4.tcp_fwmark_accept` is 1, the mark of the first one (`SO_MARK`). What
arrived on an interface that only the tunnel feeds came through the tunnel. Where the kernel itself does IPsec there may
be neither; then its policies vouch: they drop what matches a selector and was not protected (RFC 4301 5.2).
"""

import socket
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from dicomgate.channel import words
from dicomgate.channel.ipsec import remote_of
from dicomgate.channel.model import Channel, ChannelEnd, ChannelKind, Termination
from dicomgate.facts import Address

_IP_PKTINFO, _IP_PKTOPTIONS = 8, 9
_IPV6_RECVPKTINFO, _IPV6_PKTINFO, _IPV6_2292PKTOPTIONS = 49, 50, 6
"""Numbers of Linux (linux/in.h, linux/in6.h); Python has no names for all of them."""
_HEADER = struct.Struct("@Nii")
"""struct cmsghdr: length, level, type."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a connection came. `interface` is None when the kernel does not tell; `mark` is 0 without one."""

    local: Address
    port: int
    remote: Address
    interface: str | None
    mark: int


def arrival(sock: socket.socket) -> Arrival | None:
    """Ask the kernel about an accepted socket; None when it is gone already."""
    try:
        local, remote = sock.getsockname(), sock.getpeername()
        mark = sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK)
        index = _interface(sock, _plain(local[0]))
        name = socket.if_indextoname(index) if index else None
    except OSError:
        return None
    return Arrival(_plain(local[0]), local[1], _plain(remote[0]), name, mark)


def carrier(came: Arrival, channels: Iterable[Channel], is_up: Callable[[Channel], bool]) -> Channel | None:
    """The channel that carried it and is up. At most one fits: no two may carry the same networks."""
    for channel in channels:
        own, remote = channel.own, channel.remote
        if own is None or remote is None:
            continue
        if (
            _within(came.remote, remote)
            and _within(came.local, own)
            and (not channel.ports or came.port in channel.ports)
            and _path_is_proven(came, channel, own)
            and is_up(channel)
        ):
            return channel
    return None


def _path_is_proven(came: Arrival, channel: Channel, own: ChannelEnd) -> bool:
    interface = words.interface(channel, own)
    if interface is not None and came.interface != interface:
        return False
    if own.mark is not None and came.mark != own.mark:
        return False
    if interface is None and own.mark is None:
        # Only the policies of this kernel can vouch. A tunnel that ends elsewhere has none here, and whether the
        # kernel has any of this one is part of what the watcher calls "up".
        return channel.kind is ChannelKind.IPSEC and own.termination is Termination.GATE_HOST
    return True


def _within(address: Address, end: ChannelEnd) -> bool:
    return address in end.networks or (end.tunnel_address is not None and address == end.tunnel_address.ip)


def _interface(sock: socket.socket, local: Address) -> int:
    """Index of the interface that the last packet of the TCP handshake came in on; 0 when it is not told."""
    if isinstance(local, IPv6Address):
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        data = sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_2292PKTOPTIONS, 256)
        wanted, at = (socket.IPPROTO_IPV6, _IPV6_PKTINFO), 16
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        data = sock.getsockopt(socket.IPPROTO_IP, _IP_PKTOPTIONS, 256)
        wanted, at = (socket.IPPROTO_IP, _IP_PKTINFO), 0
    position = 0
    while position + _HEADER.size <= len(data):
        length, level, kind = _HEADER.unpack_from(data, position)
        if (level, kind) == wanted and position + _HEADER.size + at + 4 <= len(data):
            (index,) = struct.unpack_from("@i", data, position + _HEADER.size + at)
            return int(index)
        position += max(length + -length % 8, _HEADER.size)
    return 0


def _plain(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def leads_through(channel: Channel, address: Address) -> bool:
    """Does what is sent to this address belong into the channel?"""
    own = channel.own
    return own is not None and _within(address, remote_of(channel, own))
