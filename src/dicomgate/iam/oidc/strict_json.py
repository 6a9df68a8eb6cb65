"""JSON objects and base64url from strangers: one reading only, or WrongJsonError. Bytes in, plain values out.

Two readers that disagree about the same bytes are how a token comes to mean something else than what was judged: names
that stand twice, numbers that are none and padding that is ignored are refused.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

_ALPHABET = re.compile(rb"[A-Za-z0-9_-]*")


class WrongJsonError(ValueError):
    """What was expected; never what came, which may be a secret."""


def json_object(raw: bytes) -> dict[str, Any]:
    """One JSON object in UTF-8 (RFC 8259); WrongJsonError for everything else. The caller bounds the length."""
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        # ValueError is also what int() says of thousands of digits.
        raise WrongJsonError("expected one JSON object in UTF-8 without repeated names") from None
    if not isinstance(found, dict):
        raise WrongJsonError("expected a JSON object")
    return found


def base64url(text: bytes) -> bytes:
    """Base64url without padding, as RFC 7515 2 has it, and only in its one canonical spelling."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise WrongJsonError("expected base64url without padding")
    decoded = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != text:
        raise WrongJsonError("expected base64url whose unused bits are zero")
    return decoded


def walk(values: Mapping[str, Any], path: tuple[str, ...]) -> object:
    """What stands at the end of a path of names, for instance ("realm_access", "roles"); None if nothing does."""
    found: object = values
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)
