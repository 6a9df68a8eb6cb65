"""Checkpoints: byte for byte what C2SP tlog-checkpoint and signed-note say, and nothing else is taken for one."""

import base64
import hashlib
import re
import struct
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.checkpoint import Checkpoint, CheckpointError, PublicKey, notes, opened, read, signed

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = PublicKey("north-clinic", PRIVATE.public_key().public_bytes_raw())
CHECKPOINT = Checkpoint("north-clinic", 1234, hashlib.sha256(b"root").digest())
NOTE = signed(CHECKPOINT, KEY, PRIVATE.sign)


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def independently_opened(note: bytes, vkey: str) -> tuple[str, int, bytes]:
    """A second decoder, written from the text of the two specifications and sharing nothing with the first."""
    name, id_, material = vkey.split("+", 2)
    raw = base64.b64decode(material)
    assert raw[0] == 1
    public = raw[1:]
    (expected,) = struct.unpack(">I", hashlib.sha256(name.encode() + b"\x0a\x01" + public).digest()[:4])
    assert int(id_, 16) == expected
    at = note.rindex(b"\n\n")
    text, signatures = note[: at + 1], note[at + 2 :]
    assert signatures.endswith(b"\n")
    for line in signatures.decode().splitlines():
        dash, key_name, encoded = line.split(" ")
        assert dash == "\N{EM DASH}"
        blob = base64.b64decode(encoded)
        if key_name == name and struct.unpack(">I", blob[:4]) == (expected,):
            Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text)
            origin, size, root = text.decode().splitlines()
            return origin, int(size), base64.b64decode(root)
    raise AssertionError("not signed by this key")


def test_the_form_is_exactly_this() -> None:
    lines = NOTE.split("\n")
    assert lines[:4] == ["north-clinic", "1234", base64.b64encode(CHECKPOINT.root).decode(), ""]
    assert lines[4].startswith("\N{EM DASH} north-clinic ")
    assert lines[5:] == [""]


def test_an_independent_decoder_reads_it() -> None:
    assert independently_opened(NOTE.encode(), str(KEY)) == ("north-clinic", 1234, CHECKPOINT.root)


def test_the_example_of_the_specification_is_read() -> None:
    checkpoint, ((name, id_, signature),) = read(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "\N{EM DASH} example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert (name, len(id_), len(signature)) == ("example.com/behind-the-sofa", 4, 64)


def test_it_opens_with_its_key_also_beside_signatures_of_witnesses() -> None:
    assert opened(NOTE, KEY, verify) == CHECKPOINT
    witness = "\N{EM DASH} witness.example/w1 " + base64.b64encode(b"1234" + bytes(72)).decode() + "\n"
    text, _, own = NOTE.partition("\n\n")
    assert opened(f"{text}\n\n{witness}{own}", KEY, verify) == CHECKPOINT
    assert opened(f"{text}\n\n{own}{witness}", KEY, verify) == CHECKPOINT


def test_public_keys_are_written_and_read() -> None:
    assert PublicKey.parse(str(KEY)) == PublicKey.parse(f"{KEY}\n") == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "north-clinic",
        str(KEY).replace("north", "south"),
        str(KEY)[:-4],
        str(KEY) + "AAAA",
        "north-clinic+00000000+" + base64.b64encode(bytes([2]) + KEY.key).decode(),
        str(KEY).replace("north-clinic", "north clinic"),
        "+" + str(KEY),
    ],
)
def test_other_public_keys_are_refused(text: str) -> None:
    with pytest.raises(CheckpointError):
        PublicKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\x07b", "x" * 256])
def test_other_key_names_are_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="key name"):
        PublicKey(name, KEY.key)


def test_another_key_another_name_another_origin_are_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    stranger = PublicKey("north-clinic", other.public_key().public_bytes_raw())
    with pytest.raises(CheckpointError, match="expected a signature of this key"):
        opened(NOTE, stranger, verify)
    with pytest.raises(CheckpointError, match="does not fit"):
        opened(signed(CHECKPOINT, KEY, other.sign), KEY, verify)
    with pytest.raises(CheckpointError, match="another origin"):
        opened(NOTE, PublicKey("south-clinic", KEY.key), verify)
    forged = signed(CHECKPOINT, KEY, other.sign).rpartition("\n\n")[2]
    with pytest.raises(CheckpointError, match="does not fit"):
        opened(NOTE + forged, KEY, verify)


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(at: int, change: int) -> None:
    content = bytearray(NOTE.encode())
    content[at] ^= change
    with pytest.raises(CheckpointError):
        opened(content.decode(errors="replace"), KEY, verify)


@given(st.integers(0, len(NOTE) - 1))
def test_nothing_can_be_cut_off(length: int) -> None:
    with pytest.raises(CheckpointError):
        opened(NOTE[:length], KEY, verify)


@given(st.text() | st.text("north-clinic\n \N{EM DASH}=1A+/", max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        checkpoint, signatures = read(text)
    except CheckpointError:
        return
    assert checkpoint.size >= 0
    assert len(checkpoint.root) == 32
    assert signatures


@pytest.mark.parametrize("size", ["", "01", "-1", "+1", "1 ", "1e3", "9" * 19, "\N{ARABIC-INDIC DIGIT FOUR}"])
def test_sizes_have_one_form(size: str) -> None:
    with pytest.raises(CheckpointError, match="origin and a size"):
        read(NOTE.replace("\n1234\n", f"\n{size}\n"))


def test_extension_lines_and_huge_notes_are_refused() -> None:
    with pytest.raises(CheckpointError, match="expected an origin"):
        read(NOTE.replace("=\n\n", "=\nextension\n\n", 1))
    with pytest.raises(CheckpointError, match="at most"):
        read("x" * 70_000)


def split(text: str) -> list[tuple[int, str]]:
    return list(notes(iter(text.splitlines(keepends=True))))


def test_a_file_of_many_notes() -> None:
    assert split("") == []
    assert split(NOTE) == [(1, NOTE)], "one alone, as it was sent"
    assert split(f"{NOTE}\n{NOTE}\n") == [(1, NOTE), (7, NOTE)]


@given(st.integers(0, 3 * len(NOTE)))
def test_a_file_cut_off_loses_only_what_is_cut(length: int) -> None:
    text = f"{NOTE}\n" * 3
    whole = [note for _, note in split(text[:length]) if note == NOTE]
    assert len(whole) == (length + 1) // (len(NOTE) + 1)


def test_a_file_without_empty_lines_does_not_fill_the_memory() -> None:
    longest = max(len(note) for _, note in notes(iter(["x" * 1000 + "\n"] * 1000)))
    assert longest < 70_000


def test_the_example_in_the_documentation_is_one() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    reference = (docs / "reference" / "records.md").read_text("utf-8")
    begin = reference.index("north-clinic\n1\n")
    (key,) = re.findall(
        r"^ *(north-clinic\+\S+)$", (docs / "howto" / "audit-proof.md").read_text("utf-8"), re.MULTILINE
    )
    checkpoint = opened(reference[begin : reference.index("```", begin)], PublicKey.parse(key), verify)
    assert checkpoint.size == 1
