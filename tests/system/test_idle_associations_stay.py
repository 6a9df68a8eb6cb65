"""A thousand associations that do nothing stay, cost little memory, and answer afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomgate.wire.codes import PduType
from system.bystanders import echoes
from system.house import house
from system.raw_archive import Wire, associate_rq, echo_rq, echo_rsp

pytestmark = pytest.mark.system
COUNT = 1000
MOST_EACH = 64 * 1024
"""Bytes; a bound of sanity, bench/ measures the real figure."""
MANY = """
associations = 2000
associations_per_peer = 2000
"""


def test_they_stay(tmp_path: Path) -> None:
    with house(tmp_path, limits=MANY) as door:
        before = door.memory()
        wires: list[Wire] = []
        for _ in range(COUNT // 50):
            group = [door.dial() for _ in range(50)]
            for wire in group:
                wire.say(associate_rq(called="HONEST"))
            for wire in group:
                wire.expect(PduType.ASSOCIATE_AC)
            wires += group
        assert (door.memory() - before) / COUNT < MOST_EACH
        for wire in wires:
            wire.say(echo_rq())
        assert all(wire.pdu() == echo_rsp() for wire in wires)
        assert (door.memory() - before) / COUNT < MOST_EACH
        door.innocent.is_undisturbed()
        for wire in wires:
            wire.reset()
        with door.dial() as late:
            late.say(associate_rq(called="HONEST"))
            late.expect(PduType.ASSOCIATE_AC)
            assert echoes(late)
