"""A signed statement of how large the tree is and what its root is: values in, C2SP signed notes out, and back.

The form is tlog-checkpoint in a signed-note (C2SP), signed with Ed25519. Signing and checking a signature are
callables, so that the key may be anywhere.
"""

import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from dicomgate.audit.merkle import HASH_BYTES

ED25519 = b"\x01"
"""The signature type of signed-note."""
KEY_BYTES = 32
SIGNATURE_BYTES = 64
LARGEST_NOTE = 64 * 1024
"""Characters. Three lines and some dozen signatures of witnesses."""

LOGGED = "dicomgate-checkpoint"
"""How a checkpoint in a log begins."""

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]
"""Public key, signature, message in; whether the signature is good out (Ed25519, RFC 8032)."""

_EM_DASH = "\u2014"
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_NAME = re.compile(r"[^\s+\x00-\x20\x7f]{1,255}")
_LOGGED = re.compile(rf"{LOGGED} \S+ [0-9]+ ([A-Za-z0-9_-]+={{0,2}})")
_SIGNATURE_LINE = re.compile(rf"{_EM_DASH} ([^\s+]{{1,255}}) ([A-Za-z0-9+/]+={{0,2}})")


class CheckpointError(ValueError):
    """Not a checkpoint, or not one of the expected key: what was expected, and what came."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of the log `origin` has `size` leaves and this root hash."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed (tlog-checkpoint, note text)."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A named Ed25519 key that checkpoints are checked with; `str` is its verifier key: NAME+ID+BASE64."""

    name: str
    key: bytes

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise CheckpointError("expected a key name without spaces and plus signs")
        if len(self.key) != KEY_BYTES:
            raise CheckpointError(f"expected a public key of {KEY_BYTES} bytes, came {len(self.key)}")

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of the same name apart (signed-note, Ed25519 signatures)."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(ED25519 + self.key)}"

    @staticmethod
    def parse(text: str) -> "PublicKey":
        """The key that a verifier key holds."""
        name, _, rest = text.strip().partition("+")
        id_, _, encoded = rest.partition("+")
        content = _decoded(encoded)
        if not content.startswith(ED25519):
            raise CheckpointError("expected a public key as NAME+ID+BASE64 of type Ed25519")
        key = PublicKey(name, content[1:])
        if key.id.hex() != id_:
            raise CheckpointError(f"expected the key ID {key.id.hex()} of this name and key, came another")
        return key


def signed(checkpoint: Checkpoint, key: PublicKey, sign: Sign) -> str:
    """The checkpoint as a note with one signature."""
    signature = _base64(key.id + sign(checkpoint.text.encode()))
    return f"{checkpoint.text}\n{_EM_DASH} {key.name} {signature}\n"


def opened(note: str, key: PublicKey, verify: Verify) -> Checkpoint:
    """The checkpoint in a note, once this key's signature on it is good. CheckpointError otherwise.

    Signatures of other keys (witnesses) are ignored; of this key, every one must be good.
    """
    checkpoint, signatures = read(note)
    if checkpoint.origin != key.name:
        raise CheckpointError("expected a checkpoint of the log that the key is named after, came another origin")
    own = [signature for name, id_, signature in signatures if (name, id_) == (key.name, key.id)]
    if not own:
        raise CheckpointError("expected a signature of this key, came none")
    if not all(verify(key.key, signature, checkpoint.text.encode()) for signature in own):
        raise CheckpointError("the signature does not fit: the checkpoint was edited, or another key signed it")
    return checkpoint


def read(note: str) -> tuple[Checkpoint, list[tuple[str, bytes, bytes]]]:
    """What a note says, unverified: the checkpoint, and of each signature the key's name, ID, and the signature."""
    if len(note) > LARGEST_NOTE:
        raise CheckpointError(f"expected a checkpoint of at most {LARGEST_NOTE} characters, came {len(note)}")
    text, blank, below = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) != 3 or not below.endswith("\n"):
        raise CheckpointError("expected an origin, a size and a root, an empty line, then signatures, each on its line")
    origin, size, root = lines
    if _NAME.fullmatch(origin) is None or _SIZE.fullmatch(size) is None:
        raise CheckpointError("expected an origin and a size on the first two lines")
    hash_ = _decoded(root)
    if len(hash_) != HASH_BYTES:
        raise CheckpointError(f"expected a root hash of {HASH_BYTES} bytes on the third line, came {len(hash_)}")
    return Checkpoint(origin, int(size), hash_), [_signature(line) for line in below[:-1].split("\n")]


def notes(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """The notes of a file that holds one after another, an empty line behind each, with the line they begin at.

    What is cut off at the end comes out as it is, and `read` refuses it.
    """
    note, begin, blank = "", 1, 0
    for number, line in enumerate(lines, start=1):
        if line == "\n" and (blank or not note):
            if note:
                yield begin, note
            note, blank, begin = "", 0, number + 1
            continue
        blank += line == "\n"
        note += line
        if len(note) > LARGEST_NOTE:
            yield begin, note
            note, blank, begin = "", 0, number + 1
    if note:
        yield begin, note


def in_a_line(note: str) -> str:
    """A note as one line without line ends, for logs that know lines only; `logged` finds it there.

    In base64 for URLs (RFC 4648 5), which holds nothing that a log would escape, such as a slash in JSON.
    """
    origin, size, _ = note.split("\n", 2)
    return f"{LOGGED} {origin} {size} {urlsafe_b64encode(note.encode()).decode('ascii')}"


def logged(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """The notes that `in_a_line` put into a log, each with its line, whatever stands around them and on other lines.

    What is none comes out as it is, and `read` refuses it.
    """
    for number, line in enumerate(lines, start=1):
        if LOGGED not in line:
            continue
        found = _LOGGED.search(line)
        try:
            yield number, line if found is None else urlsafe_b64decode(found[1]).decode()
        except ValueError:
            yield number, line


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = _SIGNATURE_LINE.fullmatch(line)
    content = b"" if found is None else _decoded(found[2])
    if found is None or len(content) <= 4:
        raise CheckpointError("expected a signature line: an em dash, a key name and a signature")
    return found[1], content[:4], content[4:]


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _decoded(text: str) -> bytes:
    try:
        content = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise CheckpointError("expected base64") from None
    if _base64(content) != text:  # other trailing bits would give a second form of the same thing
        raise CheckpointError("expected base64 in its one form")
    return content
