"""What the user hands to an assessment beside the targets: titles, certificates, files. Values, and their readers.

Files are read once, before anything is sent; InputError names the file and what was expected in it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicomgate.assess.line import Endpoint, KeyPair

DICOM_PORTS = (104, 2761, 2762, 4242, 11112, 8042, 8104)
"""Where DICOM listeners are usually found; PS3.8 names 104, 2761, 2762 and 11112."""
MOST_INPUT = 256 * 1024 * 1024
"""Bytes of one input file."""
SEGMENT_FORMAT, CHANNEL_FORMAT = "dicomgate-segment-verify/1", "dicomgate-channel-verify/1"
"""What `dicomgate segment verify` and `dicomgate channel verify` write with `--output`."""


class InputError(Exception):
    """A file that the user named cannot be used."""

    def __init__(self, file: str, text: str, hint: str) -> None:
        super().__init__(f"{file}: {text}\n  hint: {hint}")


@dataclass(frozen=True, slots=True)
class User:
    """A test account, for checks that count wrong passcodes."""

    name: str


@dataclass(frozen=True, slots=True)
class Use:
    """Who called a port, from a gate's records: one line for each address."""

    address: str
    associations: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What records say about the use of what is assessed."""

    days: float
    """Between the first and the last record."""
    users: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a search engine for open ports has on record about an address."""

    address: str
    ports: tuple[int, ...]
    last_update: str


@dataclass(frozen=True, slots=True)
class Zone:
    """Where the assessor stands, and whether the segment matrix lets DICOM through from there."""

    name: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class SegmentProbe:
    """One connection that `dicomgate segment verify` tried, and whether that came out as the matrix says."""

    source_segment: str
    address: str
    port: int
    must_pass: bool
    ok: bool
    past_channel: bool = False
    """Another site's real address, which must answer through the channel only."""


@dataclass(frozen=True, slots=True)
class ChannelFinding:
    """One check of `dicomgate channel verify`. Not `seen`: it could not be looked at."""

    check: str
    ok: bool
    seen: bool


@dataclass(frozen=True, slots=True)
class Channel:
    """One site-to-site channel, as configured and, with findings, as it runs."""

    name: str
    mutual: bool
    """Both ends prove themselves with certificates or keys of their own, not with one shared secret."""
    shared_key_days: float | None
    """Age of the shared key's file; None without one on the machine where that was written."""
    findings: tuple[ChannelFinding, ...] = ()


@dataclass(frozen=True, slots=True)
class WebService:
    """A DICOMweb base address, such as `http://10.1.1.20:8042/dicom-web`, resolved."""

    url: str
    host: str
    """As the URL writes it, port included: what goes into the Host header."""
    endpoint: Endpoint
    path: str
    tls: bool


@dataclass(frozen=True, slots=True)
class Inputs:
    """All of it. What is None or empty was not named, and checks that need it are skipped."""

    ports: tuple[int, ...] = ()
    """Other ports of the target's host that are in the scope."""
    declared: frozenset[Endpoint] = frozenset()
    """Every target of the run: listeners that are known about."""
    known_calling: str | None = None
    """A calling AE title that the target knows, but not from the assessor's address."""
    planted_study: str | None = None
    """Study Instance UID of a synthetic study in the archive."""
    move_to: str | None = None
    test_user: User | None = None
    certificate: KeyPair | None = None
    """A valid client certificate, of another device than `known_calling`."""
    revoked: KeyPair | None = None
    """A client certificate that was revoked, or has expired."""
    host_name: str | None = None
    """What the server's certificate should name; None when the target was given as an address."""
    dicomweb: tuple[WebService, ...] = ()
    outside: bool = False
    """The assessor stands outside the site, on the public Internet."""
    zone: Zone | None = None
    beyond_channel: tuple[Endpoint, ...] = ()
    """Real addresses of the peer site, which must answer inside the channel only."""
    usage: Usage | None = None
    indexed: tuple[Indexed, ...] | None = None
    segments: tuple[SegmentProbe, ...] | None = None
    channels: tuple[Channel, ...] | None = None
    files: Path | None = None
    """A folder with stored DICOM files."""
    watch: Path | None = None
    """A log or an export of a SIEM, in which the canary must appear."""


def read_usage(file: Path) -> Usage:
    """From `dicomgate audit list --json`: one record a line; admissions are counted by address."""
    counts: dict[str, int] = {}
    times: list[datetime] = []
    for record in _lines(file):
        try:
            times.append(_time(record["time"]))
            if record["event"] == "association_admitted" and isinstance(record["address"], str):
                counts[record["address"]] = counts.get(record["address"], 0) + 1
        except (KeyError, TypeError, ValueError):
            raise InputError(
                str(file), "expected records of a gate", "write it with dicomgate audit list --json"
            ) from None
    days = (max(times) - min(times)).total_seconds() / 86400 if times else 0.0
    return Usage(days, tuple(Use(address, count) for address, count in sorted(counts.items())))


def read_indexed(file: Path) -> tuple[Indexed, ...]:
    """From a host lookup saved as JSON: one object or an array, with `ip_str`, `ports` and `last_update`."""
    document = _document(file)
    try:
        return tuple(
            Indexed(str(host["ip_str"]), tuple(int(port) for port in host["ports"]), str(host["last_update"])[:10])
            for host in (document if isinstance(document, list) else [document])
        )
    except (KeyError, TypeError, ValueError):
        hint = 'expected keys: "ip_str", "ports", "last_update", as Shodan\'s host lookup gives them'
        raise InputError(str(file), "expected a host lookup", hint) from None


def read_segments(file: Path) -> tuple[SegmentProbe, ...]:
    """From what `dicomgate segment verify` writes with `--output`."""
    document = _of_format(file, SEGMENT_FORMAT)
    hint = "write it with dicomgate segment verify --output FILE"
    try:
        return tuple(
            SegmentProbe(
                str(each["source_segment"] or each["source"]),
                str(each["destination"]),
                int(each["port"]),
                each["expected"] == "pass",
                _flag(each["ok"]),
                each["check"] == "EXP-07",
            )
            for each in document["probes"]
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(str(file), "expected probes of dicomgate segment verify", hint) from None


def read_channels(file: Path) -> tuple[Channel, ...]:
    """From what `dicomgate channel verify`, or with less to tell `dicomgate segment verify`, writes with `--output`."""
    document = _of_format(file, CHANNEL_FORMAT, SEGMENT_FORMAT)
    try:
        return tuple(
            Channel(
                str(each["name"]),
                _flag(each["mutual"]),
                None if each["shared_key_days"] is None else float(each["shared_key_days"]),
                tuple(
                    ChannelFinding(str(finding["check"]), _flag(finding["ok"]), _flag(finding["seen"]))
                    for finding in each.get("findings", ())
                ),
            )
            for each in document["channels"]
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        hint = "write it with dicomgate channel verify --output FILE"
        raise InputError(str(file), "expected channels of dicomgate channel verify", hint) from None


def _of_format(file: Path, *formats: str) -> Mapping[str, Any]:
    document = _document(file)
    if not isinstance(document, dict) or document.get("format") not in formats:
        command = "channel" if CHANNEL_FORMAT in formats else "segment"
        hint = f"write it with dicomgate {command} verify --output FILE"
        raise InputError(str(file), f"expected the format {' or '.join(formats)}", hint)
    return document


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return value


def _time(value: object) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise InputError(str(file), f"line {number}: expected a JSON object", "one record a line")
            yield record


def _document(file: Path) -> Any:
    try:
        return json.loads(_text(file))
    except ValueError:
        raise InputError(str(file), "expected JSON", "is this the right file?") from None


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_INPUT:
            raise InputError(str(file), f"expected at most {MOST_INPUT} bytes", "cut it to the time of interest")
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise InputError(str(file), "expected UTF-8 text", "is this the right file?") from None
    except OSError as error:
        raise InputError(str(file), f"cannot be read: {error.strerror}", "name a file that exists") from None
