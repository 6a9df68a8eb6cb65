"""Write settings.md: every key of the configuration file, from the tables the gate reads it with.

In: `dicomgate.config.schema` and `unsupported`. Out: Markdown; `python docs/reference/write_settings.py` writes
settings.md beside this file, and a test holds the two together.
"""

import inspect
import json
import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dicomgate.config import directory_words, schema, units, words
from dicomgate.config.document import table_in
from dicomgate.config.kinds import KINDS
from dicomgate.config.unsupported import UNSUPPORTED
from dicomgate.detect.model import Rung
from dicomgate.policy.model import Assurance, Verb

WORDS = {
    words.name: "name",
    words.ae_title: "AE title",
    words.ae_title_pattern: "AE title with wildcards",
    words.calling_ae_map: '`"user:NAME"` or `"role:NAME"` = AE title',
    words.hours: "days and time of day",
    words.calling_ae: '`"keep"` or AE title',
    words.certificate: "`dns:…`, `uri:…`, `sha256:…` or `spki:…`",
    words.fingerprint: "SHA-256 in hexadecimal",
    words.host_name: "host name or address",
    words.fhir_base: "URL",
    words.http_url: "URL",
    words.network: 'address, CIDR or `"any"`',
    words.fixed_network: "address or CIDR",
    words.address: "address",
    words.tunnel_address: "ADDRESS/PREFIX",
    words.interface: "interface name",
    words.port: "port",
    words.mark: "mark",
    words.ike_identity: "IKE identity",
    words.wireguard_key: "WireGuard public key",
    words.sop_class: "UID or keyword",
    words.transfer_syntax: "UID or keyword",
    words.failure_status: "status number",
    words.plain: "string",
    words.provider_url: "https URL",
    words.claim_path: "name, or names with dots or in an array",
    words.variable: "name of a variable",
    directory_words.server: "`ldaps://HOST` or `ldap://HOST`",
    directory_words.distinguished_name: "full name of an entry",
    directory_words.attribute: "name of an attribute",
    directory_words.user_filter: "search filter",
    directory_words.group_filter: "search filter",
    directory_words.service_principal: "SERVICE/HOST@REALM",
    directory_words.realm: "name of a realm",
    units.endpoint: "HOST:PORT",
    units.bind: "ADDRESS:PORT",
    words.uid: "UID",
}
"""What a validator accepts, for those that are known by name."""

UNITS = {
    "_keep": "time",
    "seconds_up_to": "time",
    "size_within": "size",
    "whole_within": "whole number",
    "seconds_within": "time",
    "count": "whole number",
    "_number": "number",
    "_state": "URL",
    "_shared": "URL",
}
"""The same for validators of the schema's own; the key is where their qualified name begins."""

INTRODUCTION = """\
# Settings

The configuration is one TOML file. This page is written by `write_settings.py` from the tables the gate reads it with.

- **Silence refuses.** An empty array of networks, titles, verbs or destinations means nobody and nothing.
  `"any"` has to be written, and `dicomgate check` warns of it.
- A key that is not on this page is an error. So is a value of the wrong type: nothing is converted silently.
- All mistakes are told at once, each as `FILE:KEY: error: what was expected, what came`, then a hint.
- Sizes are bytes or a text: `65536`, `"64 KiB"`, `"1 MiB"`. Times are seconds or a text: `15`, `"15 s"`, `"10 min"`.
- A relative path is relative to the file. Secrets never stand in it.
- AE titles are compared after trimming, case-sensitive. `*` and `?` stand for letters, digits, space, `_`, `-` and
  `.` only; a title with any other character has to be written out.
- Names are 1 to 64 letters, digits, dots, hyphens and underscores. They appear in rules and records.
- Reasons for the numbers: [defaults](../design/defaults.md).
"""


def text() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name, table in schema.TABLES.items():
        parts.append(_section(f"[{name}]", name, table))
        parts += _inner(table, f"[{name}]", name)
    for name, table in schema.ARRAYS.items():
        parts.append(_section(f"[[{name}]]", name, table))
        parts += _inner(table, f"[[{name}]]", name)
        for kind, of_kind in KINDS.get(name, {}).items():
            own = [key for key in of_kind.model_fields if key not in table.model_fields]
            heading = f'kind = "{kind}" of [[{name}]]'
            parts.append(_section(heading, f"{name}.{kind}", of_kind, own))
            parts += _inner(of_kind, heading, f"{name}.{kind}")
    return "\n".join(parts)


def _inner(table: type[BaseModel], heading: str, name: str) -> list[str]:
    """Sections of the tables that this one's keys hold."""
    within = {key: inner for key, found in table.model_fields.items() if (inner := table_in(found)) is not None}
    return [
        text
        for key, inner in within.items()
        for text in (
            _section(f"{key} of {heading}", f"{name}.{key}", inner),
            *(_one_detector(inner) if inner is schema.DetectRules else ()),
        )
    ]


def _one_detector(rules: type[BaseModel]) -> list[str]:
    """All of its keys hold the same table; it is described once."""
    (table,) = {table_in(found) for found in rules.model_fields.values()}
    return [] if table is None else [_section("A detector, [detect.rules.ID]", "detect.rules.ID", table)]


def _section(heading: str, table_name: str, table: type[BaseModel], keys: Iterable[str] | None = None) -> str:
    opening = (table.__doc__ or "").partition("`: ")[2].strip() or (table.__doc__ or "")
    lines = [f"## {heading}", ""]
    if not re.match(r"\w+ of ", heading):
        lines += [_sentence(opening), ""]
    remarks = [f"**{_capital(row.what)}: not in this version, refused with an error.**"
               for row in UNSUPPORTED if row.table == table_name and row.field is None]  # fmt: skip
    for remark in remarks:
        lines += [remark, ""]
    shown = list(table.model_fields if keys is None else keys)
    if not shown:
        return "\n".join([*lines, "No further keys.", ""])
    lines += ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for key in shown:
        found = table.model_fields[key]
        meaning = _cell(found.description or "") + _availability(table_name, key)
        lines.append(f"| `{key}` | {_type(found)} | {_default(found)} | {meaning} |")
    return "\n".join([*lines, ""])


def _availability(table: str, key: str) -> str:
    for row in UNSUPPORTED:
        if row.table == table and row.field == key:
            return f" **Not in this version: {row.what} is refused with an error.**"
    return ""


def _sentence(sentence: str) -> str:
    return _capital(sentence).rstrip(".") + "."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _cell(sentence: str) -> str:
    return sentence.replace("|", "\\|").replace("*", "\\*")


def _type(found: FieldInfo) -> str:
    return _cell(_describe(found.annotation, tuple(found.metadata)))


def _describe(annotation: Any, metadata: tuple[Any, ...]) -> str:
    """A type in words. `metadata` are the validators that pydantic has taken off the annotation."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _describe(inner, (*metadata, *more))
    if origin in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if len(members) == 1:
            return _describe(members[0], metadata)
    if origin is list:
        (inner,) = get_args(annotation)
        several = f"array: {_describe(inner, ())}"
        alone = any(getattr(each, "func", None) is schema.one_or_many for each in metadata)
        return f"{_describe(inner, ())}, or {several}" if alone else several
    if origin is Literal:
        return _choice(get_args(annotation))
    for each in metadata:
        if (known := _validator(getattr(each, "func", None))) is not None:
            return known
    if annotation is Verb:
        return "verb"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _choice([_shown(member) for member in annotation])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    if annotation is str:
        return "string"
    if annotation is bool:
        return "`true` or `false`"
    raise TypeError(f"no words for {annotation} with {metadata}")


def _validator(function: Any) -> str | None:
    if function in WORDS:
        return WORDS[function]
    name = getattr(function, "__qualname__", "").partition(".")[0]
    if name not in UNITS:
        return None
    if name == "count":
        return f"whole number, 1 to {schema.LARGEST_COUNT}"
    bounds = inspect.getclosurevars(function).nonlocals
    if name == "seconds_up_to":
        return f"time, up to {duration(bounds['longest'])}"
    if name == "seconds_within":
        return f"time, {bounds['shortest']:g} s to {duration(bounds['longest'])}"
    if name == "whole_within":
        return f"whole number, {bounds['smallest']} to {bounds['largest']}"
    if name == "size_within":
        return f"size, {size(bounds['smallest'])} to {size(bounds['largest'])}"
    return UNITS[name]


def _choice(values: Iterable[object]) -> str:
    return " or ".join(f'`"{value}"`' for value in values)


def _default(found: FieldInfo) -> str:
    if found.default is PydanticUndefined:
        return "**required**"
    if found.default is None:
        return "absent"
    kind = _describe(found.annotation, tuple(found.metadata)).partition(",")[0]
    match found.default:
        case Enum():
            shown = f'"{_shown(found.default)}"'
        case bool():
            shown = str(found.default).lower()
        case list():
            shown = json.dumps(found.default)
        case tuple() if kind.startswith("name"):
            shown = f'"{".".join(found.default)}"'
        case float() if kind == "time":
            shown = f'"{duration(found.default)}"'
        case int() if kind == "size":
            shown = f'"{size(found.default)}"'
        case int() if kind == "status number":
            shown = f"0x{found.default:04X}"
        case str():
            shown = f'"{found.default}"'
        case _:
            shown = str(found.default)
    return f"`{shown}`"


def _shown(value: Enum) -> str:
    return value.word if isinstance(value, Assurance | Rung) else str(value.value)


def size(count: int) -> str:
    """Bytes in the largest unit that keeps them whole."""
    for unit, factor in reversed(units.SIZES.items()):
        if count % factor == 0:
            return f"{count // factor} {unit}"
    raise ValueError(count)


def duration(seconds: float) -> str:
    """Seconds in days when they are whole days, in minutes when they are whole minutes, else in seconds."""
    for unit in ("d", "min"):
        if seconds % float(units.DURATIONS[unit]) == 0:
            return f"{seconds / float(units.DURATIONS[unit]):g} {unit}"
    return f"{seconds:g} s"


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(text(), encoding="utf-8")
