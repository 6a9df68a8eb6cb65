"""The words of the rules as frozen values: networks, AE title patterns, peers, archives, verbs.

config/ makes these from the file; nothing here reads a file. Each default is the strictest one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import assert_never

from dicomgate.facts import Address, CertificateFacts

Network = IPv4Network | IPv6Network


class Verb(StrEnum):
    """What a DIMSE operation means (docs/reference/verbs.md)."""

    ECHO = "echo"
    STORE = "store"
    FIND = "find"
    WORKLIST = "worklist"
    MOVE = "move"
    GET = "get"
    COMMIT = "commit"
    MPPS = "mpps"
    UPS = "ups"
    PRINT = "print"


class Assurance(IntEnum):
    """How well we know who it is; more is greater."""

    ADDRESS = 1
    DEVICE = 2
    USER = 3

    @property
    def word(self) -> str:
        """The word used in the configuration and in records."""
        return self.name.lower()


class Mode(StrEnum):
    ENFORCE = "enforce"
    MONITOR = "monitor"


class Refusals(StrEnum):
    """How much a rejection tells: the standard's own reason, or always 1/1/1."""

    PRECISE = "precise"
    UNIFORM = "uniform"


@dataclass(frozen=True)
class Networks:
    """A set of networks. Empty means nobody; `any` must have been written."""

    members: tuple[Network, ...] = ()
    any: bool = False

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Networks":
        """From configuration texts: `any`, an address or a CIDR. ValueError names the wrong one."""
        texts = tuple(texts)
        return cls(tuple(ip_network(text) for text in texts if text != "any"), "any" in texts)

    def __contains__(self, address: Address) -> bool:
        return self.any or any(address in network for network in self.members)

    def __bool__(self) -> bool:
        return self.any or bool(self.members)

    def __str__(self) -> str:
        return ", ".join(["any"] * self.any + [str(network) for network in self.members]) or "nobody"


NOBODY = Networks()


@dataclass(frozen=True)
class AeTitlePattern:
    """An AE title with the wildcards `*` and `?`; case-sensitive (PS3.5 6.2: the standard never folds case).

    A wildcard stands for letters, digits, space, `_`, `-` and `.` only: archives use titles as folder names
    and in command lines, so whatever else a title may hold has to be written out.
    """

    text: str

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        plain = "[A-Za-z0-9 _.-]"
        parts = (f"{plain}*" if c == "*" else plain if c == "?" else re.escape(c) for c in self.text)
        return re.compile("".join(parts))

    @property
    def is_literal(self) -> bool:
        return "*" not in self.text and "?" not in self.text

    def matches(self, title: str) -> bool:
        return title == self.text if self.is_literal else self._regex.fullmatch(title) is not None


class CertificateKind(StrEnum):
    """By what a certificate is recognised; the words of `certificates` in the configuration."""

    DNS = "dns"
    URI = "uri"
    SHA256 = "sha256"
    SPKI = "spki"


@dataclass(frozen=True, slots=True)
class CertificatePattern:
    """One certificate, or all that bear one name. There are no wildcards, neither here nor in the certificate.

    `value` is a name, or a SHA-256 in lower-case hexadecimal: of the certificate, or of its public key (`spki`),
    which stays the same when a certificate is renewed for the same key.
    """

    kind: CertificateKind
    value: str

    def matches(self, certificate: CertificateFacts) -> bool:
        match self.kind:
            case CertificateKind.DNS:
                # DNS names fold case (RFC 4343); nothing else here does.
                return self.value.lower() in (name.lower() for name in certificate.dns_names)
            case CertificateKind.URI:
                return self.value in certificate.uris
            case CertificateKind.SHA256:
                return self.value == certificate.sha256
            case CertificateKind.SPKI:
                return self.value == certificate.spki_sha256
            case _:
                assert_never(self.kind)

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.value}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something listens: a host name or literal address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """What the rules know of a listener; its sockets are the gate's business."""

    name: str
    networks: Networks = NOBODY
    channels: frozenset[str] | None = None
    """One of these must have carried the connection; None asks for none, and an empty set lets nobody in."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An upstream the gate protects. `endpoints` are tried in order (passive failover).

    `networks` and `calling_ae_titles` say from where and under which titles it may call back; config/ fills
    them from the endpoints and `ae_title` when the file is silent. `calling_ae` replaces the client's
    calling AE title upstream; None keeps it.
    """

    name: str
    ae_title: str
    endpoints: tuple[Endpoint, ...]
    networks: Networks = NOBODY
    calling_ae_titles: tuple[str, ...] = ()
    calling_ae: str | None = None
    max_associations: int = 100


@dataclass(frozen=True, slots=True)
class Peer:
    """A known DICOM party: AE titles and networks and listener, and what it may do.

    `listeners`: None means every listener. `archives`: names of the archives it may reach.
    `move_to`: AE titles, peer names, or `self`. `endpoint`: where the archive may call it back, if at all.
    `certificates`: one of them must have been shown; None asks for none, and an empty tuple matches nobody.
    `channels`: one of them must have carried the connection; None asks for none, and an empty set matches nobody.
    `sop_classes` / `transfer_syntaxes`: UIDs it is limited to; None means every SOP class, and every transfer
    syntax that is not off by default (negotiation.OFF_UNLESS_WRITTEN).
    """

    name: str
    ae_titles: tuple[AeTitlePattern, ...] = ()
    networks: Networks = NOBODY
    listeners: frozenset[str] | None = None
    assurance: Assurance = Assurance.USER
    may: frozenset[Verb] = frozenset()
    move_to: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    sop_classes: frozenset[str] | None = None
    transfer_syntaxes: frozenset[str] | None = None
    max_associations: int | None = None
    certificates: tuple[CertificatePattern, ...] | None = None
    channels: frozenset[str] | None = None

    def has_title(self, title: str) -> bool:
        """Is this one of its titles? Nobody has the empty title, which stands for a malformed one; not even `*`."""
        return title != "" and any(pattern.matches(title) for pattern in self.ae_titles)

    def comes_through(self, channel: str | None) -> bool:
        """Is this one of its channels? Nothing proves a peer that names none."""
        return channel is not None and self.channels is not None and channel in self.channels

    def is_proven_by(self, certificate: CertificateFacts | None) -> bool:
        """Is this one of its certificates? Nothing proves a peer that names none."""
        if certificate is None or self.certificates is None:
            return False
        return any(pattern.matches(certificate) for pattern in self.certificates)


@dataclass(frozen=True, slots=True)
class Role:
    """What a verified user may do: a peer's `may` is cut down to the union of the user's roles."""

    name: str
    groups: tuple[str, ...] = ()
    may: frozenset[Verb] = frozenset()


@dataclass(frozen=True)
class Rules:
    """Everything policy.decide needs. First matching peer wins, in file order."""

    listeners: tuple[Listener, ...] = ()
    archives: tuple[Archive, ...] = ()
    peers: tuple[Peer, ...] = ()
    roles: tuple[Role, ...] = ()
    mode: Mode = Mode.ENFORCE
    refusals: Refusals = Refusals.PRECISE
    find_refusal_status: int = field(default=0xC000)
    """C-FIND does not list 0124H (PS3.7 9.1.2.1.5); what a refused query is answered with."""

    @cached_property
    def archive_by_title(self) -> dict[str, Archive]:
        return {archive.ae_title: archive for archive in self.archives}
