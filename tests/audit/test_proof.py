"""A proof stands alone, proves exactly its record, and any change of it proves nothing."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.test_checkpoint import verify
from dicomgate.audit.checkpoint import Checkpoint, PublicKey, signed
from dicomgate.audit.leaf import canonical, salted, salted_leaf
from dicomgate.audit.merkle import Frontier, inclusion_ranges
from dicomgate.audit.proof import Proof, ProofError, proven

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = PublicKey("north-clinic", PRIVATE.public_key().public_bytes_raw())
ENCODE = canonical({"event": str, "time": float})
TEXTS = [ENCODE(number, ("operation", float(number))) for number in range(1, 12)]
SALTS = [salted(bytes([number] * 16)) for number in range(1, 12)]
LEAVES = [salted_leaf(salt, text) for salt, text in zip(SALTS, TEXTS, strict=True)]
TREE = Frontier().extended(LEAVES)
NOTE = signed(Checkpoint("north-clinic", TREE.size, TREE.root), KEY, PRIVATE.sign)


def proof_of(number: int) -> Proof:
    path = [Frontier().extended(LEAVES[a:b]).root for a, b in inclusion_ranges(number - 1, TREE.size)]
    return Proof(TEXTS[number - 1], SALTS[number - 1], tuple(path), NOTE)


@pytest.mark.parametrize("number", range(1, 12))
def test_each_record_can_be_proven(number: int) -> None:
    record, checkpoint = proven(Proof.from_json(proof_of(number).to_json()), KEY, verify)
    assert record == {"sequence": number, "event": "operation", "time": float(number)}
    assert checkpoint == Checkpoint("north-clinic", 11, TREE.root)


def refused(proof: Proof, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        proven(proof, KEY, verify)


def test_what_proves_nothing() -> None:
    good = proof_of(5)
    refused(replace(good, record=TEXTS[5]), "does not lead")
    refused(replace(good, record=good.record.replace("5.0", "6.0")), "does not lead")
    refused(replace(good, record=ENCODE(12, ("operation", 5.0))), "not among the 11")
    refused(replace(good, record=ENCODE(0, ("operation", 5.0))), "not among the 11")
    refused(replace(good, record=good.record + " "), "canonical text")
    refused(replace(good, salt=SALTS[0]), "does not lead")
    refused(replace(good, salt=b"\x02" + good.salt[1:]), "salt of encoding 1")
    refused(replace(good, path=good.path[:-1]), "does not lead")
    refused(replace(good, path=(*good.path, good.path[0])), "does not lead")
    refused(replace(good, path=good.path[::-1]), "does not lead")
    refused(replace(good, path=(good.path[0][:-1], *good.path[1:])), "path of hashes")
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    refused(replace(good, checkpoint=NOTE.replace("11", "12")), "edited")
    forged = PublicKey("north-clinic", other.public_key().public_bytes_raw())
    refused(
        replace(good, checkpoint=signed(Checkpoint("north-clinic", 11, TREE.root), forged, other.sign)), "came none"
    )


def test_it_tells_nothing_of_other_records() -> None:
    text = proof_of(5).to_json()
    assert not any(other in text for at, other in enumerate(TEXTS) if at != 4)
    values = json.loads(text)
    assert set(values) == {"format", "record", "salt", "path", "checkpoint"}
    assert json.loads(values["record"])["sequence"] == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["format", "path", "salt"]), inner),
)


@given(st.text() | JSON.map(json.dumps))
def test_any_file_is_read_or_refused(text: str) -> None:
    with pytest.raises(ProofError):
        Proof.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "dicomgate-proof-2"},
        {"salt": "!"},
        {"salt": None},
        {"path": ["A"]},
        {"path": [1]},
        {"path": ["AAAA"] * 65},
        {"record": {}},
    ],
)
def test_other_objects_are_refused(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(proof_of(5).to_json()), **change})
    with pytest.raises(ProofError):
        proven(Proof.from_json(text), KEY, verify)


def test_huge_and_deep_files_are_refused() -> None:
    with pytest.raises(ProofError, match="at most"):
        Proof.from_json(" " * 2_000_000)
    with pytest.raises(ProofError, match="in JSON"):
        Proof.from_json("[" * 500_000)
