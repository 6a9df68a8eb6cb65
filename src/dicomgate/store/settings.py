"""How the trail is kept: what `[audit]` says, and where its files are."""

from dataclasses import dataclass
from pathlib import Path

CHECKPOINT_SECONDS = 60.0
CHECKPOINT_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class TrailSettings:
    """Absolute paths, or None: beside the store. Times in seconds; `keep` None: records are never pruned."""

    checkpoint_interval: float = CHECKPOINT_SECONDS
    checkpoint_records: int = CHECKPOINT_RECORDS
    checkpoint_file: Path | None = None
    signing_key: Path | None = None
    pseudonym_key: Path | None = None
    keep: float | None = None

    def checkpoints_of(self, store: Path) -> Path:
        """The file of checkpoints of the store in this file."""
        return self.checkpoint_file or store.with_suffix(".checkpoints")

    def signing_key_of(self, store: Path) -> Path:
        return self.signing_key or store.with_suffix(".signing-key")

    def pseudonym_key_of(self, store: Path) -> Path:
        return self.pseudonym_key or store.with_suffix(".pseudonym-key")
