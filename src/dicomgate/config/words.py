"""Words of the file that have a fixed spelling: names, AE titles, networks, UIDs, status codes."""

import re
from collections.abc import Callable
from enum import Enum
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from dicomgate.config.problem import WrongValueError, closest, listed, shown
from dicomgate.iam.oidc.urls import is_safe_url
from dicomgate.policy.model import AeTitlePattern, CertificateKind, CertificatePattern, Hours
from dicomgate.wire.codes import status_class
from dicomgate.wire.text import AE_TITLE_LENGTH, is_plain_text, is_valid_ae_title, is_valid_uid

E = TypeVar("E", bound=Enum)

_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*")
_FHIR_BASE = re.compile(
    r"https?://[A-Za-z0-9_.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:-]*)*|"
    r"https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&'()*+,;=:-]*)*"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_name(value: object) -> bool:
    """Whether this may name a table of the file."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def name(value: object) -> str:
    """The name of a listener, archive, peer, …: it appears in records and log lines."""
    if not isinstance(value, str) or not is_name(value):
        raise WrongValueError(
            f"expected a name, came {shown(value)}",
            "use 1 to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or a digit",
        )
    return value


def ae_title(value: object) -> str:
    """One AE title (PS3.5 table 6.2-1: at most 16 characters, no backslash, no control characters)."""
    title = _title(value)
    if "*" in title or "?" in title:
        raise WrongValueError(
            f"expected one AE title, came {shown(value)}",
            "the wildcards * and ? are allowed in the ae_titles of a peer only",
        )
    return title


def ae_title_pattern(value: object) -> AeTitlePattern:
    """One AE title that may hold the wildcards `*` and `?`."""
    title = _title(value)
    if "**" in title:
        # Means the same as one, but each more makes a comparison with a stranger's title slower.
        raise WrongValueError(f"expected no ** in an AE title, came {shown(value)}", "write one * only")
    return AeTitlePattern(title)


def calling_ae(value: object) -> str | None:
    """`keep` (None) or the AE title that replaces the client's."""
    return None if value == "keep" else ae_title(value)


def calling_ae_map(value: object) -> tuple[tuple[str, str, str], ...]:
    """AE titles for users and roles: ("user" or "role", its name, the title), in the order of the file."""
    if not isinstance(value, dict):
        raise WrongValueError(
            f"expected a table, came {shown(value)}", 'write for instance { "role:radiologist" = "RADIOLOGY" }'
        )
    found = []
    for key, title in value.items():
        kind, colon, named = str(key).partition(":")
        if kind not in ("user", "role") or not colon or not named:
            raise WrongValueError(f"expected user:NAME or role:NAME, came {shown(key)}", "put such a key in quotes")
        found.append((kind, named, ae_title(title)))
    return tuple(found)


def certificate(value: object) -> CertificatePattern:
    """What proves a device: `dns:NAME` or `uri:URI` of its certificate, `sha256:` or `spki:` and a fingerprint."""
    hint = 'write "dns:ct1.north.example", "uri:…", "sha256:…" or "spki:…"; fingerprints are hexadecimal'
    kind, _, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind not in tuple(CertificateKind):
        raise WrongValueError(f"expected what a certificate is recognised by, came {shown(value)}", hint)
    if kind in (CertificateKind.SHA256, CertificateKind.SPKI):
        return CertificatePattern(CertificateKind(kind), fingerprint(rest))
    if not rest or not rest.isascii() or not rest.isprintable() or " " in rest or "*" in rest:
        raise WrongValueError(
            f"expected a name in ASCII without spaces and wildcards, came {shown(value)}",
            "write the name exactly as it stands among the certificate's subject alternative names",
        )
    return CertificatePattern(CertificateKind(kind), rest)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"(?:([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? )?([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def hours(value: object) -> Hours:
    """A time of the week: "Mon-Fri 07:00-19:00", "Sat 08:00-12:00", or "22:00-06:00" for every day."""
    hint = 'write for instance "Mon-Fri 07:00-19:00" or "22:00-06:00"; days are Mon Tue Wed Thu Fri Sat Sun'
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise WrongValueError(f"expected days and a time of day, came {shown(value)}", hint)
    first, last, *numbers = found.groups()
    unknown = next((day for day in (first, last) if day is not None and day not in _DAYS), None)
    if unknown is not None:
        raise WrongValueError(f"expected a day of the week, came {shown(unknown)}", hint)
    begin, begin_minute, end, end_minute = map(int, numbers)
    start, stop = begin * 60 + begin_minute, end * 60 + end_minute
    if start == stop or max(start, stop) > 24 * 60:
        raise WrongValueError(f"expected a time span within one day, came {shown(value)}", hint)
    one = 0 if first is None else _DAYS.index(first)
    other = 6 if first is None else one if last is None else _DAYS.index(last)
    days = range(one, other + 1) if one <= other else (*range(one, 7), *range(other + 1))
    return Hours(frozenset(days), start, stop)


def host_name(value: object) -> str:
    """A host name or literal address, as it stands in a certificate."""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise WrongValueError(
            f"expected a host name or an address, came {shown(value)}", 'write for instance "archive.north.example"'
        )
    return value


def http_url(value: object) -> str:
    """The URL of a service: http or https, a host, and no user or passcode in it."""
    hint = 'write for instance "http://ocsp.clinic.example/"; secrets never stand in this file'
    parts = urlsplit(value) if isinstance(value, str) and value.isascii() and value.isprintable() else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise WrongValueError("expected a URL that begins with http:// or https://, without a user name in it", hint)
    return urlunsplit(parts)


def fhir_base(value: object) -> str:
    """An http or https URL with a host, and nothing behind its path."""
    if not isinstance(value, str) or not _FHIR_BASE.fullmatch(value):
        came = "one with an @" if isinstance(value, str) and "@" in value else shown(value)  # it may hold a password
        raise WrongValueError(
            f"expected an https URL without user, query or fragment, came {came}",
            'write for instance "https://repository.example/fhir"; a token stands in token_file',
        )
    return value


def fingerprint(value: object) -> str:
    """A SHA-256 as 64 hexadecimal digits, with or without colons and the prefix `sha256:`; lower case comes out."""
    digits = value.removeprefix("sha256:").replace(":", "").lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise WrongValueError(
            f"expected a SHA-256 of 64 hexadecimal digits, came {shown(value)}",
            "openssl x509 -in FILE -noout -fingerprint -sha256 prints that of a certificate",
        )
    return digits


def _title(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValueError(f"expected an AE title, came {shown(value)}", 'write it in quotes, for instance "CT1"')
    if not value.strip(" "):
        raise WrongValueError(
            f"expected an AE title, came {shown(value)}", "write 1 to 16 characters; an empty title names nobody"
        )
    if value != value.strip(" "):
        raise WrongValueError(
            f"expected an AE title without spaces around it, came {shown(value)}",
            f"write {shown(value.strip(' '))}; titles are compared after trimming",
        )
    if len(value) > AE_TITLE_LENGTH:
        raise WrongValueError(
            f"expected at most 16 characters, came {len(value)}: {shown(value)}",
            "AE titles end at 16 characters (PS3.5 6.2)",
        )
    if not is_valid_ae_title(value):
        raise WrongValueError(
            f"expected printable ASCII characters without backslash, came {shown(value)}",
            "write the title exactly as the device sends it; accents and umlauts cannot be sent",
        )
    return value


def network(value: object) -> str:
    """`any`, an address or a CIDR, as Networks.of reads it."""
    if not isinstance(value, str):
        raise WrongValueError(
            f"expected a network, came {shown(value)}", 'write it in quotes, for instance "10.1.2.0/24"'
        )
    if value == "any":
        return value
    try:
        found = ip_network(value)
    except ValueError:
        raise WrongValueError(
            f'expected an address, a CIDR or "any", came {shown(value)}', _network_hint(value)
        ) from None
    if "%" in value:
        raise WrongValueError(
            f"expected a network without a zone, came {shown(value)}", "leave out the % and what follows"
        )
    if isinstance(found, IPv6Network) and found.network_address.ipv4_mapped is not None and found.prefixlen >= 96:
        raise WrongValueError(
            f"expected an IPv4 network, came its IPv6-mapped form {shown(value)}",
            f'write "{found.network_address.ipv4_mapped}/{found.prefixlen - 96}"',
        )
    return value


def fixed_network(value: object) -> str:
    """An address or a CIDR that is not every address: what a site or a segment consists of."""
    text = network(value)
    if text == "any" or ip_network(text).prefixlen == 0:
        raise WrongValueError(
            f"expected an address or a CIDR, came {shown(value)}", "list the networks; every address belongs to nobody"
        )
    return text


def address(value: object) -> IPv4Address | IPv6Address:
    """A literal address of one machine."""
    try:
        found = ip_address(value) if isinstance(value, str) and "%" not in value else None
    except ValueError:
        found = None
    if found is None or found.is_unspecified or found.is_multicast:
        raise WrongValueError(
            f"expected the literal address of a machine, came {shown(value)}", 'write for instance "10.1.1.5"'
        )
    return found


def tunnel_address(value: object) -> IPv4Interface | IPv6Interface:
    """An address and the length of its prefix, as an interface has them."""
    try:
        if isinstance(value, str) and "/" in value and "%" not in value:
            return ip_interface(value)
    except ValueError:
        pass
    raise WrongValueError(f"expected ADDRESS/PREFIX, came {shown(value)}", 'write for instance "10.99.0.1/30"')


def interface(value: object) -> str:
    """The name of a network interface (Linux: at most 15 characters)."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", value):
        raise WrongValueError(
            f"expected the name of a network interface, came {shown(value)}",
            'write 1 to 15 letters, digits, dots, hyphens and underscores, for instance "wg0"',
        )
    return value


def port(value: object) -> int:
    """A TCP or UDP port."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise WrongValueError(
            f"expected a port from 1 to 65535, came {shown(value)}", "write a whole number without quotes"
        )
    return value


def mark(value: object) -> int:
    """A netfilter mark."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 0xFFFFFFFF:
        raise WrongValueError(
            f"expected a mark from 1 to 0xFFFFFFFF, came {shown(value)}", "write a whole number without quotes: 0x2a"
        )
    return value


def ike_identity(value: object) -> str:
    """What one end of a tunnel calls itself (RFC 7296 3.5): a name, an address, `NAME@DOMAIN` or `CN=…, O=…`."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._:@=,/+-]{0,254}", value):
        raise WrongValueError(
            f"expected the identity of a tunnel's end, came {shown(value)}",
            'write a name of its certificate, for instance "gate.north.example"',
        )
    return value


def wireguard_key(value: object) -> str:
    """A WireGuard public key: 32 bytes in base64."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", value):
        return value
    raise WrongValueError(
        "expected a WireGuard public key of 44 characters, came another value", "wg pubkey prints it from a private key"
    )


def _network_hint(value: str) -> str:
    try:
        meant = ip_interface(value)
        return f'host bits are set: write "{meant.network}" for the network, or "{meant.ip}" for the one address'
    except ValueError:
        pass
    if value.lower() in {"any", "all", "*"}:
        return 'write "any" for everybody'
    if re.search(r"[A-Za-z]", value) and ":" not in value:
        return "host names are not allowed here: a name server must not decide who gets in"
    return 'write for instance "10.1.2.31", "10.1.2.0/24" or "2001:db8:1::/64"'


def sop_class(value: object) -> str:
    """The UID of a SOP class, from the UID or from its keyword (`CTImageStorage`)."""
    return _uid(value, "a SOP class", ("SOP Class", "Meta SOP Class"), "CTImageStorage")


def uid(value: object) -> str:
    """Any UID (PS3.5 9.1)."""
    if not isinstance(value, str) or not is_valid_uid(value):
        raise WrongValueError(
            f"expected a UID, came {shown(value)}", "digits and dots, at most 64, no part with a leading zero"
        )
    return value


def transfer_syntax(value: object) -> str:
    """The UID of a transfer syntax, from the UID or from its keyword (`JPEG2000Lossless`)."""
    return _uid(value, "a transfer syntax", ("Transfer Syntax",), "JPEG2000Lossless")


@cache
def _dictionary() -> tuple[dict[str, str], dict[str, str]]:
    """Kinds by UID, and UIDs by keyword."""
    from pydicom.uid import UID_dictionary  # noqa: PLC0415 - a third of a second; few files name a UID

    kinds = {uid: str(entry[1]) for uid, entry in UID_dictionary.items()}
    return kinds, {str(entry[4]): str(uid) for uid, entry in UID_dictionary.items() if entry[4]}


def _uid(value: object, what: str, kinds: tuple[str, ...], example: str) -> str:
    expected = f"expected {what} (UID or keyword), came {shown(value)}"
    hint = f'write a UID or the DICOM dictionary\'s keyword, for instance "{example}"'
    if not isinstance(value, str):
        raise WrongValueError(expected, hint)
    kind_of_uid, uid_of_keyword = _dictionary()
    uid = uid_of_keyword.get(value, value)
    kind = kind_of_uid.get(uid)
    if kind in kinds:
        return uid
    if kind is not None:
        raise WrongValueError(expected, f"the dictionary lists {shown(value)} as: {kind}")
    if is_valid_uid(uid):
        return uid
    meant = closest(value, (word for word, found in uid_of_keyword.items() if kind_of_uid[found] in kinds))
    raise WrongValueError(expected, f'did you mean "{meant}"?' if meant else hint)


def plain(value: str) -> str:
    """A text on one line, not empty."""
    if not value or len(value) > 1024 or not is_plain_text(value):
        raise WrongValueError(f"expected a text on one line, came {shown(value)}", "write it without spaces around it")
    return value


def provider_url(value: object) -> str:
    """The URL of an identity provider, which is compared letter by letter."""
    hint = 'write for instance "https://login.clinic.example/realms/main"; http is taken for this machine only'
    if not isinstance(value, str) or not is_safe_url(value) or "?" in value:
        raise WrongValueError(f"expected an https URL without a query, came {shown(value)}", hint)
    return value


def claim_path(value: object) -> tuple[str, ...]:
    """Names from the outside in: "realm_access.roles", or an array of names that may hold dots themselves."""
    hint = 'write "groups", "realm_access.roles", or an array: ["https://clinic.example/groups"]'
    names = value.split(".") if isinstance(value, str) else value
    if isinstance(value, str) and "://" in value:
        raise WrongValueError(f"expected names with dots between them, came {shown(value)}", hint)
    if not isinstance(names, list) or not 0 < len(names) <= 8 or not all(isinstance(x, str) and x for x in names):
        raise WrongValueError(f"expected the name of a claim, came {shown(value)}", hint)
    return tuple(names)


def variable(value: str) -> str:
    """The name of an environment variable."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,255}", value):
        raise WrongValueError(
            "expected the name of an environment variable, came something else",  # perhaps the secret itself
            'write its name only, for instance "DICOMGATE_CLIENT_SECRET"',
        )
    return value


def one_of(words: dict[str, E]) -> Callable[[object], E]:
    """A validator for a choice among written words."""

    def choose(value: object) -> E:
        if isinstance(value, str) and value in words:
            return words[value]
        meant = closest(value, words) if isinstance(value, str) else None
        hint = f'did you mean "{meant}"?' if meant else f"write one of {listed(words)}, in quotes"
        raise WrongValueError(f"expected one of {listed(words)}; came {shown(value)}", hint)

    return choose


def failure_status(value: object) -> int:
    """A DIMSE failure status of the classes Axxx, Cxxx or 01xx (PS3.7 Annex C)."""
    came = shown(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF:
        if (value >> 12 in (0xA, 0xC) or value >> 8 == 0x01) and status_class(value) == "failure":
            return value
        came = f"0x{value:04X}"
    raise WrongValueError(
        f"expected a failure status of the classes 0xAxxx, 0xCxxx or 0x01xx, came {came}",
        "write it as a hexadecimal number without quotes: 0xC000, 0xA700, 0x0124 (not authorised)",
    )
