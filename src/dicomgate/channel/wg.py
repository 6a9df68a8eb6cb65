"""A WireGuard interface made, asked and removed with `wg` and `ip`; wireguard-go where the kernel has none."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from dicomgate.channel import keys, wireguard, words
from dicomgate.channel.ipsec import remote_of
from dicomgate.channel.liveness import Look
from dicomgate.channel.model import Channel, ChannelEnd
from dicomgate.channel.problem import ChannelError
from dicomgate.channel.programs import LOOKING, run

_INTERFACES = Path("/sys/class/net")
_NONE = "(none)"


@dataclass(frozen=True, slots=True)
class PeerState:
    """One peer of an interface. `handshake` is seconds since 1970, 0 for never."""

    public_key: str
    preshared: bool
    endpoint: str | None
    allowed_ips: tuple[str, ...]
    handshake: int
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Device:
    """One interface, as `wg show INTERFACE dump` tells it; the private key is not kept."""

    public_key: str
    port: int
    peers: tuple[PeerState, ...]


def look(interface: str) -> Device:
    """Ask; ChannelError when there is no such interface or it cannot be asked."""
    return parse_dump(run(["wg", "show", interface, "dump"], seconds=LOOKING))


def parse_dump(text: str) -> Device:
    """wg(8), `dump`: one line for the interface, one for each peer, fields apart by tabs."""
    try:
        first, *rest = [line.split("\t") for line in text.splitlines()]
        _, public, port, _ = first
        return Device(public, int(port), tuple(map(_peer, rest)))
    except ValueError:
        raise ChannelError("wg told something that is not understood", "is it wireguard-tools 1.0?") from None


def _peer(fields: list[str]) -> PeerState:
    public, preshared, endpoint, allowed, handshake, received, sent, _ = fields
    return PeerState(
        public,
        preshared != _NONE,
        None if endpoint == _NONE else endpoint,
        tuple(sorted(allowed.split(","))) if allowed != _NONE else (),
        int(handshake),
        int(received),
        int(sent),
    )


def judge_life(channel: Channel, end: ChannelEnd, device: Device, wall: float) -> Look:
    """Does the tunnel carry traffic? `wall`: seconds since 1970. The other end has promised a sign of life."""
    expected = remote_of(channel, end).public_key
    peer = next((each for each in device.peers if each.public_key == expected), None)
    if peer is None:
        return Look("the interface does not know the other end's public key")
    if not peer.handshake:
        return Look("there was no handshake yet", peer.received, True)
    if wall - peer.handshake >= wireguard.HANDSHAKE_LASTS:
        return Look("the last handshake is too old", peer.received, True)
    return Look(None, peer.received, True)


def ready(channel: Channel, end: ChannelEnd) -> None:
    """ChannelError unless keys and values are good and the programs are there. Changes nothing."""
    wireguard.device_arguments(channel, end)
    wireguard.network_commands(channel, end)
    # wg reads the files itself, later: what it will read is judged here.
    derived = keys.public_key(keys.read_secret(end.private_key or Path(), channel.key("ends.key")))
    if channel.psk_file is not None:
        keys.read_secret(channel.psk_file, channel.key("psk_file"))
    if end.public_key is not None and derived != end.public_key:
        raise ChannelError(
            f"channel[{channel.name}].ends.public_key: the private key of {end.site.name} has another public key",
            f"write {derived}",
        )
    for program in ("wg", "ip"):
        if shutil.which(program) is None:
            raise ChannelError(f"the program {program} is not installed", f"install what brings {program}")


def apply(channel: Channel, end: ChannelEnd) -> None:
    """Make the interface if there is none, and give it key, peer, address and routes. A failure undoes a new one."""
    ready(channel, end)
    interface = words.device(channel, end)
    arguments = wireguard.device_arguments(channel, end)
    commands = wireguard.network_commands(channel, end)
    made = not (_INTERFACES / interface).exists()
    if made:
        _make(interface)
    try:
        stay = remote_of(channel, end).public_key
        for peer in look(interface).peers:
            if peer.public_key != stay:
                run(["wg", "set", interface, "peer", peer.public_key, "remove"])
        run(["wg", "set", interface, *arguments])
        for command in commands:
            run(command)
    except ChannelError:
        if made:
            take_down(channel, end)
        raise


def take_down(channel: Channel, end: ChannelEnd) -> None:
    """Remove the interface, and with it its routes. That there is none is fine."""
    interface = words.device(channel, end)
    if (_INTERFACES / interface).exists():
        run(["ip", "link", "delete", "dev", interface])


def _make(interface: str) -> None:
    try:
        run(["ip", "link", "add", "dev", interface, "type", "wireguard"])
        return
    except ChannelError:
        if shutil.which("wireguard-go") is None:
            raise
    # It goes into the background by itself once the interface is there.
    run(["wireguard-go", interface])


def wall() -> float:
    """Seconds since 1970, the clock of the handshakes."""
    return time.time()
