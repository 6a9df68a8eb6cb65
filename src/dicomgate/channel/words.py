"""Words that go into other programs' files: each is one of a few spellings, or ChannelError. No quoting, no escaping.

config/ judges the same words; what stands here holds for whoever makes a `Channel` in another way.
"""

import hashlib
import re

from dicomgate.channel.model import Channel, ChannelEnd, ChannelKind, Termination
from dicomgate.channel.problem import ChannelError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:@=,/+-]{0,254}")
_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_PATH = re.compile(r"/[A-Za-z0-9._/@+-]*")
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
_LONGEST_INTERFACE = 15


def name(text: str) -> str:
    """Of a channel: it becomes a file name, a section and a firewall table."""
    return _one_of(_NAME, text, "the name of a channel", "use letters, digits, dots, hyphens and underscores")


def identity(text: str) -> str:
    """RFC 7296 3.5."""
    return _one_of(_IDENTITY, text, "an IKE identity", "write a name of the certificate, such as gate.north.example")


def host(text: str) -> str:
    return _one_of(_HOST, text, "a host name or address", "write for instance vpn.north.example")


def path(text: object) -> str:
    """An absolute path that a shell and a configuration file read the same way."""
    hint = "keep such files in folders named with letters, digits, dots, hyphens and underscores"
    return _one_of(_PATH, str(text), "a plain absolute path", hint)


def key(text: str) -> str:
    """A WireGuard key, public or preshared."""
    return _one_of(_KEY, text, "a WireGuard key (base64)", "dicomgate channel keys prints it", secret=True)


def interface(channel: Channel, end: ChannelEnd) -> str | None:
    """The network interface on the gate host that only this channel feeds: as written, or what a WireGuard one gets.

    None for IPsec in the kernel, which has no interface of its own unless one is made for it, and for a tunnel that
    ends on another machine and is known by its mark.
    """
    if end.interface is not None:
        return _one_of(_INTERFACE, end.interface, "the name of a network interface", "at most 15 letters and digits")
    if channel.kind is not ChannelKind.WIREGUARD or end.termination is not Termination.GATE_HOST:
        return None
    return _made(channel)


def device(channel: Channel, end: ChannelEnd) -> str:
    """The WireGuard interface on the machine where this end is. Elsewhere `interface` is another one: the gate's."""
    here = interface(channel, end) if end.termination is Termination.GATE_HOST else None
    return here or _made(channel)


def _made(channel: Channel) -> str:
    made = f"wg-{name(channel.name)}"
    if len(made) <= _LONGEST_INTERFACE:
        return made
    # Two long names may begin alike; their hashes do not.
    return f"wg-{hashlib.sha256(channel.name.encode()).hexdigest()[:8]}"


def table(channel: Channel) -> str:
    """The channel's own nftables table (family inet)."""
    return f"dicomgate_channel_{name(channel.name)}"


def _one_of(spelling: re.Pattern[str], text: str, what: str, hint: str, *, secret: bool = False) -> str:
    if spelling.fullmatch(text):
        return text
    came = "something else" if secret else repr(text[:80])
    raise ChannelError(f"expected {what}, came {came}", hint)
