"""One end of a WireGuard channel: a wg-quick file, and the commands that make the same by hand. Pure.

The private key stands in neither: both name its file.
"""

from ipaddress import ip_interface

from dicomgate.channel import words
from dicomgate.channel.ipsec import remote_of
from dicomgate.channel.model import Channel, ChannelEnd, ChannelKind
from dicomgate.channel.problem import ChannelError

HANDSHAKE_LASTS = 180.0
"""Seconds. An end takes no packet under older keys (WireGuard's Reject-After-Time)."""
MTU = 1420
"""What is left of 1500 bytes after an outer IPv6 header, UDP and WireGuard's own."""


def keepalive(channel: Channel) -> int:
    """Seconds between two signs of life; three of them must be missing before the channel counts as down."""
    return min(max(1, int(channel.dead_after / 3)), 25)


def allowed_ips(end: ChannelEnd) -> list[str]:
    """What may come from this end, and is sent to it: its networks and its address in the tunnel."""
    found = [str(network) for network in end.networks.members]
    if end.tunnel_address is not None:
        own = ip_interface(end.tunnel_address.ip).network
        if not any(own.version == net.version and own.subnet_of(net) for net in end.networks.members):  # type: ignore[arg-type]
            found.append(str(own))
    if not found:
        raise ChannelError(f"expected networks at the end {end.site.name}, came none", "list what may pass")
    return found


def configuration(channel: Channel, end: ChannelEnd) -> str:
    """/etc/wireguard/INTERFACE.conf for wg-quick; it sets the routes from AllowedIPs by itself."""
    remote = remote_of(channel, end)
    private_key, public_key = _needed(channel, end, remote)
    lines = [
        f"# Channel {words.name(channel.name)}, the end at {words.name(end.site.name)}. For wg-quick, as"
        f" {words.device(channel, end)}.conf.",
        "[Interface]",
        f"Address = {end.tunnel_address}",
        f"ListenPort = {end.port}",
        f"MTU = {MTU}",
        f"PostUp = wg set %i private-key {private_key}",
    ]
    if channel.psk_file is not None:
        lines.append(f"PostUp = wg set %i peer {public_key} preshared-key {words.path(channel.psk_file)}")
    lines += [
        "",
        "[Peer]",
        f"PublicKey = {public_key}",
        f"AllowedIPs = {', '.join(allowed_ips(remote))}",
        f"PersistentKeepalive = {keepalive(channel)}",
    ]
    if remote.address is not None:
        lines.append(f"Endpoint = {_endpoint(remote)}")
    return "\n".join([*lines, ""])


def device_arguments(channel: Channel, end: ChannelEnd) -> list[str]:
    """What follows `wg set INTERFACE`. The peer is written as a whole, so that nothing of an older one stays."""
    remote = remote_of(channel, end)
    private_key, public_key = _needed(channel, end, remote)
    arguments = ["listen-port", str(end.port), "private-key", private_key, "peer", public_key]
    # /dev/null is how wg spells "no preshared key".
    arguments += ["preshared-key", words.path(channel.psk_file) if channel.psk_file else "/dev/null"]
    if remote.address is not None:
        arguments += ["endpoint", _endpoint(remote)]
    arguments += ["persistent-keepalive", str(keepalive(channel)), "allowed-ips", ",".join(allowed_ips(remote))]
    return arguments


def network_commands(channel: Channel, end: ChannelEnd) -> list[list[str]]:
    """`ip` commands for an interface that is there: address, MTU, up, and a route for each remote network."""
    interface = words.device(channel, end)
    remote = remote_of(channel, end)
    commands = [
        ["ip", "address", "replace", str(end.tunnel_address), "dev", interface],
        ["ip", "link", "set", "dev", interface, "mtu", str(MTU), "up"],
    ]
    for network in remote.networks.members:
        route = ["ip", "route", "replace", str(network), "dev", interface]
        gate = end.site.gate
        if gate is not None and gate.version == network.version and gate in end.networks:
            route += ["src", str(gate)]  # else the gate would call from its address in the tunnel
        commands.append(route)
    return commands


def _needed(channel: Channel, end: ChannelEnd, remote: ChannelEnd) -> tuple[str, str]:
    """Path of the private key of this end, and the public key of the other."""
    if channel.kind is not ChannelKind.WIREGUARD:
        raise ValueError(f"channel {channel.name} is no WireGuard")
    key = f"channel[{channel.name}].ends"
    if end.private_key is None:
        raise ChannelError(f"{key}.key: expected the file of the private key of {end.site.name}", "name a file")
    if end.tunnel_address is None:
        raise ChannelError(f"{key}.tunnel_address: expected one for {end.site.name}", 'write "10.99.0.1/30"')
    if remote.public_key is None:
        raise ChannelError(
            f"{key}.public_key: expected the public key of {remote.site.name}",
            "dicomgate channel keys prints it there",
        )
    return words.path(end.private_key), words.key(remote.public_key)


def _endpoint(remote: ChannelEnd) -> str:
    address = words.host(remote.address or "")
    return f"[{address}]:{remote.port}" if ":" in address else f"{address}:{remote.port}"
