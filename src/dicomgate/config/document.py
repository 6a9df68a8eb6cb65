"""TOML values in; a Document of typed tables out, with a Problem for everything that has the wrong shape.

A table with a wrong value is read without it, so that the other checks still see the rest of the table; `broken`
names what is missing, and no check may conclude anything from the default that stands in for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dicomgate.config import schema
from dicomgate.config.kinds import KINDS, SINKS, VERIFIERS
from dicomgate.config.problem import Problem, Severity, WrongValueError, closest, is_secret, listed, shown, shown_key
from dicomgate.config.words import is_name

T_co = TypeVar("T_co", bound=schema.Table, covariant=True)


@dataclass(frozen=True)
class Entry(Generic[T_co]):
    """One table: where it stands (`peer[ct-1]`), its values, and which of its keys were wrong."""

    key: str
    table: T_co
    broken: frozenset[str] = frozenset()

    def written(self, name: str) -> bool:
        """Whether the file has this key, right or wrong."""
        return name in self.table.model_fields_set or name in self.broken


@dataclass(frozen=True)
class Document:
    """The file's tables. `names` holds every name of each array of tables, also of tables that are broken."""

    file: str
    gate: Entry[schema.GateTable]
    limits: Entry[schema.LimitsTable]
    audit: Entry[schema.AuditTable]
    identity: Entry[schema.IdentityTable]
    detect: Entry[schema.DetectTable]
    metrics: Entry[schema.MetricsTable] | None
    login: Entry[schema.LoginTable] | None
    listeners: tuple[Entry[schema.ListenerTable], ...]
    archives: tuple[Entry[schema.ArchiveTable], ...]
    peers: tuple[Entry[schema.PeerTable], ...]
    roles: tuple[Entry[schema.RoleTable], ...]
    verifiers: tuple[Entry[schema.VerifierTable], ...]
    sinks: tuple[Entry[schema.SinkTable], ...]
    segmentation: Entry[schema.SegmentationTable] | None
    sites: tuple[Entry[schema.SiteTable], ...]
    channels: tuple[Entry[schema.ChannelTable], ...]
    segments: tuple[Entry[schema.SegmentTable], ...]
    names: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, int]
    """How many tables each array has, also broken ones; and whether there is a `[login]`."""

    def entries(self, table: str) -> tuple[Entry[schema.Table], ...]:
        """The tables under this header of the file (`gate`, `peer`, …)."""
        match table:
            case "gate":
                return (self.gate,)
            case "listener":
                return self.listeners
            case "archive":
                return self.archives
            case "peer":
                return self.peers
            case "role":
                return self.roles
            case "verifier":
                return self.verifiers
            case "sink":
                return self.sinks
            case "site":
                return self.sites
            case "channel":
                return self.channels
            case "segment":
                return self.segments
            case "metrics":
                return (self.metrics,) if self.metrics else ()
            case "login":
                return (self.login,) if self.login else ()
            case _:
                raise KeyError(table)

    @property
    def segmented(self) -> bool:
        """Whether firewall rules are to be made from this file."""
        return bool(self.counts["segment"]) or self.segmentation is not None

    def unknown(self, key: str, table: str, name: str) -> Iterator[Problem]:
        """An error when no table under this header has the name."""
        names = self.names[table]
        if name not in names:
            meant = closest(name, names)
            hint = f'did you mean "{meant}"?' if meant else f"{table}s in this file: {listed(names)}"
            noun = f"{'an' if table[0] in 'aeiou' else 'a'} {table}"
            yield self.error(key, f"expected the name of {noun}, came {shown(name)}", hint)

    def error(self, key: str, text: str, hint: str) -> Problem:
        return Problem(self.file, key, Severity.ERROR, text, hint)

    def warning(self, key: str, text: str, hint: str) -> Problem:
        return Problem(self.file, key, Severity.WARNING, text, hint)


def read_document(data: Mapping[str, object], file: str) -> tuple[Document, list[Problem]]:
    """The tables that could be read, and what is wrong with the others."""
    reader = _Reader(data, file)
    return reader.document(), reader.problems


@dataclass
class _Reader:
    data: Mapping[str, object]
    file: str
    problems: list[Problem] = field(default_factory=list)

    def document(self) -> Document:
        for key in self.data:
            if key not in schema.TABLES and key not in schema.ARRAYS:
                self._error(shown_key(key), "unknown table or key", _unknown_hint(key, None))
        arrays = {name: self._tables(name) for name in schema.ARRAYS}
        return Document(
            file=self.file,
            gate=self._single("gate", schema.GateTable),
            limits=self._single("limits", schema.LimitsTable),
            audit=self._single("audit", schema.AuditTable),
            identity=self._single("identity", schema.IdentityTable),
            detect=self._single("detect", schema.DetectTable),
            metrics=self._single("metrics", schema.MetricsTable) if "metrics" in self.data else None,
            login=self._optional("login", schema.LoginTable),
            listeners=tuple(self._entries(arrays["listener"], schema.ListenerTable)),
            archives=tuple(self._entries(arrays["archive"], schema.ArchiveTable)),
            peers=tuple(self._entries(arrays["peer"], schema.PeerTable)),
            roles=tuple(self._entries(arrays["role"], schema.RoleTable)),
            verifiers=tuple(self._entries(arrays["verifier"], schema.VerifierTable, VERIFIERS)),
            sinks=tuple(self._entries(arrays["sink"], schema.SinkTable, SINKS)),
            segmentation=(
                self._single("segmentation", schema.SegmentationTable) if "segmentation" in self.data else None
            ),
            sites=tuple(self._entries(arrays["site"], schema.SiteTable)),
            channels=tuple(self._entries(arrays["channel"], schema.ChannelTable)),
            segments=tuple(self._entries(arrays["segment"], schema.SegmentTable)),
            names={
                name: tuple(str(raw["name"]) for _, raw in tables if is_name(raw.get("name")))
                for name, tables in arrays.items()
            },
            counts={name: _count(self.data.get(name, [])) for name in (*schema.ARRAYS, "login")},
        )

    def _single(self, name: str, model: type[T_co]) -> Entry[T_co]:
        raw = self.data.get(name, {})
        if isinstance(raw, dict):
            return self._entry(name, raw, model) or Entry(name, model())
        hint = f"write [{name}] once, with single brackets" if isinstance(raw, list) else f"write keys below [{name}]"
        self._error(name, f"expected one table, came {shown(raw)}", hint)
        return Entry(name, model(), frozenset(model.model_fields))

    def _optional(self, name: str, model: type[T_co]) -> Entry[T_co] | None:
        """A table that has required keys, so that nothing can stand in for it."""
        raw = self.data.get(name)
        if raw is None or isinstance(raw, dict):
            return None if raw is None else self._entry(name, raw, model)
        self._error(name, f"expected one table, came {shown(raw)}", f"write [{name}] once, with single brackets")
        return None

    def _tables(self, name: str) -> list[tuple[str, dict[str, object]]]:
        """The raw tables below one header, each with its key."""
        raw = self.data.get(name, [])
        if not isinstance(raw, list):
            self._error(
                name, f"expected tables below [[{name}]], came {shown(raw)}", f"write [[{name}]] with double brackets"
            )
            return []
        tables = []
        for position, table in enumerate(raw, start=1):
            key = f"{name}[{position}]"
            if not isinstance(table, dict):
                self._error(key, f"expected a table, came {shown(table)}", f"write [[{name}]] and its keys below it")
                continue
            tables.append((f"{name}[{table['name']}]" if is_name(table.get("name")) else key, table))
        return tables

    def _entries(
        self,
        tables: list[tuple[str, dict[str, object]]],
        model: type[T_co],
        kinds: Mapping[str, type[T_co]] | None = None,
    ) -> Iterator[Entry[T_co]]:
        for key, raw in tables:
            kind = raw.get("kind")
            chosen = kinds.get(kind, model) if kinds and isinstance(kind, str) else model
            if (entry := self._entry(key, raw, chosen)) is not None:
                yield entry

    def _entry(self, key: str, raw: dict[str, object], model: type[T_co]) -> Entry[T_co] | None:
        try:
            return Entry(key, model.model_validate(raw))
        except ValidationError as wrong:
            details = wrong.errors(include_url=False)
        broken = frozenset(str(detail["loc"][0]) for detail in details)
        for detail in details:
            self._explain(key, raw, model, detail)
        try:
            return Entry(key, model.model_validate({name: raw[name] for name in raw if name not in broken}), broken)
        except ValidationError:
            return None  # a required key is among the broken ones, and has been explained

    def _explain(self, table: str, raw: dict[str, object], model: type[schema.Table], detail: ErrorDetails) -> None:
        path = [step for step in detail["loc"] if isinstance(step, str)]
        key = ".".join([table, *(shown_key(step) for step in path)])
        inner, found = _field(model, path)
        description = (found.description if found else None) or "see the reference of the configuration file"
        value = _value(raw, detail["loc"])
        secret = any(is_secret(step) for step in path)
        came = "a value that is not shown here" if secret else shown(value)
        match detail["type"], detail.get("ctx", {}).get("error"):
            case "extra_forbidden", _:
                self._error(key, "unknown key", _unknown_hint(path[-1], inner))
            case "missing", _:
                self._error(key, "expected this key, but it is missing", description)
            case "value_error", WrongValueError() as mistake:
                text = f"expected another value, came {came}" if secret else mistake.text
                self._error(key, text, description if secret else mistake.hint)
            case "list_type", _ if isinstance(value, str) and not secret:
                self._error(key, f"expected an array, came {came}", f"write {path[-1]} = [{shown(value)}]")
            case kind, _:
                self._error(key, f"expected {_EXPECTED.get(kind, 'another value')}, came {came}", description)

    def _error(self, key: str, text: str, hint: str) -> None:
        self.problems.append(Problem(self.file, key, Severity.ERROR, text, hint))


def _count(raw: object) -> int:
    return len(raw) if isinstance(raw, list) else 1


_EXPECTED = {
    "string_type": "a string",
    "list_type": "an array",
    "model_type": "a table",
    "too_short": "at least one value",
    "literal_error": "a known word",
    "bool_type": "true or false",
}
"""What pydantic's own error types mean to a reader; all other values are judged in units.py and words.py."""


def _field(model: type[BaseModel], path: list[str]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The innermost table that a path leads into, and the field it ends at, if there is one."""
    found: FieldInfo | None = None
    for step in path:
        if found is not None:
            model = table_in(found) or model
        found = model.model_fields.get(step)
        if found is None:
            break
    return model, found


def table_in(found: FieldInfo) -> type[BaseModel] | None:
    """The table that a key holds, if it holds one."""
    for each in (found.annotation, *get_args(found.annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _value(raw: Any, path: tuple[int | str, ...]) -> object:
    """What the file has at this place, as written; None where it has nothing."""
    for step in path:
        match raw:
            case dict():
                raw = raw.get(step)
            case list() if isinstance(step, int) and step < len(raw):
                raw = raw[step]
            case _:
                return raw
    return raw


def _unknown_hint(key: str, model: type[BaseModel] | None) -> str:
    known = [*schema.TABLES, *schema.ARRAYS] if model is None else list(model.model_fields)
    if is_secret(key):
        return "secrets never stand in this file; remove it, and change it if others could read the file"
    if meant := closest(key, known):
        return f'did you mean "{meant}"?'
    homes = [f"[{name}]" for name, table in schema.TABLES.items() if key in table.model_fields]
    for name, table in schema.ARRAYS.items():
        if any(key in each.model_fields for each in (table, *KINDS.get(name, {}).values())):
            homes.append(f"[[{name}]]")
    return f"this key belongs below {listed(homes)}" if homes else f"known here: {listed(known)}"
