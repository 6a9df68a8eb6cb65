"""Conversations in; who talks to whom, how, and what is wrong with it, out. Pure.

One row stands for all connections of one client to one server under the same titles.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from dicomgate.audit.record import iso_time
from dicomgate.watch.conversation import End, Kind
from dicomgate.watch.surroundings import Surroundings
from dicomgate.watch.watcher import Seen

MOST_ROWS = 10_000
"""Rows that are told apart; what comes after is only counted."""
_MOST_NAMES = 16
"""Names of software and of servers in one row: they are what a stranger says."""


class Remark(StrEnum):
    """What a configuration has to say of a row."""

    BYPASSES = "bypasses the gate"
    UNKNOWN = "unknown party"
    CLEAR = "in clear"


@dataclass(frozen=True, slots=True, order=True)
class Party:
    """Who calls whom, by which names."""

    client: str
    server: str
    port: int
    encrypted: bool
    calling_ae_title: str
    called_ae_title: str


@dataclass(slots=True)
class Row:
    """All connections of one party. Times are seconds since 1970."""

    party: Party
    connections: int = 0
    first: float = 0.0
    last: float = 0.0
    bytes: int = 0
    lost: int = 0
    verbs: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    software: set[str] = field(default_factory=set)
    server_names: set[str] = field(default_factory=set)
    remarks: tuple[Remark, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The row as one JSON object."""
        return {
            "client": self.party.client,
            "server": self.party.server,
            "port": self.party.port,
            "transport": "tls" if self.party.encrypted else "clear",
            "calling_ae_title": self.party.calling_ae_title or None,
            "called_ae_title": self.party.called_ae_title or None,
            "connections": self.connections,
            "first": iso_time(self.first),
            "last": iso_time(self.last),
            "bytes": self.bytes,
            "lost_bytes": self.lost,
            "verbs": dict(sorted(self.verbs.items())),
            "ends": dict(sorted(self.ends.items())),
            "software": sorted(self.software),
            "server_names": sorted(self.server_names),
            "remarks": [remark.value for remark in self.remarks],
        }

    def line(self) -> str:
        """The row for the eye."""
        party = self.party
        verbs = ", ".join(f"{verb} {count}" for verb, count in self.verbs.most_common())
        server = f"[{party.server}]:{party.port}" if ":" in party.server else f"{party.server}:{party.port}"
        names = (
            f"{party.calling_ae_title or '?'} → {party.called_ae_title or '?'}"
            if not party.encrypted
            else ", ".join(sorted(self.server_names)) or "(encrypted)"
        )
        parts = [
            f"{party.client} → {server}",
            "TLS" if party.encrypted else "clear",
            names,
            f"{self.connections} connections",
            verbs or "-",
            f"{self.bytes} bytes",
            *([f"{self.lost} bytes not seen"] if self.lost else []),
            *(remark.value.upper() for remark in self.remarks),
        ]
        return "  ".join(parts)


class Parties:
    """Adds up connections. The surroundings say what is wrong with a row."""

    def __init__(self, surroundings: Surroundings | None = None, most: int = MOST_ROWS) -> None:
        self._surroundings = surroundings or Surroundings()
        self._most = most
        self._rows: dict[Party, Row] = {}
        self.beyond = 0
        """Connections of parties beyond the table."""

    def add(self, seen: Iterable[Seen]) -> None:
        for each in seen:
            told = each.conversation
            party = Party(
                str(each.client),
                str(each.server),
                each.server_port,
                told.kind is Kind.TLS,
                told.calling_ae_title or "",
                told.called_ae_title or "",
            )
            row = self._rows.get(party)
            if row is None:
                if len(self._rows) >= self._most:
                    self.beyond += 1
                    continue
                row = self._rows[party] = Row(party, first=each.first, remarks=tuple(self._remarks(each)))
            row.connections += 1
            row.first, row.last = min(row.first, each.first), max(row.last, each.last)
            row.bytes += each.sent + each.received
            row.lost += told.lost
            row.verbs.update(told.verbs)
            row.ends[told.end.value if told.kind is Kind.DICOM else End.CLOSED.value] += 1
            _name(row.software, told.implementation_version_name)
            _name(row.server_names, told.server_name)

    def rows(self) -> list[Row]:
        """What stands out first, then by address."""
        return sorted(self._rows.values(), key=lambda row: (-len(row.remarks), row.party))

    def _remarks(self, seen: Seen) -> Iterator[Remark]:
        around, told = self._surroundings, seen.conversation
        if around.rules is None:
            return
        gate = around.is_gate(seen.client) or around.is_gate(seen.server)
        if not gate and around.is_protected(seen.server, seen.server_port):
            yield Remark.BYPASSES
        title = told.calling_ae_title or ""
        if told.kind is Kind.DICOM and not around.is_known(seen.client, title):
            yield Remark.UNKNOWN
        if told.kind is Kind.DICOM and not (seen.client.is_loopback and seen.server.is_loopback):
            yield Remark.CLEAR


def _name(names: set[str], name: str | None) -> None:
    if name and len(names) < _MOST_NAMES:
        names.add(name)
