"""What of a record goes into the hash tree: its row in, the canonical text and its salted leaf hash out.

Encoding 1, stable for ever: one JSON object in ASCII without white space; the members are `sequence` and every column
that is not NULL, in the order of their names. In text \\" \\\\ \\b \\f \\n \\r \\t are written so, and what else is not
printable ASCII as UTF-16 in \\uxxxx. Whole numbers are decimal, other numbers the shortest text that gives the same
IEEE 754 double, with a `.` or an exponent. A column that a later version adds is NULL in older rows, so their text
stays what it was.

The data of a leaf are 17 bytes of salt (the number of the encoding, then 16 random bytes) before the text. Without
them a hash in a proof could be tried against every likely record: there are not many addresses and AE titles.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from json.encoder import encode_basestring_ascii

Value = str | int | float | None
"""What a column of a record may hold."""

ENCODING = 1
RANDOM_BYTES = 16
SALT_BYTES = 1 + RANDOM_BYTES

_PREFIX = bytes((ENCODING,))


class NotCanonicalError(ValueError):
    """A value for which there is no canonical text: of another type than its column, or not a finite number."""


Encode = Callable[[int, Sequence[Value]], str]
"""A sequence number and the values of a row in; canonical text out, or NotCanonicalError."""


def salted(random: bytes) -> bytes:
    """The salt of a new record, from 16 random bytes."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"expected {RANDOM_BYTES} random bytes, came {len(random)}")
    return _PREFIX + random


def is_salt(value: object) -> bool:
    """Whether this can be the salt of a record that this version can encode."""
    return isinstance(value, bytes) and len(value) == SALT_BYTES and value.startswith(_PREFIX)


def canonical(columns: Mapping[str, type]) -> Encode:
    """How rows with these columns (name → str, int or float, in the order of the row) become canonical text.

    A whole number in a column of floats counts as a float, as a database takes it.
    """
    names = ["sequence", *columns]
    members = [(f'"{name}":', _ENCODERS[columns.get(name, int)], names.index(name)) for name in sorted(names)]

    def encode(sequence: int, row: Sequence[Value]) -> str:
        values = (sequence, *row)
        try:
            encoded = [prefix + encoder(value) for prefix, encoder, at in members if (value := values[at]) is not None]
        except TypeError:
            raise NotCanonicalError("a value is not of its column's type") from None
        return "{" + ",".join(encoded) + "}"

    return encode


def salted_leaf(salt: bytes, text: str) -> bytes:
    """The leaf hash of a record: RFC 9162 2.1.1 over salt and canonical text."""
    return sha256(b"\x00" + salt + text.encode("ascii")).digest()


def decoded(text: str) -> Mapping[str, Value]:
    """The values that canonical text holds. NotCanonicalError unless it is exactly what the encoding makes of them."""
    try:
        values: dict[str, Value] = json.loads(text)
        columns = {name: type(value) for name, value in values.items() if name != "sequence"}
        sequence = values["sequence"]
        if type(sequence) is int and canonical(columns)(sequence, [values[name] for name in columns]) == text:
            return values
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise NotCanonicalError("expected the canonical text of a record")


def _number(value: float) -> str:
    if value - value != 0.0:
        raise NotCanonicalError("a number is not finite")
    return float.__repr__(value + 0.0)  # SQLite keeps no negative zero


_ENCODERS: Mapping[type, Callable[..., str]] = {str: encode_basestring_ascii, int: int.__repr__, float: _number}
