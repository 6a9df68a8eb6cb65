"""A proof that one record is in the trail: all that is needed to check it in one JSON object, but for the public key.

Whoever has the public key learns from it this record, the size of the trail, and nothing about any other record.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from dicomgate.audit.checkpoint import Checkpoint, CheckpointError, PublicKey, Verify, opened
from dicomgate.audit.leaf import NotCanonicalError, Value, decoded, is_salt, salted_leaf
from dicomgate.audit.merkle import HASH_BYTES, inclusion_root

FORMAT = "dicomgate-proof-1"
LARGEST_PROOF = 1024 * 1024
"""Characters. A record has some kilobytes, a path at most 64 hashes."""
_LONGEST_PATH = 64


class ProofError(ValueError):
    """It proves nothing: what was expected, and what came."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A record in canonical text with its salt, the inclusion proof of its leaf, and a signed checkpoint."""

    record: str
    salt: bytes
    path: tuple[bytes, ...]
    checkpoint: str

    def to_json(self) -> str:
        """The proof as it is handed on."""
        values = {
            "format": FORMAT,
            "record": self.record,
            "salt": _base64(self.salt),
            "path": [_base64(each) for each in self.path],
            "checkpoint": self.checkpoint,
        }
        return json.dumps(values, indent=2)

    @staticmethod
    def from_json(text: str) -> "Proof":
        """What `to_json` made. ProofError for anything else."""
        if len(text) > LARGEST_PROOF:
            raise ProofError(f"expected a proof of at most {LARGEST_PROOF} characters, came more")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ProofError("expected a proof in JSON") from None
        match values:
            case {
                "format": str(format_),
                "record": str(record),
                "salt": str(salt),
                "path": list(path),
                "checkpoint": str(checkpoint),
            } if format_ == FORMAT and len(path) <= _LONGEST_PATH:
                return Proof(record, _bytes(salt), tuple(_bytes(each) for each in path), checkpoint)
            case _:
                raise ProofError(f"expected an object of the format {FORMAT}")


def proven(proof: Proof, key: PublicKey, verify: Verify) -> tuple[Mapping[str, Value], Checkpoint]:
    """The record that is proven to be in the trail, and the checkpoint it is under. ProofError when it is not."""
    try:
        checkpoint = opened(proof.checkpoint, key, verify)
        record = decoded(proof.record)
    except (CheckpointError, NotCanonicalError) as problem:
        raise ProofError(str(problem)) from None
    number = record["sequence"]
    if not is_salt(proof.salt) or any(len(each) != HASH_BYTES for each in proof.path):
        raise ProofError(f"expected a salt of encoding 1, and a path of hashes of {HASH_BYTES} bytes")
    if not isinstance(number, int) or not 1 <= number <= checkpoint.size:
        raise ProofError(f"record {number} is not among the {checkpoint.size} of the checkpoint")
    leaf = salted_leaf(proof.salt, proof.record)
    if inclusion_root(number - 1, checkpoint.size, leaf, proof.path) != checkpoint.root:
        raise ProofError(f"the path does not lead from record {number} to the root: one of them was changed")
    return record, checkpoint


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _bytes(text: object) -> bytes:
    try:
        return b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        raise ProofError("expected base64") from None
