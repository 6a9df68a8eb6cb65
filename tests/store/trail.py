"""A signed trail in a folder, as a gate leaves it, and what `verify` says of it. Shared by the tests of the trail."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.checkpoints import Checkpoints
from dicomgate.store.database import open_copy, open_store
from dicomgate.store.keys import public_key, public_path, signer, verify_ed25519
from dicomgate.store.recorder import Recorder
from dicomgate.store.verification import CheckpointFile, Fault, Verification, verify_trail
from store.standins import Loop


class Trail:
    """A store, its key and its checkpoint file in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "gate.db"
        self.checkpoints = folder / "gate.checkpoints"
        self.key = folder / "gate.signing-key"

    def write(self, names: Iterable[str], *, each: int = 20, **fields: object) -> None:
        """A run of the gate that makes one record after another, with a checkpoint for `each` of them."""
        engine = open_store("sqlite:///gate.db", self.folder)
        checkpoints = Checkpoints(engine, signer(self.key, "north"), self.checkpoints, records=each)
        loop = Loop()
        recorder = Recorder(engine, loop.call_soon, loop.health.append, checkpoints=checkpoints)
        for number, name in enumerate(names):
            values: dict[str, object] = {"calling_ae_title": "CT1", "reason": "because", "port": 104, **fields}
            record = Record(1000.0 + number, Event.OPERATION, Outcome.SUCCESS, association=name, **values)  # type: ignore[arg-type]
            recorder.submit([record], loop.done(name))
            loop.until(lambda name=name: name in loop.answers)  # type: ignore[misc]
        assert recorder.close(20.0) == 0
        assert loop.health == []

    def verify(self, *, own: bool = True, files: Iterable[Path] | None = None) -> Verification:
        found = [self.checkpoints] if files is None else files
        given = [CheckpointFile(path.name, path.read_text("utf-8", "replace").splitlines(True), own) for path in found]
        return verify_trail(open_copy(self.store), public_key(public_path(self.key)), verify_ed25519, given)

    def execute(self, *statements: str) -> None:
        """What somebody with write access does to the store."""
        other = sqlite3.connect(self.store, isolation_level=None)
        for statement in statements:
            other.execute(statement)
        other.execute("PRAGMA journal_mode = DELETE")
        other.close()

    def copy(self, to: Path) -> Trail:
        shutil.copytree(self.folder, to)
        return Trail(to)


def found(verification: Verification) -> list[tuple[Fault, int | None, int | None]]:
    return [(finding.fault, finding.first, finding.last) for finding in verification.findings]


def names(count: int, begin: int = 1) -> list[str]:
    return [f"a{number}" for number in range(begin, begin + count)]


Tamper = Callable[[Trail], None]
