"""What is known about a connection, an association and an operation; never what is allowed."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from dicomgate.wire.command import Command
from dicomgate.wire.pdu import AssociateRequest

Address = IPv4Address | IPv6Address


class Side(StrEnum):
    """PS3.8 roles: who opened the connection to the gate, and whom the gate connects to for it."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"

    @property
    def other(self) -> "Side":
        return Side.ACCEPTOR if self is Side.REQUESTOR else Side.REQUESTOR


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A client certificate that an authority of the listener vouches for, and that is valid and not revoked.

    Fingerprints are SHA-256 in lower-case hexadecimal: of the whole certificate (DER), and of its public key
    (SubjectPublicKeyInfo, RFC 7469 2.4). The common name is no identity (RFC 9525 2) and is left out.
    `not_after` is seconds since 1970.
    """

    sha256: str
    spki_sha256: str
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    issuer: str
    serial_number: str
    not_after: float


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a TLS handshake brought. `version` and `cipher` are OpenSSL's names; `certificate` is the client's."""

    version: str
    cipher: str
    certificate: CertificateFacts | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection came from. `address` is the true client, also behind a PROXY header.

    `tls` is None on a plaintext connection. `channel` is the tunnel that is proven to have carried it, by name.
    """

    listener: str
    address: Address
    port: int
    proxied_by: Address | None = None
    tls: TlsFacts | None = None
    channel: str | None = None

    @property
    def certificate(self) -> CertificateFacts | None:
        """What the client proved itself with, if anything."""
        return None if self.tls is None else self.tls.certificate


@dataclass(frozen=True, slots=True)
class AssociationFacts:
    """One A-ASSOCIATE-RQ and where it came from. Titles are trimmed; `request` is the PDU as parsed."""

    origin: Origin
    calling_ae_title: str
    called_ae_title: str
    request: AssociateRequest


@dataclass(frozen=True, slots=True)
class OperationFacts:
    """One DIMSE request inside an admitted association.

    `sender` is who sent it; `abstract_syntax` is that of the presentation context it came on;
    `retrieving` is True while a C-GET of the other side is outstanding, which is what makes C-STORE
    sub-operations legal in the opposite direction (PS3.4 C.5.3). `calling_ae_title` is the association's.
    """

    sender: Side
    calling_ae_title: str
    abstract_syntax: str
    command: Command
    retrieving: bool = False
