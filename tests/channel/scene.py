"""Channels as config/ would make them, and what a good tunnel looks like from one end."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

from dicomgate.channel import guard, ipsec, words
from dicomgate.channel.echo import Echo
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, ChannelKind, Site
from dicomgate.channel.verify import Observation
from dicomgate.channel.vici import Child, Daemon, IkeSa
from dicomgate.channel.wg import Device, PeerState
from dicomgate.policy.model import Networks

OUR_KEY = "VUGzQ+Uf1xdMcHWy6CdXBxDgGSnJdbDDzQfDIXXUr3U="
THEIR_KEY = "kNbDQSyQZXtMXmMxqjvmRVXeUmYHhTBEpzfqGl2EdXA="
HOSPITAL = Site("hospital", Networks.of(["10.1.0.0/16"]), "203.0.113.10", ip_address("10.1.1.5"), own=True)
CLOUD = Site("cloud", Networks.of(["10.20.1.0/24"]), "198.51.100.20", ip_address("10.20.1.5"))


def ipsec_channel(**changes: object) -> Channel:
    """Certificates, two ports, both sites with a public address."""
    ours = ChannelEnd(
        HOSPITAL,
        Networks.of(["10.1.1.5"]),
        address=HOSPITAL.address,
        identity="hospital.north.example",
        certificate=Path("/etc/dicomgate/keys/chain.pem"),
        private_key=Path("/etc/dicomgate/keys/key.pem"),
    )
    theirs = ChannelEnd(CLOUD, CLOUD.networks, address=CLOUD.address, identity="cloud.north.example")
    made = Channel(
        "hospital-cloud",
        ChannelKind.IPSEC,
        (ours, theirs),
        ports=(104, 11105),
        authentication=Authentication.CERTIFICATE,
        ca=Path("/etc/dicomgate/keys/ca.pem"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def wireguard_channel(**changes: object) -> Channel:
    """An additional secret, one port."""
    ours = ChannelEnd(
        HOSPITAL,
        Networks.of(["10.1.1.5"]),
        address=HOSPITAL.address,
        private_key=Path("/etc/dicomgate/keys/hospital.key"),
        public_key=OUR_KEY,
        tunnel_address=ip_interface("10.99.0.2/30"),
    )
    theirs = ChannelEnd(
        CLOUD,
        CLOUD.networks,
        address=CLOUD.address,
        public_key=THEIR_KEY,
        port=51821,
        tunnel_address=ip_interface("10.99.0.1/30"),
    )
    made = Channel(
        "hospital-cloud",
        ChannelKind.WIREGUARD,
        (ours, theirs),
        ports=(104,),
        psk_file=Path("/etc/dicomgate/keys/psk"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def with_end(channel: Channel, number: int, **changes: object) -> Channel:
    """The same with another end 0 (ours) or 1 (theirs)."""
    ends = list(channel.ends)
    ends[number] = replace(ends[number], **changes)  # type: ignore[arg-type]
    return replace(channel, ends=(ends[0], ends[1]))


def child(name: str, local_ts: tuple[str, ...], remote_ts: tuple[str, ...]) -> Child:
    return Child(name, "INSTALLED", "ESP", "AES_GCM_16", 256, "", local_ts, remote_ts, 1000, 1000)


def security_association(channel: Channel) -> IkeSa:
    """What charon lists when everything is well."""
    children = tuple(
        child(name, tuple(here), tuple(there)) for name, here, there in ipsec.selectors(channel, channel.ends[0])
    )
    ours, theirs = channel.ends
    return IkeSa(
        channel.name,
        2,
        "ESTABLISHED",
        ours.identity or "",
        theirs.identity or "",
        theirs.address or "",
        "AES_GCM_16",
        256,
        "",
        "PRF_HMAC_SHA2_384",
        "ECP_384",
        waiting=False,
        children=children,
    )


def good_ipsec(channel: Channel) -> Observation:
    names = frozenset(name for name, _, _ in ipsec.selectors(channel, channel.ends[0]))
    return Observation(
        daemon=Daemon(frozenset({"kernel-netlink"}), (security_association(channel),), names),
        rules=tuple(guard.rules(channel, channel.ends[0])),
        echo=Echo(True, "it answered"),
        received=(0, 500),
        sent=(0, 500),
    )


def good_wireguard(channel: Channel) -> Observation:
    peer = PeerState(THEIR_KEY, True, "198.51.100.20:51821", ("10.20.1.0/24", "10.99.0.1/32"), 1000, 10, 10)
    return Observation(
        device=Device(OUR_KEY, 51820, (peer,)),
        rules=tuple(guard.rules(channel, channel.ends[0])),
        routes=(("10.20.1.0/24", words.interface(channel, channel.ends[0])),),
        echo=Echo(True, "it answered"),
        received=(0, 500),
        sent=(0, 500),
        wall=1100.0,
    )
