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


class UpstreamIdentity(StrEnum):
    """What becomes of a user's identity on the way to the archive. A passcode never goes there."""

    STRIP = "strip"
    PASS = "pass"  # noqa: S105 - a word of the file, not a secret
    MINT = "mint"
    MAP = "map"
    LOGIN = "login"


class OnExpiry(StrEnum):
    """What happens to a running association when the proof of who its user is expires."""

    FINISH = "finish"
    END = "end"


class Tamper(StrEnum):
    """What is done about a C-STORE that brings other content for a SOP instance that an archive already has."""

    OFF = "off"
    ALERT = "alert"
    REFUSE = "refuse"


class TamperHold(StrEnum):
    """What an archive does not hear of before the content of a C-STORE has been judged."""

    FRAGMENT = "fragment"
    """The end of the data set; the rest streams through."""
    OBJECT = "object"
    """All of it."""


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


def matches_one(patterns: tuple[CertificatePattern, ...] | None, certificate: CertificateFacts | None) -> bool:
    """Is the certificate one of those listed? Where none was shown or none is listed, nothing is proven."""
    if certificate is None or patterns is None:
        return False
    return any(pattern.matches(certificate) for pattern in patterns)


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
    verifiers: tuple[str, ...] | None = None
    """Names of those it trusts to vouch for users; None means all."""
    plaintext_passcodes: bool = False
    channels: frozenset[str] | None = None
    """One of these must have carried the connection; None asks for none, and an empty set lets nobody in."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An upstream the gate protects. `endpoints` are tried in order (passive failover).

    `networks` and `calling_ae_titles` say from where and under which titles it may call back; config/ fills
    them from the endpoints and `ae_title` when the file is silent. `calling_ae` replaces the client's
    calling AE title upstream; None keeps it. With `identity` MAP, `calling_ae_of_user` and then
    `calling_ae_of_role` (in the order of the file) go before it.
    """

    name: str
    ae_title: str
    endpoints: tuple[Endpoint, ...]
    networks: Networks = NOBODY
    calling_ae_titles: tuple[str, ...] = ()
    calling_ae: str | None = None
    max_associations: int = 100
    identity: UpstreamIdentity = UpstreamIdentity.STRIP
    certificates: tuple[CertificatePattern, ...] | None = None
    """One of them must have been shown by who calls back in its name; None asks for none."""
    calling_ae_of_user: tuple[tuple[str, str], ...] = ()
    calling_ae_of_role: tuple[tuple[str, str], ...] = ()
    tamper: Tamper = Tamper.OFF
    """Off by default: docs/design/defaults.md says what a digest costs."""
    tamper_hold: TamperHold = TamperHold.FRAGMENT
    """Counts where `tamper` refuses."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A known DICOM party: AE titles and networks and listener, and what it may do.

    `listeners`: None means every listener. `archives`: names of the archives it may reach.
    `move_to`: AE titles, peer names, or `self`. `endpoint`: where the archive may call it back, if at all.
    `certificates`: one of them must have been shown; None asks for none, and an empty tuple matches nobody.
    `channels`: one of them must have carried the connection; None asks for none, and an empty set matches nobody.
    `sop_classes` / `transfer_syntaxes`: UIDs it is limited to; None means every SOP class, and every transfer
    syntax that is not off by default (negotiation.OFF_UNLESS_WRITTEN).
    `verifiers`: who may vouch for its users; None means all. Written for a peer of lower assurance, it asks for an
    identity that is offered to be true. `username_roles`: what a user has whom the proven device merely names
    (identity type 1); None refuses such a user.
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
    verifiers: tuple[str, ...] | None = None
    username_roles: tuple[str, ...] | None = None
    channels: frozenset[str] | None = None
    never_block: bool = False
    """No detector may hold it off, nor its addresses; only a human may."""
    corrections: bool = False
    """May store other content for a SOP instance that an archive already has."""

    def has_title(self, title: str) -> bool:
        """Is this one of its titles? Nobody has the empty title, which stands for a malformed one; not even `*`."""
        return title != "" and any(pattern.matches(title) for pattern in self.ae_titles)

    def comes_through(self, channel: str | None) -> bool:
        """Is this one of its channels? Nothing proves a peer that names none."""
        return channel is not None and self.channels is not None and channel in self.channels

    def is_proven_by(self, certificate: CertificateFacts | None) -> bool:
        """Is this one of its certificates? Nothing proves a peer that names none."""
        return matches_one(self.certificates, certificate)


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of day on some days of the week, in the gate's local time.

    `days`: 0 is Monday. `start` and `end` are minutes since midnight; an end before the start is on the next day.
    """

    days: frozenset[int]
    start: int
    end: int

    def contains(self, weekday: int, minute: int) -> bool:
        if self.start < self.end:
            return weekday in self.days and self.start <= minute < self.end
        return (weekday in self.days and minute >= self.start) or ((weekday - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True, slots=True)
class Role:
    """What a verified user may do: a peer's `may` is cut down to the union of the user's roles.

    `archives`, `hours` and `sop_classes`: None means all of them. SOP classes limit stores, and what a C-GET brings.
    An `emergency` role is given for a reason and a time, and by nothing else (iam/emergency.py).
    """

    name: str
    groups: tuple[str, ...] = ()
    may: frozenset[Verb] = frozenset()
    archives: tuple[str, ...] | None = None
    hours: tuple[Hours, ...] | None = None
    sop_classes: frozenset[str] | None = None
    on_expiry: OnExpiry = OnExpiry.FINISH
    emergency: bool = False


@dataclass(frozen=True)
class Rules:
    """Everything policy.decide needs. First matching peer wins, in file order."""

    listeners: tuple[Listener, ...] = ()
    archives: tuple[Archive, ...] = ()
    peers: tuple[Peer, ...] = ()
    roles: tuple[Role, ...] = ()
    verifiers: tuple[str, ...] = ()
    """Names of all that can vouch for a user, in the order of the file."""
    mode: Mode = Mode.ENFORCE
    refusals: Refusals = Refusals.PRECISE
    find_refusal_status: int = field(default=0xC000)
    """C-FIND does not list 0124H (PS3.7 9.1.2.1.5); what a refused query is answered with."""

    @cached_property
    def archive_by_title(self) -> dict[str, Archive]:
        return {archive.ae_title: archive for archive in self.archives}
