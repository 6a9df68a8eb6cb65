"""The `[[sink]]` and `[metrics]` tables: what is wrong with them, what is worth a warning, the settings they make."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import TypeVar

from dicomgate.config.document import Document, Entry
from dicomgate.config.kinds import CheckpointSink, FhirSink, JsonlSink, SyslogSink
from dicomgate.config.problem import Problem
from dicomgate.config.schema import ClientTls as TlsTable
from dicomgate.config.schema import SinkTable
from dicomgate.config.units import literal
from dicomgate.gate.settings import ClientTls
from dicomgate.sinks.settings import CheckpointSettings, FhirSettings, JsonlSettings, SinkSettings, SyslogSettings

STDOUT = "-"
S = TypeVar("S", bound=SinkTable)


def mistakes(document: Document) -> Iterator[Problem]:
    """What the keys of a sink make wrong together."""
    for syslog in _of(document, SyslogSink):
        yield from _encrypted_or_unsafe(document, syslog.key, syslog.table.tls, syslog.table.unsafe_plaintext)
    for fhir in _of(document, FhirSink):
        yield from _url(document, fhir.key, fhir.table.url, fhir.table)
    for witness in _of(document, CheckpointSink):
        yield from _one_way(document, witness)
    outlets = [entry for entry in _of(document, JsonlSink) if entry.table.file == STDOUT]
    for entry in outlets[1:]:
        text = f"expected one sink that writes to stdout, came {entry.key} beside {outlets[0].key}"
        yield document.error(f"{entry.key}.file", text, "name a file; lines of two sinks would be mixed")


def sinks_with_tls(document: Document) -> list[tuple[str, TlsTable | None]]:
    """The `tls` tables of all sinks that may have one, by the key of the sink."""
    return [(entry.key, entry.table.tls) for entry in _sending(document)]


def _encrypted_or_unsafe(document: Document, key: str, tls: TlsTable | None, unsafe: bool) -> Iterator[Problem]:
    if tls is None and not unsafe:
        yield document.error(
            f"{key}.tls",
            "expected TLS, because records are worth stealing and worth changing, but it is missing",
            "write tls = { ca = … }, or unsafe_plaintext = true inside a tunnel or on this machine",
        )
    if tls is not None and unsafe:
        yield _not_both(document, key, "tls")


def _one_way(document: Document, entry: Entry[CheckpointSink]) -> Iterator[Problem]:
    """A checkpoint goes by syslog, to a URL or to a file."""
    key, table = entry.key, entry.table
    ways = [name for name in ("address", "url", "file") if entry.written(name)]
    if len(ways) != 1:
        text = f"expected one of address, url and file, came {' and '.join(ways) or 'none of them'}"
        hint = "each way is a [[sink]] of its own" if ways else "say where the checkpoints go"
        yield document.error(f"{key}.{(*ways, 'address')[0]}", text, hint)
        return
    if table.url is not None:
        yield from _url(document, key, table.url, table)
    elif table.address is not None:
        yield from _encrypted_or_unsafe(document, key, table.tls, table.unsafe_plaintext)
    elif table.file is not None and PurePath(table.file) == _own_file(document):
        text = "expected another file than the one that the gate keeps its checkpoints in anyway, came that"
        yield document.error(f"{key}.file", text, "name one on another machine's disk, or remove the sink")
    unused = {"address": ["token_file"], "url": [], "file": ["tls", "unsafe_plaintext", "token_file"]}[ways[0]]
    for name in unused:
        if entry.written(name):
            text = f"expected nothing that belongs to another way, came {name} beside {ways[0]}"
            yield document.error(f"{key}.{name}", text, "remove the line")


def _own_file(document: Document) -> PurePath:
    """As written in the file."""
    written = document.audit.table.checkpoint_file
    if written is not None:
        return PurePath(written)
    return PurePath(document.gate.table.state.removeprefix("sqlite:///")).with_suffix(".checkpoints")


def _url(document: Document, key: str, url: str, table: FhirSink | CheckpointSink) -> Iterator[Problem]:
    plaintext = url.startswith("http://")
    if plaintext and not table.unsafe_plaintext:
        text = "expected an https URL, because records are worth stealing and worth changing, came http"
        hint = "write https, or unsafe_plaintext = true inside a tunnel or on this machine"
        yield document.error(f"{key}.url", text, hint)
    if plaintext and table.tls is not None:
        yield document.error(f"{key}.tls", "expected TLS or plaintext, came tls beside an http URL", "write https")
    if table.unsafe_plaintext and not plaintext:
        yield _not_both(document, key, "an https URL")


def _not_both(document: Document, key: str, other: str) -> Problem:
    text = f"expected TLS or plaintext, came unsafe_plaintext = true beside {other}"
    return document.error(f"{key}.unsafe_plaintext", text, "remove one of the two")


def warnings(document: Document) -> Iterator[Problem]:
    """What works, and may not be what was meant."""
    for entry in _sending(document):
        if entry.table.unsafe_plaintext:
            what = "checkpoints" if isinstance(entry.table, CheckpointSink) else "records"
            yield document.warning(
                f"{entry.key}.unsafe_plaintext",
                f"{what} travel without encryption and without proof of who receives them",
                "write tls = { ca = … } as soon as the repository speaks TLS",
            )
            if not isinstance(entry.table, CheckpointSink) and entry.table.patient_ids:
                text = "Patient IDs travel without encryption"
                yield document.warning(f"{entry.key}.patient_ids", text, "leave it out until there is TLS")
    if document.metrics is None:
        return
    bind = document.metrics.table.bind
    address = None if bind is None else literal(bind.host)
    if bind is None:
        text, hint = "no address, so nothing is served", 'write for instance bind = "127.0.0.1:9108"'
        yield document.warning("metrics.bind", text, hint)
    elif address is not None and not address.is_loopback:
        text = f"whoever reaches {bind} can read the numbers, and the names of peers and archives"
        hint = "bind to 127.0.0.1, or to an address that only the monitoring system reaches"
        yield document.warning("metrics.bind", text, hint)


def sinks(document: Document, base: Path) -> tuple[SinkSettings, ...]:
    """The sinks in file order; an alert sink is refused elsewhere."""
    found: list[SinkSettings] = []
    for entry in document.sinks:
        match entry.table:
            case SyslogSink() as table:
                places = tuple(table.address)
                named = _names_patients(table)
                found.append(SyslogSettings(table.name, places, table.message_id, table.bom, table.replay, named))
            case FhirSink() as table:
                token = None if table.token_file is None else base / table.token_file
                named = _names_patients(table)
                found.append(FhirSettings(table.name, table.url, table.batch, token, table.replay, named))
            case JsonlSink() as table:
                file = None if table.file == STDOUT else base / table.file
                found.append(JsonlSettings(table.name, file, table.replay))
            case CheckpointSink() as table:
                token, file = (None if path is None else base / path for path in (table.token_file, table.file))
                places = tuple(table.address or ())
                found.append(CheckpointSettings(table.name, places, table.url, file, token, table.replay))
            case _:
                continue
    return tuple(found)


def _names_patients(table: SyslogSink | FhirSink) -> bool:
    return not table.unsafe_plaintext if table.patient_ids is None else table.patient_ids


def sink_tls(document: Document, base: Path) -> Mapping[str, ClientTls]:
    """By name of the sink."""
    return {
        entry.table.name: _tls(entry.table.tls, base) for entry in _sending(document) if entry.table.tls is not None
    }


def _tls(table: TlsTable, base: Path) -> ClientTls:
    return ClientTls(
        ca=base / table.ca,
        certificate=None if table.certificate is None else base / table.certificate,
        key=None if table.key is None else base / table.key,
    )


def _sending(document: Document) -> list[Entry[SyslogSink | FhirSink | CheckpointSink]]:
    """Those that send over the network."""
    return [
        Entry(entry.key, entry.table, entry.broken)
        for entry in document.sinks
        if isinstance(entry.table, SyslogSink | FhirSink | CheckpointSink)
    ]


def _of(document: Document, kind: type[S]) -> list[Entry[S]]:
    return [Entry(entry.key, entry.table, entry.broken) for entry in document.sinks if isinstance(entry.table, kind)]
