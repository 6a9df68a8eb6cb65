"""The byte samples beside this file, as values: annotated vectors (`vectors/*.hex`) and recorded traffic (`corpus/`).

A vector has header lines `# key: value` (decoder, expect, clause, and why for what is refused), then hexadecimal
bytes; from a `#` to the end of its line is comment. `corpus/DECODER/*.bin` holds what real programs sent.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Vector:
    """One annotated file. `why` is a part of the reason that a malformed one must be refused with."""

    name: str
    decoder: str
    expect: str
    clause: str
    why: str
    data: bytes


def vectors(decoder: str | None = None) -> list[Vector]:
    """Every vector of one decoder (`pdu`, `command`, `proxy_header`), or of all, by name."""
    found = [_vector(path) for path in sorted((HERE / "vectors").glob("*.hex"))]
    return [vector for vector in found if decoder in (None, vector.decoder)]


def vector(name: str) -> bytes:
    """The bytes of the vector called `name`."""
    return _vector(HERE / "vectors" / f"{name}.hex").data


def corpus(decoder: str | None = None) -> dict[str, bytes]:
    """Recorded samples of one decoder, or of all, as file name and bytes."""
    return {path.stem: path.read_bytes() for path in sorted((HERE / "corpus" / (decoder or "")).rglob("*.bin"))}


def seeds(decoder: str | None = None) -> list[bytes]:
    """Vectors and recorded samples together: where mutation starts from."""
    return [vector.data for vector in vectors(decoder)] + list(corpus(decoder).values())


def _vector(path: Path) -> Vector:
    lines = path.read_text().splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# ") and ": " in line)
    data = bytes.fromhex(" ".join(line.split("#")[0] for line in lines))
    return Vector(path.stem, header["decoder"], header["expect"], header["clause"], header.get("why", ""), data)
