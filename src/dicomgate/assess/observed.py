"""Who used a port: records of a gate or rows of a flow log in, observations (need.py) out. Pure; it reads no file.

A flow log is CSV with a head line, or JSON lines. Its columns go by usual names: see COLUMNS.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from dicomgate.assess.need import Observations, Use

COLUMNS = {
    "time": ("time", "start", "ts", "timestamp", "first"),
    "client": ("client", "src", "source", "src_ip", "sa", "srcaddr"),
    "server": ("server", "dst", "destination", "dst_ip", "da", "dstaddr"),
    "port": ("port", "dport", "dst_port", "dp", "dstport"),
}
"""What is needed of a flow, and the names of columns that hold it."""

MOST_USES = 100_000
"""Parties that are told apart; a log with more is not that of a DICOM port."""


class ObservationError(ValueError):
    """The records or flows are not what was expected; the text says where."""


def from_records(records: Iterable[Mapping[str, Any]], doors: Iterable[str] = ()) -> Observations:
    """From a gate's records as `dicomgate audit list --json` prints them. A door is a listener.

    `association_admitted` is a use; `operation` tells the verb.
    """
    collected = _Collected(doors)
    for number, record in enumerate(records, start=1):
        try:
            at = _time(record["time"])
            collected.span(at)
            if record["event"] not in ("association_admitted", "operation") or record["address"] is None:
                continue
            admitted = record["event"] == "association_admitted"
            verb = record.get("verb")
            collected.add(
                Use(
                    _shown(record["listener"]) or "?",
                    str(ip_address(record["address"])),
                    _shown(record["calling_ae_title"]),
                    _shown(record["called_ae_title"]),
                    frozenset() if verb is None or admitted else frozenset([_shown(verb)]),
                    int(admitted),
                    at,
                    at,
                )
            )
        except (KeyError, TypeError, ValueError):
            raise ObservationError(f"record {number}: expected a record of a gate") from None
    return collected.observations()


def from_flows(lines: Iterable[str], ports: frozenset[int], doors: Iterable[str] = ()) -> Observations:
    """From a flow log's lines. A door is `HOST:PORT`; flows to other ports than `ports` only tell the time."""
    collected = _Collected(doors)
    for number, row in _rows(lines):
        try:
            at = _time(_cell(row, "time"))
            port = int(str(_cell(row, "port")))
            client, server = ip_address(str(_cell(row, "client"))), ip_address(str(_cell(row, "server")))
        except ValueError:
            raise ObservationError(f"line {number}: expected a time, two addresses and a port") from None
        collected.span(at)
        if port in ports:
            door = f"[{server}]:{port}" if server.version == 6 else f"{server}:{port}"
            collected.add(Use(door, str(client), "", "", frozenset(), 1, at, at))
    return collected.observations()


def from_uses(uses: Iterable[Use], doors: Iterable[str], first: float, last: float) -> Observations:
    """From uses that somebody else has recognised, such as a capture's."""
    collected = _Collected(doors)
    collected.span(first)
    collected.span(last)
    for use in uses:
        collected.add(use)
    return collected.observations()


class _Collected:
    """Uses added up by party."""

    def __init__(self, doors: Iterable[str]) -> None:
        self._doors = dict.fromkeys(doors)
        self._uses: dict[tuple[str, str, str, str], Use] = {}
        self._times: tuple[float, float] | None = None

    def span(self, at: float) -> None:
        first, last = self._times or (at, at)
        self._times = (min(first, at), max(last, at))

    def add(self, use: Use) -> None:
        key = (use.door, use.client, use.calling, use.called)
        known = self._uses.get(key)
        if known is None:
            if len(self._uses) >= MOST_USES:
                raise ObservationError(f"more than {MOST_USES} parties: is this the right log?")
            self._doors.setdefault(use.door)
            self._uses[key] = use
            return
        self._uses[key] = replace(
            known,
            verbs=known.verbs | use.verbs,
            count=known.count + use.count,
            first=min(known.first, use.first),
            last=max(known.last, use.last),
        )

    def observations(self) -> Observations:
        first, last = self._times or (0.0, 0.0)
        return Observations(tuple(self._uses.values()), tuple(self._doors), first, last)


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    if first[1].lstrip().startswith("{"):
        yield first[0], _object(*first)
        for number, line in numbered:
            yield number, _object(number, line)
        return
    head = [name.strip().lower() for name in next(csv.reader([first[1]]))]
    for what, names in COLUMNS.items():
        if not set(names) & set(head):
            raise ObservationError(f"line {first[0]}: expected a column for the {what}: one of {', '.join(names)}")
    for number, line in numbered:
        yield number, dict(zip(head, next(csv.reader([line])), strict=False))


def _object(number: int, line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ObservationError(f"line {number}: expected a JSON object")
    return row


def _cell(row: Mapping[str, Any], what: str) -> object:
    for name in COLUMNS[what]:
        if name in row:
            value: object = row[name]
            return value
    raise ValueError(what)


def _shown(value: object) -> str:
    """A word that may be printed: a file from elsewhere must not steer a terminal."""
    text = "" if value is None else str(value)
    if not text.isprintable():
        raise ValueError("not printable")
    return text


def _time(value: object) -> float:
    """Seconds since 1970, or ISO 8601 (UTC unless it says otherwise)."""
    text = str(value).strip()
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
