"""What is wrong with a configuration file, said the same way everywhere: file, key, expected, came, hint."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

LONGEST_SHOWN = 60
SECRET_ENDINGS = ("passcode", "password", "secret", "token", "key")


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of `dicomgate check` and its hint.

    `key` is the dotted path an administrator sees in the file: `limits.associate_pdu`, `peer[ct-1].networks`
    (the 1-based position stands in the brackets of a table without a name), `line 7` for a syntax error,
    and empty when the file as a whole is meant.
    """

    file: str
    key: str
    severity: Severity
    text: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.key}" if self.key else self.file
        return f"{place}: {self.severity}: {self.text}\n  hint: {self.hint}"


class ConfigurationError(Exception):
    """The file cannot be used. `problems` holds all that was found, at least one of them an error."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class WrongValueError(ValueError):
    """One value is not what was expected; the reader of the file adds where it stands."""

    def __init__(self, text: str, hint: str) -> None:
        self.text = text
        self.hint = hint
        super().__init__(f"{text} ({hint})")


def shown(value: object) -> str:
    """A value of the file as it may be printed: one line, bounded, no control characters, no nested contents."""
    match value:
        case str():
            text = value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN] + "…"
            return f'"{text}"' if text.isprintable() and '"' not in text else json.dumps(text)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if abs(value) < 10**18 else "a very large integer"
        case float():
            return str(value)
        case dict():
            return "a table"
        case list():
            return "an array" if value else "an empty array"
        case _:
            return "a date or time"


def shown_key(key: str) -> str:
    """A key of the file as it may be printed: as written when TOML would need no quotes, else quoted."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", key) else shown(key)


def is_secret(key: str) -> bool:
    """True for keys whose value is never printed."""
    return key.lower().endswith(SECRET_ENDINGS)


def closest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    known = {known.lower(): known for known in words}
    found = get_close_matches(word[:LONGEST_SHOWN].lower(), known, n=1, cutoff=0.6)
    return known[found[0]] if found else None


def listed(words: Iterable[str]) -> str:
    """`a, b, c` in the given order, or `none`."""
    return ", ".join(words) or "none"
