"""Values in, TOML text out: only what a configuration file of ours is made of. Pure."""

import json
from collections.abc import Iterable, Mapping

Value = str | int | bool | Iterable[str] | Mapping[str, str]


def table(header: str, keys: Mapping[str, Value | None]) -> str:
    """`[header]` or `[[header]]` and its keys; those that are None are left out."""
    lines = [f"{key} = {_value(value)}" for key, value in keys.items() if value is not None]
    return "\n".join([header, *lines, ""])


def _value(value: Value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            # TOML's basic strings have JSON's escapes (TOML 1.0, "String").
            return json.dumps(value)
        case Mapping():
            return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
        case _:
            return "[" + ", ".join(json.dumps(each) for each in value) + "]"
