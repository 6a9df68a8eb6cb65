"""Segments of a network and what may pass between them, as config/ read them: frozen values, no I/O."""

from dataclasses import dataclass
from enum import StrEnum

from dicomgate.facts import Address
from dicomgate.policy.model import NOBODY, Networks


class OtherTraffic(StrEnum):
    """What becomes of traffic to a segment that is neither DICOM nor management."""

    DROP = "drop"
    PASS = "pass"  # noqa: S105 - a word of the file, not a secret


class TargetKind(StrEnum):
    """What a segment may speak DICOM to, beside the gate."""

    SEGMENT = "segment"
    PEER = "peer"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody that a segment speaks DICOM to without the gate in between, and on which TCP ports."""

    kind: TargetKind
    name: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Management:
    """From where, and on which TCP ports, the machines of a segment are administered."""

    networks: Networks = NOBODY
    ports: tuple[int, ...] = (22,)


@dataclass(frozen=True, slots=True)
class Segment:
    """A set of networks. No address is in two segments.

    `dicom` = False: nobody in it speaks DICOM, in either direction, even where a peer's networks are `any`.
    `site`: its name, when the configuration has sites; `remote`: it is not at the site the configuration is for,
    so that its rules are rendered and never applied here.
    """

    name: str
    networks: Networks
    dicom: bool = True
    dicom_to: tuple[Target, ...] = ()
    management: Management = Management()
    other_traffic: OtherTraffic = OtherTraffic.DROP
    site: str | None = None
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """Where a listener accepts: `address` is None for every address of the gate host.

    `proxies`: load balancers, which then are all that connects to it.
    """

    listener: str
    address: Address | None
    port: int
    proxies: Networks = NOBODY


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another site and its public address, where no DICOM may be reached past the channels."""

    site: str
    address: Address


@dataclass(frozen=True, slots=True)
class TunnelPort:
    """Where a tunnel's own packets arrive on the gate host: UDP `port`, from `source` (None: from anywhere)."""

    channel: str
    port: int
    source: Address | None
    esp: bool = False
    """IP protocol 50 too (RFC 4303), for IPsec without NAT traversal."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A channel as a firewall sees it: what it carries between the own site and another one, and how to tell.

    `ports` are those that may pass; empty: every one. By what the gate host knows a packet that came out of it:
    `interface`, which only the tunnel feeds; `mark`; or `by_policy`: the IPsec of its own kernel. None of them: by
    nothing. `ends_on` are the gates on which it ends, at either site: what stands in front of them sees only the
    tunnel's own packets.
    """

    channel: str
    own: Networks
    remote: Networks
    ports: tuple[int, ...] = ()
    interface: str | None = None
    mark: int | None = None
    by_policy: bool = False
    ends_on: Networks = NOBODY


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Everything the firewall rules are made of, beside the gate's own rules.

    `gate` are the gate host's addresses. `dicom_ports` are closed wherever no flow opens them. `tunnel_ports` and
    `tunnels` are of the channels with an end at the own site.
    """

    segments: tuple[Segment, ...] = ()
    gate: tuple[Address, ...] = ()
    dicom_ports: tuple[int, ...] = ()
    tunnel_ports: tuple[TunnelPort, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    doors: tuple[Door, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
