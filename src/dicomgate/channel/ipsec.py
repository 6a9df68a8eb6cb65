"""One end of an IPsec channel as strongSwan takes it: a section of values, and the same as swanctl.conf. Pure.

IKEv2 only, with the algorithms of RFC 8247 and RFC 8221. The section is what `load-conn` of vici takes, so that the
file and `apply` cannot differ.
"""

from collections.abc import Iterator, Mapping
from typing import Union

from dicomgate.channel import words
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, ChannelKind, Start, Termination
from dicomgate.channel.problem import ChannelError
from dicomgate.policy.model import Networks

Section = dict[str, Union[str, list[str], "Section"]]

IKE_PROPOSALS = ("aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha256-ecp256", "aes256-sha256-ecp256")
"""RFC 8247 2: AES-GCM and P-256 or better first, then AES-CBC with HMAC-SHA2-256, which every device must have."""
ESP_PROPOSALS = ("aes256gcm16-ecp384", "aes256gcm16-ecp256", "aes256-sha256-ecp256")
"""RFC 8221 5 and 6. The groups make each rekeying a new key exchange (forward secrecy)."""
_IKE_REKEY = 4
"""An IKE SA lives so many times as long as the keys of the traffic."""


def remote_of(channel: Channel, end: ChannelEnd) -> ChannelEnd:
    """The other end of the same channel."""
    one, other = channel.ends
    return other if end is one else one


def question_after(channel: Channel) -> int:
    """Seconds of silence after which an end asks the other whether it lives (RFC 7296 2.4)."""
    return max(1, int(channel.dead_after / 3))


def connection(channel: Channel, end: ChannelEnd) -> Section:
    """The section `connections.NAME` of this end, certificates and keys as names of files."""
    if channel.kind is not ChannelKind.IPSEC or channel.authentication is None:
        raise ValueError(f"channel {channel.name} is no IPsec")
    remote = remote_of(channel, end)
    psk = channel.authentication is Authentication.PSK
    local: Section = {"auth": "psk" if psk else "pubkey", "id": _identity(channel, end)}
    other: Section = {"auth": "psk" if psk else "pubkey", "id": _identity(channel, remote)}
    if not psk:
        local["certs"] = [words.path(end.certificate)] if end.certificate else [f"{words.name(end.site.name)}.crt"]
        other["cacerts"] = [words.path(channel.ca)] if channel.ca else ["ca.crt"]
    begins = initiates(channel, end)
    section: Section = {
        "version": "2",
        "local_addrs": [words.host(end.address) if end.address else "%any"],
        "remote_addrs": [words.host(remote.address) if remote.address else "%any"],
        "proposals": list(IKE_PROPOSALS),
        "dpd_delay": f"{question_after(channel)}s",
        "rekey_time": f"{int(channel.rekey_after * _IKE_REKEY)}s",
        "encap": "yes",  # ESP in UDP 4500 also without NAT: one port for the firewalls between (RFC 3948)
        "mobike": "no",
        "fragmentation": "yes",
        "unique": "replace",
        "send_cert": "always",
        "keyingtries": "0" if begins else "1",
        "local": local,
        "remote": other,
        "children": {
            child: _child(channel, begins, local_ts, remote_ts)
            for child, local_ts, remote_ts in selectors(channel, end)
        },
    }
    return section


def selectors(channel: Channel, end: ChannelEnd) -> list[tuple[str, list[str], list[str]]]:
    """What may pass (RFC 7296 2.9): name of the child, local and remote traffic selectors in strongSwan's spelling.

    With `ports` there is one child for each direction in which a connection may be opened.
    """
    remote = remote_of(channel, end)
    name = words.name(channel.name)
    here, there = _networks(end.networks), _networks(remote.networks)
    if not here or not there:
        raise ChannelError(f"channel[{channel.name}].ends.networks: expected networks at both ends", "list them")
    if not channel.ports:
        return [(name, here, there)]
    open_here = [f"{network}[tcp/{port}]" for network in here for port in channel.ports]
    open_there = [f"{network}[tcp/{port}]" for network in there for port in channel.ports]
    return [
        (f"{name}-out", [f"{network}[tcp]" for network in here], open_there),
        (f"{name}-in", open_here, [f"{network}[tcp]" for network in there]),
    ]


def swanctl_conf(channel: Channel, end: ChannelEnd) -> str:
    """swanctl/conf.d/NAME.conf of one end, without secrets."""
    name = words.name(channel.name)
    return "\n".join(
        [
            f"# Channel {name}, the end at {words.name(end.site.name)}. Written by dicomgate channel render.",
            "# swanctl --load-all takes it. Keep the private key in swanctl/private, readable by root only.",
            *_lines({"connections": {name: connection(channel, end)}}),
            "",
        ]
    )


def secrets_conf(channel: Channel, end: ChannelEnd, secret: str) -> str:
    """swanctl/conf.d/NAME-secret.conf: the shared secret, for a file of mode 0600."""
    name = words.name(channel.name)
    if not secret or not all(c.isascii() and (c.isalnum() or c in "+/=._-") for c in secret):
        raise ChannelError("expected a secret of letters and digits (base64), came another", "dicomgate channel keys")
    shared: Section = {f"ike-{name}": {**_owners(channel, end), "secret": secret}}
    return "\n".join([f"# Channel {name}. Keep this file from everybody.", *_lines({"secrets": shared}), ""])


def _owners(channel: Channel, end: ChannelEnd) -> Section:
    both = (end, remote_of(channel, end))
    return {f"id-{number}": _identity(channel, each) for number, each in enumerate(both, 1)}


def _child(channel: Channel, begins: bool, local_ts: list[str], remote_ts: list[str]) -> Section:
    # The trap stands before, between and after the SAs: packets wait for a tunnel, none leaves in clear.
    action = "trap|start" if begins else "trap"
    return {
        "local_ts": local_ts,
        "remote_ts": remote_ts,
        "esp_proposals": list(ESP_PROPOSALS),
        "mode": "tunnel",
        "start_action": action,
        "close_action": action,
        "dpd_action": "restart" if begins else "trap",
        "rekey_time": f"{int(channel.rekey_after)}s",
    }


def initiates(channel: Channel, end: ChannelEnd) -> bool:
    """Of two ends that could both begin, one does: two tunnels for the same traffic would fight."""
    remote = remote_of(channel, end)
    if channel.start is Start.TRAP or remote.address is None:
        return False
    if end.address is None or remote.termination is Termination.ROUTER:
        return True
    return end.site.name < remote.site.name


def _identity(channel: Channel, end: ChannelEnd) -> str:
    if end.identity is None:
        raise ChannelError(
            f"channel[{channel.name}].ends.identity: expected one for {end.site.name}, which has no address",
            "write what this end calls itself in IKE, such as gate.north.example",
        )
    return words.identity(end.identity)


def _networks(networks: Networks) -> list[str]:
    return [str(network) for network in networks.members]


def _lines(section: Mapping[str, "str | list[str] | Section"], depth: int = 0) -> Iterator[str]:
    indent = "  " * depth
    for key, value in section.items():
        if isinstance(value, dict):
            yield f"{indent}{key} {{"
            yield from _lines(value, depth + 1)
            yield f"{indent}}}"
        else:
            text = value if isinstance(value, str) else ", ".join(value)
            yield f'{indent}{key} = "{text}"' if " " in text else f"{indent}{key} = {text}"
