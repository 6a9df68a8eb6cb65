"""Search filters: the text of RFC 4515 with placeholders in; a Filter out that encodes itself with names filled in.

A name is put into the finished filter as a value, never into its text. So there is nothing to escape, and no name can
change what is asked: not with `*`, not with `)(`, not with NUL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dicomgate.iam import ber

DEEPEST = 16
LONGEST = 4096
AND, OR, NOT, EQUAL, SUBSTRINGS, GREATER, LESS, PRESENT, APPROXIMATE, EXTENSIBLE = (
    0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0x87, 0xA8, 0xA9,
)  # fmt: skip
"""Tags of RFC 4511 4.5.1.7."""

_ATTRIBUTE = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9-]+)*")
_EXTENSIBLE = re.compile(r"(?P<attribute>[^:]*)(?P<dn>:[dD][nN])?(?::(?P<rule>[^:]+))?")
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_ESCAPE = re.compile(r"\\([0-9A-Fa-f]{2})?")


class NotAFilterError(ValueError):
    """The text is not a filter; says what was expected and where."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    name: str


Value = tuple[bytes | Placeholder, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Equality, order or likeness of one attribute: `(uid={user})`."""

    tag: int
    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class Present:
    attribute: str


@dataclass(frozen=True, slots=True)
class Substrings:
    """`(cn=Rad*)`. `parts` between the stars; the first and the last may be empty. Takes no placeholder."""

    attribute: str
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Extensible:
    """`(member:1.2.840.113556.1.4.1941:={dn})`: a matching rule by its OID or name."""

    attribute: str
    rule: str
    dn_attributes: bool
    value: Value


@dataclass(frozen=True, slots=True)
class Combined:
    """AND or OR of several, NOT of one."""

    tag: int
    inner: "tuple[Filter, ...]"


Filter = Compared | Present | Substrings | Extensible | Combined


def encode(filter_: Filter, values: Mapping[str, str]) -> bytes:
    """As it goes into a search request (RFC 4511 4.5.1); `values` by the name of the placeholder."""
    match filter_:
        case Compared(tag, attribute, value):
            return ber.encode(tag, ber.octets(attribute), ber.octets(_filled(value, values)))
        case Present(attribute):
            return ber.octets(attribute, PRESENT)
        case Substrings(attribute, parts):
            first, *middle, last = parts
            pieces = [ber.octets(first, 0x80)] if first else []
            pieces += [ber.octets(part, 0x81) for part in middle]
            pieces += [ber.octets(last, 0x82)] if last else []
            return ber.encode(SUBSTRINGS, ber.octets(attribute), ber.encode(ber.SEQUENCE, *pieces))
        case Extensible(attribute, rule, dn_attributes, value):
            assertion = [ber.octets(rule, 0x81)] if rule else []
            assertion += [ber.octets(attribute, 0x82)] if attribute else []
            assertion.append(ber.octets(_filled(value, values), 0x83))
            assertion += [ber.encode(0x84, b"\xff")] if dn_attributes else []
            return ber.encode(EXTENSIBLE, *assertion)
        case Combined(tag, inner):
            return ber.encode(tag, *(encode(each, values) for each in inner))


def _filled(value: Value, values: Mapping[str, str]) -> bytes:
    return b"".join(values[part.name].encode("utf-8") if isinstance(part, Placeholder) else part for part in value)


def placeholders(filter_: Filter) -> frozenset[str]:
    """The names of all placeholders in it."""
    match filter_:
        case Compared(value=value) | Extensible(value=value):
            return frozenset(part.name for part in value if isinstance(part, Placeholder))
        case Combined(inner=inner):
            return frozenset().union(*(placeholders(each) for each in inner))
        case Present() | Substrings():
            return frozenset()


def parse(text: str) -> Filter:
    """Read a filter; NotAFilterError."""
    if len(text) > LONGEST:
        raise NotAFilterError(f"expected at most {LONGEST} characters, came {len(text)}")
    reader = _Reader(text)
    found = reader.filter(0)
    if reader.position != len(text):
        raise NotAFilterError(f"expected nothing after the filter, came more at character {reader.position + 1}")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.position = 0

    def filter(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise NotAFilterError(f"expected at most {DEEPEST} filters within one another")
        self._take("(")
        sign = self._text[self.position : self.position + 1]
        found = self._combined(sign, depth) if sign and sign in "&|!" else self._item()
        self._take(")")
        return found

    def _combined(self, sign: str, depth: int) -> Combined:
        self.position += 1
        inner = [self.filter(depth + 1)]
        while sign != "!" and self._text.startswith("(", self.position):
            inner.append(self.filter(depth + 1))
        return Combined({"&": AND, "|": OR, "!": NOT}[sign], tuple(inner))

    def _item(self) -> Filter:
        start = self.position
        end = self._text.find(")", start)
        item = self._text[start : end if end >= 0 else len(self._text)]
        left, equals, right = item.partition("=")
        if not equals or "(" in item:
            raise NotAFilterError(f"expected attribute=value, came something else at character {start + 1}")
        self.position += len(item)
        if left.endswith(":"):
            return self._extensible(left[:-1], right, start)
        tag = {"~": APPROXIMATE, ">": GREATER, "<": LESS}.get(left[-1:])
        attribute = self._attribute(left if tag is None else left[:-1], start)
        if tag is not None:
            return Compared(tag, attribute, _value(right))
        if right == "*":
            return Present(attribute)
        if "*" in right:
            return self._substrings(attribute, right, start)
        return Compared(EQUAL, attribute, _value(right))

    def _substrings(self, attribute: str, right: str, start: int) -> Substrings:
        parts = [_value(part) for part in right.split("*")]
        if not all(parts[1:-1]):
            raise NotAFilterError(f"expected text between two stars at character {start + 1}")
        if any(isinstance(piece, Placeholder) for part in parts for piece in part):
            # `*{user}*` would let anybody in whose name merely resembles that of another.
            raise NotAFilterError(f"expected no star beside a placeholder at character {start + 1}")
        return Substrings(attribute, tuple(b"".join(p for p in part if isinstance(p, bytes)) for part in parts))

    def _extensible(self, left: str, right: str, start: int) -> Extensible:
        found = _EXTENSIBLE.fullmatch(left)
        if found is None or not (found["attribute"] or found["rule"]):
            raise NotAFilterError(f"expected attribute:rule:=value at character {start + 1}")
        attribute = self._attribute(found["attribute"], start) if found["attribute"] else ""
        rule = self._attribute(found["rule"], start) if found["rule"] else ""
        return Extensible(attribute, rule, found["dn"] is not None, _value(right))

    def _attribute(self, text: str, start: int) -> str:
        if not _ATTRIBUTE.fullmatch(text):
            raise NotAFilterError(f"expected the name of an attribute at character {start + 1}")
        return text

    def _take(self, character: str) -> None:
        if not self._text.startswith(character, self.position):
            raise NotAFilterError(f'expected "{character}" at character {self.position + 1}')
        self.position += 1


def _value(text: str) -> Value:
    """Constant bytes and placeholders in turn; `\\2a` stands for one byte."""
    parts: list[bytes | Placeholder] = []
    for number, piece in enumerate(_PLACEHOLDER.split(text)):
        if number % 2:
            parts.append(Placeholder(piece))
        elif piece:
            parts.append(_unescaped(piece))
    return tuple(parts)


def _unescaped(text: str) -> bytes:
    found = bytearray()
    position = 0
    for escape in _ESCAPE.finditer(text):
        if escape[1] is None:
            raise NotAFilterError("expected two hexadecimal digits after a backslash")
        found += text[position : escape.start()].encode("utf-8") + bytes.fromhex(escape[1])
        position = escape.end()
    return bytes(found + text[position:].encode("utf-8"))
