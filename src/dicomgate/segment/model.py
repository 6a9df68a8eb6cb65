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
class Segmentation:
    """Everything the firewall rules are made of, beside the gate's own rules.

    `gate` are the gate host's addresses. `dicom_ports` are closed wherever no flow opens them.
    """

    segments: tuple[Segment, ...] = ()
    gate: tuple[Address, ...] = ()
    dicom_ports: tuple[int, ...] = ()
    tunnels: tuple[TunnelPort, ...] = ()
    doors: tuple[Door, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
