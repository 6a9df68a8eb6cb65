"""`[[site]]`, `[[channel]]`, `[[segment]]` and `[segmentation]`: places, tunnels between them, and firewalls within."""

from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated

from pydantic import Field, PlainValidator

from dicomgate.channel.model import Authentication, ChannelKind, Start, Termination
from dicomgate.config import words
from dicomgate.config.schema.fields import (
    FilePath,
    FixedNetworks,
    HostName,
    IpAddress,
    Name,
    Place,
    Port,
    Seconds,
    Table,
    seconds_up_to,
)
from dicomgate.segment.model import OtherTraffic


class SiteTable(Table):
    """`[[site]]`: one place with networks of its own: a hospital, a cloud."""

    name: Name = Field(description="Name of the site; channels and segments refer to it.")
    own: bool = Field(default=False, description="true for the one site that this file is for.")
    networks: FixedNetworks = Field(description="Array of the site's own networks: addresses or CIDRs.")
    address: HostName | None = Field(
        default=None, description="Its public address or host name. Absent: it changes, or lies behind NAT."
    )
    gate: IpAddress | None = Field(
        default=None, description="Address of the gate inside this site. Absent: there is no gate."
    )


class ChannelEndTable(Table):
    """`ends` of a `[[channel]]`."""

    site: Name = Field(description="Name of the site at this end.")
    networks: FixedNetworks | None = Field(
        default=None, description="Array of networks of the site that may use the channel. Absent: all of the site's."
    )
    termination: Annotated[Termination, PlainValidator(words.one_of({word.value: word for word in Termination}))] = (
        Field(
            default=Termination.GATE_HOST,
            description="Where the tunnel ends: gate-host, separate-host or router (somebody else's device).",
        )
    )
    address: HostName | None = Field(
        default=None, description="Public address or host name of the machine it ends on. Absent: the site's address."
    )
    identity: Annotated[str, PlainValidator(words.ike_identity)] | None = Field(
        default=None, description="What this end calls itself in IKE: a name of its certificate. Absent: its address."
    )
    certificate: FilePath | None = Field(
        default=None, description="IPsec, our end: file with its certificate chain (PEM)."
    )
    key: FilePath | None = Field(
        default=None, description="Our end: file with its private key (IPsec: PEM; WireGuard: base64)."
    )
    public_key: Annotated[str, PlainValidator(words.wireguard_key)] | None = Field(
        default=None, description="WireGuard: its public key (base64)."
    )
    port: Port = Field(default=51820, description="WireGuard: the UDP port it listens on.")
    tunnel_address: Annotated[IPv4Interface | IPv6Interface, PlainValidator(words.tunnel_address)] | None = Field(
        default=None, description="WireGuard: address and prefix length of its interface, as 10.99.0.1/30."
    )
    interface: Annotated[str, PlainValidator(words.interface)] | None = Field(
        default=None, description="Our end: network interface on the gate host that only this channel feeds."
    )
    mark: Annotated[int, PlainValidator(words.mark)] | None = Field(
        default=None, description="Our end: netfilter mark that packets from this channel bear."
    )
    sign_of_life: Place | None = Field(
        default=None,
        description="Our end, if the tunnel ends on another machine: HOST:PORT at the other site that answers TCP. "
        "When nobody has answered for dead_after, the channel counts as down.",
    )


class ChannelTable(Table):
    """`[[channel]]`: a tunnel between two sites."""

    name: Name = Field(description="Name of the channel; peers and listeners can demand it.")
    kind: Annotated[ChannelKind, PlainValidator(words.one_of({word.value: word for word in ChannelKind}))] = Field(
        description="ipsec or wireguard."
    )
    ends: list[ChannelEndTable] = Field(
        description="Two tables [[channel.ends]]: site, networks, termination, address, identity, …"
    )
    ports: list[Port] | None = Field(
        default=None, description="Array of TCP ports that may pass. Absent: every protocol and port. Empty: refused."
    )
    authentication: (
        Annotated[Authentication, PlainValidator(words.one_of({word.value: word for word in Authentication}))] | None
    ) = Field(default=None, description="IPsec: certificate (default) or psk.")
    ca: FilePath | None = Field(
        default=None, description="IPsec with certificates: file with the authorities that vouch for the ends (PEM)."
    )
    psk_file: FilePath | None = Field(
        default=None, description="File with the shared secret: IPsec's only one, or WireGuard's additional one."
    )
    start: Annotated[Start, PlainValidator(words.one_of({word.value: word for word in Start}))] = Field(
        default=Start.START, description="IPsec: start (at once) or trap (when the first packet wants to pass)."
    )
    dead_after: Annotated[float, PlainValidator(seconds_up_to(3600))] = Field(
        default=30.0, description="Silence of the other end after which the channel counts as down."
    )
    rekey_after: Seconds = Field(default=3600.0, description="Age of a traffic key at which it is renewed.")


class TargetTable(Table):
    """`dicom_to` of a `[[segment]]`."""

    segment: Name | None = Field(default=None, description="Name of a segment; needs ports.")
    peer: Name | None = Field(default=None, description="Name of a peer with an address.")
    archive: Name | None = Field(default=None, description="Name of an archive: reached without the gate in between.")
    ports: list[Port] | None = Field(
        default=None, description="Array of TCP ports. Absent: those of the peer's or archive's address."
    )


class ManagementTable(Table):
    """`management` of a `[[segment]]`."""

    networks: FixedNetworks = Field(description="Array of networks that its machines are administered from.")
    ports: Annotated[list[Port], Field(min_length=1)] = Field(
        default=[22], description="Array of TCP ports for that, for instance SSH and a web page."
    )


class SegmentTable(Table):
    """`[[segment]]`: a set of networks, and what may pass to them."""

    name: Name = Field(description="Name of the segment.")
    networks: FixedNetworks = Field(description="Array of its networks: addresses or CIDRs. None is in two segments.")
    site: Name | None = Field(default=None, description="Name of the site it is at. Absent: the own one.")
    dicom: bool = Field(
        default=True,
        description="false: no machine in it speaks DICOM, in either direction, even where a peer's networks are any.",
    )
    dicom_to: list[TargetTable] = Field(
        default=[],
        description="Array of tables: what it speaks DICOM to without the gate in between. Empty: nothing. "
        "What peers, listeners and archives need follows from their own tables.",
    )
    management: ManagementTable | None = Field(
        default=None, description="Table: networks, ports. Absent: its machines are not administered over the network."
    )
    other_traffic: Annotated[
        OtherTraffic, PlainValidator(words.one_of({word.value: word for word in OtherTraffic}))
    ] = Field(
        default=OtherTraffic.DROP,
        description="What becomes of traffic to it that is neither DICOM nor management: drop, or pass.",
    )


class SegmentationTable(Table):
    """`[segmentation]`: what the firewall rules need beside the segments."""

    dicom_ports: list[Port] = Field(
        default=[104, 2761, 2762, 4242, 11112],
        description="Array of TCP ports that are closed wherever nothing opens them, beside those in this file.",
    )
    gate: list[IpAddress] | None = Field(
        default=None,
        description="Array of the gate host's addresses. Absent: the own site's gate, and what the listeners bind.",
    )
