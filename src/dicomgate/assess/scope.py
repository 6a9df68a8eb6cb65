"""What an assessment may touch, and who said so: a TOML file or options in, a Scope or every mistake at once out.

Without a scope nothing is sent. A name is resolved once, here; what is called is the address that was checked.
"""

import socket
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from dicomgate.assess.inputs import Zone
from dicomgate.assess.line import Endpoint
from dicomgate.assess.model import Authorisation
from dicomgate.wire.text import is_plain_text, is_valid_ae_title

MOST_TARGETS = 1024
"""Of one run; a network is taken apart into its addresses."""
MOST_PORTS = 32
LONGEST_TEXT = 400
_KEYS = ("authorisation", "contact", "window", "networks", "ports", "target", "zone")
_PORT = range(1, 65536)

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `key` is empty when the whole file, or the command line, is meant."""

    place: str
    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.place}: error: {self.text}\n  hint: {self.hint}"


class ScopeError(Exception):
    """There is no usable scope, or something lies outside it. `problems` holds all that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Window:
    """When the assessment may run. Times without a zone are local."""

    begins: datetime
    ends: datetime

    def __str__(self) -> str:
        return f"{self.begins.isoformat(timespec='minutes')} to {self.ends.isoformat(timespec='minutes')}"


@dataclass(frozen=True, slots=True)
class Named:
    """A target as it was written: host name or address, port, and its called AE title if one was given."""

    host: str
    port: int
    called_ae_title: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Scope:
    """The permission. `named` were written one by one, and are in it whatever the networks say."""

    authorisation: str
    contact: str
    window: Window | None
    networks: tuple[Network, ...]
    ports: tuple[int, ...]
    """Other ports of its hosts that may be asked, beside those of targets."""
    named: tuple[Named, ...]
    zones: Mapping[str, Zone] = field(default_factory=dict)
    public_addresses: bool = False
    addresses: frozenset[Address] = frozenset()
    """What `named` stands for, once resolved."""

    def covers(self, address: str) -> bool:
        """Whether this address may be connected to at all."""
        ip = ip_address(address)
        if _is_public(ip) and not self.public_addresses:
            return False
        return ip in self.addresses or any(ip in network for network in self.networks)

    def with_addresses(self, addresses: Iterable[str]) -> "Scope":
        return replace(self, addresses=self.addresses | {ip_address(address) for address in addresses})

    def facts(self) -> Authorisation:
        """As every report repeats it."""
        return Authorisation(
            text=self.authorisation,
            contact=self.contact,
            window=str(self.window) if self.window else "any time",
            targets=tuple(map(str, self.named)),
            networks=tuple(map(str, self.networks)),
            public_addresses=self.public_addresses,
        )

    def __str__(self) -> str:
        facts = self.facts()
        where = [*facts.targets, *facts.networks]
        lines = [
            f"  authorised by  {facts.text}",
            f"  contact        {facts.contact or '(none named)'}",
            f"  window         {facts.window}",
            f"  may touch      {', '.join(where[:8])}{f' and {len(where) - 8} more' if len(where) > 8 else ''}",
            f"  other ports    {', '.join(map(str, self.ports)) or 'none'}",
            f"  public         {'yes, as you asked' if facts.public_addresses else 'no public address'}",
        ]
        return "\n".join(["scope", *lines])


def _is_public(ip: Address) -> bool:
    return ip.is_global


def read_scope(file: Path) -> Scope:
    """A scope from a TOML file. ScopeError names every mistake as FILE:KEY."""
    name = str(file)
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ScopeError([Problem(name, f"cannot be read: {error.strerror}", "name a file that exists")]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        hint = "see docs/howto/assess.md for a whole one"
        raise ScopeError([Problem(name, f"expected TOML: {str(error)[:120]}", hint)]) from None
    reader = _Reader(name, data)
    scope = reader.scope()
    if reader.problems:
        raise ScopeError(reader.problems)
    return scope


def scope_of_options(authorised: str, contact: str, named: Iterable[Named], ports: Iterable[int]) -> Scope:
    """A scope from the command line: exactly what is named there."""
    text = authorised.strip()
    problems = []
    if not text or not is_plain_text(text) or len(text) > LONGEST_TEXT:
        hint = 'say who has allowed it and why, for instance --authorised "J. Doe, head of IT, ticket 4711"'
        problems.append(Problem("--authorised", "expected one line of text", hint))
    if not is_plain_text(contact) or len(contact) > LONGEST_TEXT:
        problems.append(Problem("--contact", "expected one line of text", "a name and a telephone number"))
    if problems:
        raise ScopeError(problems)
    return Scope(text, contact, None, (), tuple(sorted(set(ports))), tuple(named))


def read_named(text: str) -> Named:
    """`HOST:PORT` or `[IPV6]:PORT`; ValueError for another."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not port.isdecimal() or int(port) not in _PORT or not host or (":" in host and "[" not in text):
        raise ValueError(text)
    if not is_plain_text(host) or any(character in host for character in " /?#@\\"):
        raise ValueError(text)
    return Named(host, int(port))


def expand(text: str) -> list[Named]:
    """`HOST:PORT`, or `NETWORK/BITS:PORT` taken apart into its addresses; ValueError for another, or too many."""
    network, _, port = text.strip().rpartition(":")
    if "/" not in network:
        return [read_named(text)]
    if not port.isdecimal() or int(port) not in _PORT:
        raise ValueError(text)
    hosts = ip_network(network.removeprefix("[").removesuffix("]"), strict=False)
    if hosts.num_addresses > MOST_TARGETS + 2:
        raise ValueError(f"a network of {hosts.num_addresses} addresses, more than {MOST_TARGETS}")
    return [Named(str(address), int(port)) for address in hosts.hosts()]


def resolve(host: str) -> list[str]:
    """The addresses of a name, IPv4 first, each once; empty when it has none."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass  # a name
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    addresses = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return sorted(addresses, key=lambda address: ip_address(address).version)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target and its address; None when the name has none."""

    named: Named
    endpoint: Endpoint | None


def place(scope: Scope, wanted: Iterable[Named], public: bool) -> tuple[Scope, list[Resolved]]:
    """Resolve every target once, and see that it is in the scope. ScopeError for what is not.

    `public`: the user has said that public addresses are meant.
    """
    scope = replace(scope, public_addresses=public)
    resolved = {named.host: resolve(named.host) for named in (*scope.named, *wanted)}
    scope = scope.with_addresses(address for named in scope.named for address in resolved[named.host])
    placed, problems = [], []
    for named in wanted:
        addresses = resolved[named.host]
        if not addresses:
            placed.append(Resolved(named, None))
            continue
        covered = next((address for address in addresses if scope.covers(address)), None)
        if covered is not None:
            placed.append(Resolved(named, Endpoint(covered, named.port)))
        elif any(_is_public(ip_address(address)) for address in addresses) and not public:
            text = f"{addresses[0]} is a public address"
            problems.append(Problem(str(named), text, "if that is meant, and allowed, say so with --allow-public"))
        else:
            hint = "add it to the scope, if whoever has authorised this agrees"
            problems.append(Problem(str(named), f"{addresses[0]} is not in the scope", hint))
    if problems:
        raise ScopeError(problems)
    return scope, placed


def check_window(scope: Scope, now: datetime) -> None:
    """ScopeError outside the window."""
    window = scope.window
    if window is not None and not window.begins <= now < window.ends:
        text = f"now is {now.isoformat(timespec='minutes')}, and the window is {window}"
        raise ScopeError([Problem("window", text, "run it in the window, or have the window changed")])


class _Reader:
    """One scope file; collects problems and goes on."""

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        self.name = name
        self.data = data
        self.problems: list[Problem] = []

    def scope(self) -> Scope:
        for key in self.data:
            if key not in _KEYS:
                self._problem(_key(key), "unknown key", f"known here: {', '.join(_KEYS)}")
        authorisation = self._text("authorisation", "who has allowed it, and why", required=True)
        contact = self._text("contact", "a name and a telephone number of somebody who can stop it", required=True)
        window = self._window()
        networks = tuple(self._networks())
        ports = tuple(self._ports())
        named = tuple(self._targets())
        zones = dict(self._zones())
        if "target" not in self.data and "networks" not in self.data:
            self._problem("", "expected targets or networks", 'write [[target]] tables, or networks = ["10.1.1.0/24"]')
        return Scope(authorisation, contact, window, networks, ports, named, zones)

    def _text(self, key: str, meaning: str, *, required: bool, table: Mapping[str, Any] | None = None) -> str:
        table = self.data if table is None else table
        value = table.get(key)
        if value is None:
            if required:
                self._problem(key, "expected this key, but it is missing", meaning)
            return ""
        if not isinstance(value, str) or not value.strip() or not is_plain_text(value) or len(value) > LONGEST_TEXT:
            self._problem(key, f"expected one line of text, came {_shown(value)}", meaning)
            return ""
        return value

    def _window(self) -> Window | None:
        raw = self.data.get("window")
        hint = 'for instance window = { from = 2026-11-22T20:00:00, until = 2026-11-22T23:00:00 }, or window = "any"'
        if raw == "any":
            return None
        if raw is None:
            self._problem("window", "expected this key, but it is missing", hint)
            return None
        if not isinstance(raw, dict) or set(raw) != {"from", "until"}:
            self._problem("window", f'expected from and until, or "any", came {_shown(raw)}', hint)
            return None
        begins, ends = _moment(raw["from"]), _moment(raw["until"])
        for key, moment in (("from", begins), ("until", ends)):
            if moment is None:
                self._problem(f"window.{key}", f"expected a date and time, came {_shown(raw[key])}", hint)
        if begins is None or ends is None:
            return None
        if ends <= begins:
            self._problem("window", "it ends before it begins", hint)
        return Window(begins, ends)

    def _networks(self) -> Iterable[Network]:
        for place, value in self._list("networks", 'for instance networks = ["10.1.1.0/24"]'):
            try:
                yield ip_network(value, strict=True) if isinstance(value, str) else _not_a_network()
            except ValueError:
                hint = "an address, or a network without host bits such as 10.1.1.0/24"
                self._problem(place, f"expected a network, came {_shown(value)}", hint)

    def _ports(self) -> Iterable[int]:
        values = self._list("ports", "for instance ports = [104, 11112]")
        if len(values) > MOST_PORTS:
            self._problem("ports", f"expected at most {MOST_PORTS}, came {len(values)}", "this is no port scanner")
            return
        for place, value in values:
            if isinstance(value, bool) or not isinstance(value, int) or value not in _PORT:
                self._problem(place, f"expected a port of 1 to 65535, came {_shown(value)}", "for instance 104")
            else:
                yield value

    def _targets(self) -> Iterable[Named]:
        for place, table in self._tables("target"):
            self._known(place, table, ("address", "called"))
            address, called = table.get("address"), table.get("called")
            if called is not None and not (isinstance(called, str) and is_valid_ae_title(called)):
                self._problem(f"{place}.called", f"expected an AE title, came {_shown(called)}", "up to 16 characters")
                called = None
            try:
                if not isinstance(address, str):
                    raise ValueError
                yield replace(read_named(address), called_ae_title=called)
            except ValueError:
                text = (
                    "expected this key, but it is missing"
                    if address is None
                    else f"expected HOST:PORT, came {_shown(address)}"
                )
                self._problem(f"{place}.address", text, 'for instance address = "10.1.1.5:104"')

    def _zones(self) -> Iterable[tuple[str, Zone]]:
        for place, table in self._tables("zone"):
            self._known(place, table, ("name", "dicom"))
            name, dicom = table.get("name"), table.get("dicom")
            if not isinstance(name, str) or not is_plain_text(name) or not 0 < len(name) <= 64:
                self._problem(f"{place}.name", f"expected a name, came {_shown(name)}", 'for instance "guest"')
            elif dicom not in ("allow", "deny"):
                self._problem(
                    f"{place}.dicom", f'expected "allow" or "deny", came {_shown(dicom)}', "what the matrix says"
                )
            else:
                yield name, Zone(name, dicom == "allow")

    def _tables(self, key: str) -> list[tuple[str, Mapping[str, Any]]]:
        raw = self.data.get(key, [])
        if not isinstance(raw, list):
            self._problem(key, f"expected tables below [[{key}]]", f"write [[{key}]] with double brackets")
            return []
        tables: list[tuple[str, Mapping[str, Any]]] = []
        for number, table in enumerate(raw, start=1):
            if isinstance(table, dict):
                tables.append((f"{key}[{number}]", table))
            else:
                self._problem(f"{key}[{number}]", f"expected a table, came {_shown(table)}", f"write [[{key}]]")
        return tables

    def _known(self, place: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self._problem(f"{place}.{_key(key)}", "unknown key", f"known here: {', '.join(known)}")

    def _list(self, key: str, hint: str) -> list[tuple[str, Any]]:
        raw = self.data.get(key, [])
        if not isinstance(raw, list):
            self._problem(key, f"expected an array, came {_shown(raw)}", hint)
            return []
        return [(f"{key}[{number}]", value) for number, value in enumerate(raw, start=1)]

    def _problem(self, key: str, text: str, hint: str) -> None:
        self.problems.append(Problem(f"{self.name}:{key}" if key else self.name, text, hint))


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value.astimezone() if isinstance(value, datetime) else None


def _not_a_network() -> Network:
    raise ValueError("not a string")


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and len(key) <= 60 else _shown(key)


def _shown(value: object) -> str:
    """A value or key of the file on one line, bounded."""
    match value:
        case str():
            return repr(value if len(value) <= 60 else value[:60] + "…")
        case bool() | int() | float():
            return str(value)[:60]
        case dict():
            return "a table"
        case list():
            return "an array"
        case _:
            return "a date or time" if value is not None else "nothing"
