"""Who a certificate may speak of: words of the command line in; checked names, or what is wrong with them, out.

DICOM does not say how an AE title stands in a certificate (PS3.8 9.1.1, PS3.15 Annex B). Here it is a URI among the
subject's alternative names: `dicom-ae:` and the percent-encoded title. That is this project's own convention.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, unquote

from dicomgate.pki.problem import PkiError, shown
from dicomgate.pki.words import Usage
from dicomgate.wire.text import AE_TITLE_LENGTH, is_valid_ae_title

AE_TITLE_SCHEME = "dicom-ae:"
LONGEST_SITE_NAME = 48
"""X.520 ends a common name at 64 characters, and the authorities' names add a few words to the site's."""
LONGEST_HOST = 253
MOST_NAMES = 64

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a certificate is for. `name` names the device in this authority and is the subject's common name."""

    name: str
    ae_titles: tuple[str, ...]
    hosts: tuple[str, ...]
    addresses: tuple[Address, ...]
    usage: Usage

    @classmethod
    def of(cls, name: str, ae_titles: list[str], hosts: list[str], addresses: list[str], usage: Usage) -> "Holder":
        """From words of the command line; PkiError for the first that cannot stand in a certificate."""
        holder = cls(
            device_name(name),
            tuple(dict.fromkeys(map(ae_title, ae_titles))),
            tuple(dict.fromkeys(map(host, hosts))),
            tuple(dict.fromkeys(map(address, addresses))),
            usage,
        )
        if len(ae_titles) + len(hosts) + len(addresses) > MOST_NAMES:
            raise PkiError(name, f"expected at most {MOST_NAMES} names in one certificate", "issue several")
        if usage is not Usage.CLIENT and not hosts and not addresses:
            raise PkiError(
                "--host",
                "expected a host or an address: clients compare it with the place they connect to",
                "add --host NAME or --address IP, or --client for a device that is never called",
            )
        if not ae_titles and not hosts and not addresses:
            raise PkiError("--ae", "expected at least one of --ae, --host and --address", "name what it shall prove")
        return holder


def device_name(text: str) -> str:
    """A name that is safe as a folder, in a shell and in a configuration. No dots: it must not look like a host."""
    if not _DEVICE.fullmatch(text):
        raise PkiError(
            "NAME",
            f"expected 1 to 63 letters, digits, - or _, beginning with a letter or digit, came {shown(text)}",
            "this is the device's name in this authority, such as ct-1; hosts go into --host, AE titles into --ae",
        )
    return text


def site_name(text: str) -> str:
    """The organisation in the names of both authorities and of all devices."""
    if not text.strip() or text != text.strip() or not text.isprintable() or len(text) > LONGEST_SITE_NAME:
        raise PkiError(
            "--name",
            f"expected 1 to {LONGEST_SITE_NAME} printable characters without spaces around them, came {shown(text)}",
            'for instance --name "North Clinic"',
        )
    return text


def ae_title(text: str) -> str:
    """PS3.5 6.2, without wildcards: a certificate names one title."""
    if text != text.strip(" ") or not is_valid_ae_title(text) or "*" in text or "?" in text:
        raise PkiError(
            "--ae",
            f"expected 1 to {AE_TITLE_LENGTH} printable ASCII characters without \\, *, ? and outer spaces, "
            f"came {shown(text)}",
            "write the title exactly as the device sends it (PS3.5 6.2), one --ae for each",
        )
    return text


def ae_title_uri(title: str) -> str:
    """`dicom-ae:CT1`; whatever RFC 3986 does not leave unreserved is percent-encoded."""
    return AE_TITLE_SCHEME + quote(title, safe="")


def ae_title_of(uri: str) -> str | None:
    """The title in a URI of our convention; None for any other."""
    title = unquote(uri.removeprefix(AE_TITLE_SCHEME))
    return title if is_valid_ae_title(title) and ae_title_uri(title) == uri else None


def host(text: str, option: str = "--host") -> str:
    """A DNS name in lower case."""
    wanted = "expected a DNS name such as ct1.north.example"
    if "*" in text:
        raise PkiError(option, f"{wanted}, came a wildcard: {shown(text)}", "name each device; wildcards prove none")
    if _is_address(text):
        raise PkiError(option, f"{wanted}, came an address: {shown(text)}", "write --address")
    if not text.isascii():
        raise PkiError(option, f"{wanted}, came {shown(text)}", "write its ASCII form, which begins with xn--")
    labels = text.lower().split(".")
    if len(text) > LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise PkiError(
            option, f"{wanted}, came {shown(text)}", "letters, digits, hyphens and single dots; no dot at the end"
        )
    return text.lower()


def address(text: str) -> Address:
    """A literal IPv4 or IPv6 address."""
    try:
        found = ip_address(text)
    except ValueError:
        raise PkiError("--address", f"expected an IP address, came {shown(text)}", "hosts go into --host") from None
    if isinstance(found, IPv6Address) and (found.scope_id is not None or found.ipv4_mapped is not None):
        raise PkiError("--address", f"expected a plain address, came {shown(text)}", "no zone, and IPv4 as IPv4")
    return found


@dataclass(frozen=True, slots=True)
class Permitted:
    """What the issuing authority may vouch for. None: anything, which has to be written as `any`."""

    suffixes: tuple[str, ...]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, texts: list[str]) -> "Permitted | None":
        """From the values of --permit."""
        if texts == ["any"]:
            return None
        if not texts or "any" in texts:
            raise PkiError(
                "--permit",
                "expected the DNS suffixes and networks that this authority may vouch for",
                "for instance --permit north.example --permit 10.1.0.0/16; --permit any, alone, sets no bounds",
            )
        networks = tuple(_network(text) for text in texts if "/" in text or _is_address(text))
        suffixes = tuple(
            host(text.removeprefix("."), "--permit") for text in texts if "/" not in text and not _is_address(text)
        )
        return cls(suffixes, networks)

    def check(self, holder: Holder) -> None:
        """PkiError for the first host or address outside: verifiers would refuse the certificate."""
        for name in holder.hosts:
            if not any(name == suffix or name.endswith("." + suffix) for suffix in self.suffixes):
                raise self._outside("--host", name)
        for one in holder.addresses:
            if not any(one in network for network in self.networks):
                raise self._outside("--address", str(one))

    def _outside(self, option: str, name: str) -> PkiError:
        bounds = ", ".join([*self.suffixes, *map(str, self.networks)])
        return PkiError(
            option,
            f"{shown(name)} is outside of what this authority may vouch for: {bounds}",
            "the bounds were set by pki init --permit and cannot be widened; another authority needs another init",
        )


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise PkiError(
            "--permit",
            f"expected a network such as 10.1.0.0/16, came {shown(text)}",
            "no bits may be set behind the prefix",
        ) from None


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
