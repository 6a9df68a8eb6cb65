"""Whose keys a keytab holds: the file in, names out. Only names are read, so that `check` can tell of a wrong file.

MIT's format, version 2: entries of a length and contents, a negative length marks a hole.
"""

import struct
from pathlib import Path

LARGEST = 4 * 1024**2
_VERSION = b"\x05\x02"


def principals_of(path: Path) -> frozenset[str]:
    """`SERVICE/HOST@REALM` of each key. OSError when it cannot be read, ValueError when it is no keytab."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if not content.startswith(_VERSION) or len(content) > LARGEST:
        raise ValueError("expected a keytab, came another file")
    found = set()
    position = len(_VERSION)
    try:
        while position < len(content):
            (length,) = struct.unpack_from(">i", content, position)
            position += 4
            if length > 0:
                found.add(_principal(content[position : position + length]))
            position += abs(length)
            if length == 0:
                break
    except (struct.error, UnicodeDecodeError):
        raise ValueError("expected a keytab, came one that is damaged") from None
    return frozenset(found)


def _principal(entry: bytes) -> str:
    (components,) = struct.unpack_from(">H", entry)
    position, words = 2, []
    for _ in range(components + 1):  # the realm stands first
        (length,) = struct.unpack_from(">H", entry, position)
        position += 2
        word = entry[position : position + length]
        if len(word) != length:
            raise ValueError("expected a keytab, came one that is damaged")
        words.append(word.decode("utf-8"))
        position += length
    realm, *name = words
    return f"{'/'.join(name)}@{realm}"
