"""BER as LDAP and Kerberos use it (X.690, RFC 4511 5.1): values in, bytes out; bytes in, elements or NotBerError out.

Definite lengths and one-byte tags only. What is nested is decoded by whoever expects it, so that the depth is that of
the grammar and not of the sender.
"""

from collections.abc import Iterator
from dataclasses import dataclass

BOOLEAN, INTEGER, OCTET_STRING, ENUMERATED, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
LONGEST_INTEGER = 8
_LONG_TAG = 0x1F


class NotBerError(ValueError):
    """The bytes are not what was expected. The text says what, never the bytes."""


@dataclass(frozen=True, slots=True)
class Element:
    """One tag with its contents."""

    tag: int
    contents: bytes

    def expect(self, tag: int) -> bytes:
        """The contents, if this is the tag."""
        if self.tag != tag:
            raise NotBerError(f"expected the tag 0x{tag:02x}, came 0x{self.tag:02x}")
        return self.contents

    def text(self, tag: int = OCTET_STRING) -> str:
        """An LDAPString."""
        try:
            return self.expect(tag).decode("utf-8")
        except UnicodeDecodeError:
            raise NotBerError("expected UTF-8, came other bytes") from None

    def number(self, tag: int = INTEGER) -> int:
        """A whole number of at most 64 bits."""
        contents = self.expect(tag)
        if not 1 <= len(contents) <= LONGEST_INTEGER:
            raise NotBerError(f"expected a number of 1 to {LONGEST_INTEGER} bytes, came {len(contents)}")
        return int.from_bytes(contents, "big", signed=True)


def encode(tag: int, *parts: bytes) -> bytes:
    """One element around the parts."""
    contents = b"".join(parts)
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + contents


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A whole number in as few bytes as possible."""
    significant = (value if value >= 0 else ~value).bit_length()
    return encode(tag, value.to_bytes(significant // 8 + 1, "big", signed=True))


def octets(value: bytes | str, tag: int = OCTET_STRING) -> bytes:
    """An octet string; text as UTF-8."""
    return encode(tag, value.encode("utf-8") if isinstance(value, str) else value)


def boolean(value: bool) -> bytes:
    return encode(BOOLEAN, b"\xff" if value else b"\x00")


def elements(contents: bytes) -> Iterator[Element]:
    """Every element that stands here, one after the other."""
    position = 0
    while position < len(contents):
        header = header_of(contents[position : position + 6])
        if header is None:
            raise NotBerError("an element ends within its length")
        size, length = header
        end = position + size + length
        if end > len(contents):
            raise NotBerError("an element is longer than what holds it")
        yield Element(contents[position], contents[position + size : end])
        position = end


def header_of(start: bytes) -> tuple[int, int] | None:
    """Sizes of the header and of the contents that follow it; None while the header is not whole (6 bytes are)."""
    if not start:
        return None
    if start[0] & _LONG_TAG == _LONG_TAG:
        raise NotBerError("expected a tag of one byte, came a longer one")
    if len(start) < 2:
        return None
    first = start[1]
    if first < 0x80:
        return 2, first
    count = first & 0x7F
    if not 1 <= count <= 4:
        raise NotBerError("expected a definite length of at most 4 bytes, came another")
    if len(start) < 2 + count:
        return None
    return 2 + count, int.from_bytes(start[2 : 2 + count], "big")
