"""kill -9 at any moment: every association that the archive saw has its record, and the gate starts again at once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dicomgate.wire.codes import PduType
from lab.gate import run_dicomgate, running_gate
from lab.process import Address, wait_until
from system.bystanders import HonestArchive, call, echoes, release
from system.house import Trail, rules
from system.raw_archive import RELEASE_RQ, SECONDS, associate_rq, dial

pytestmark = pytest.mark.system
ROUNDS = 20
CALLERS = 4
EAGER = "checkpoint_records = 20"
"""Dozens of checkpoints in each round, so that it also dies in the middle of one."""
ANY_NUMBER = """
[[peer]]
name = "numbered"
ae_titles = ["N*"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
archive = "honest"
"""


class Callers:
    """Associations one after another, each under a calling AE title of its own, until the gate is gone."""

    def __init__(self, to: Address, round_: int) -> None:
        self._threads = [
            threading.Thread(target=self._call, args=(to, f"N{round_}.{number}")) for number in range(CALLERS)
        ]
        for thread in self._threads:
            thread.start()

    def _call(self, to: Address, name: str) -> None:
        number = 0
        with suppress(OSError):
            while True:
                number += 1
                with dial(to) as wire:
                    wire.say(associate_rq(calling=f"{name}.{number}", called="HONEST"))
                    if wire.pdu()[:1] != bytes((PduType.ASSOCIATE_AC,)):
                        return
                    wire.say(RELEASE_RQ)
                    wire.pdu()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def verified(folder: Path) -> dict[str, Any]:
    """What `audit verify` says, offline: the gate is dead."""
    done = run_dicomgate("audit", "verify", "--json", "-c", folder / "dicomgate.toml")
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_association_the_archive_saw_is_recorded(tmp_path: Path) -> None:
    with HonestArchive() as honest:
        text = rules(honest.address, honest.address, audit=EAGER) + ANY_NUMBER
        for round_ in range(ROUNDS):
            seen = len(honest.seen)
            with running_gate(tmp_path, text) as gate:
                callers = Callers(gate.address("outside"), round_)
                # Each round a little later, so that it dies at another moment of its work.
                wait_until(lambda seen=seen, more=round_: len(honest.seen) > seen + more, SECONDS, "associations")
                gate.kill()
                callers.join()
            admitted = Counter(r.calling_ae_title for r in Trail(tmp_path).records(event="association_admitted"))
            assert set(honest.seen) <= admitted.keys(), "the archive saw an association without a record"
            assert verified(tmp_path)["holds"]
        assert set(admitted.values()) == {1}
        with running_gate(tmp_path, text) as gate:
            wire = call(gate.address("outside"))
            assert echoes(wire)
            release(wire)
            listed = run_dicomgate("audit", "list", "-c", gate.configuration, "--json")
            assert listed.returncode == 0
            assert listed.stdout.count('"gate_started"') == ROUNDS + 1
            assert listed.stdout.count('"association_admitted"') >= len(honest.seen)
            assert gate.stop() == 0
        verification = verified(tmp_path)
        assert verification["holds"]
        assert verification["signed"] == verification["size"] > len(honest.seen)
        assert verification["checkpoints"] > ROUNDS
        assert verification["remarks"] == []
