"""Caps of peer, address, archive and gate: one too many is told to try again later; a place that is left is free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dicomgate.wire.codes import PduType
from lab.process import wait_until
from system.bystanders import release
from system.house import House, house
from system.raw_archive import SECONDS, Wire, associate_rq, reject

pytestmark = pytest.mark.system
LIMITS = """
associations = 5
associations_per_peer = 3
associations_per_address = 3
"""
MORE = """
[[archive]]
name = "tight"
ae_title = "TIGHT"
address = "{honest}"
max_associations = 2
""" + "".join(
    f"""
[[peer]]
name = "{name}"
ae_titles = ["{name.upper()}"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
archive = ["honest", "tight"]
{extra}
"""
    for name, extra in (("a", ""), ("b", ""), ("c", ""), ("single", "max_associations = 1"))
)
FULL = reject(2, 3, 2)


@dataclass(frozen=True, slots=True)
class Caller:
    calling: str
    source: str
    called: str = "HONEST"


CAPS: dict[str, tuple[list[Caller], Caller, str]] = {
    "peer's own": ([Caller("SINGLE", "127.2.0.1")], Caller("SINGLE", "127.2.0.2"), "limits.associations_per_peer"),
    "peer": (
        [Caller("A", f"127.2.0.{number}") for number in range(1, 4)],
        Caller("A", "127.2.0.9"),
        "limits.associations_per_peer",
    ),
    "address": (
        [Caller(title, "127.2.0.1") for title in "AAB"],
        Caller("C", "127.2.0.1"),
        "limits.associations_per_address",
    ),
    "archive": (
        [Caller("A", "127.2.0.1", "TIGHT"), Caller("B", "127.2.0.2", "TIGHT")],
        Caller("C", "127.2.0.3", "TIGHT"),
        "archive[tight].max_associations",
    ),
    "gate": (
        # The innocent has the fifth.
        [Caller(title, f"127.2.0.{number}") for number, title in enumerate("AABB")],
        Caller("C", "127.2.0.9"),
        "limits.associations",
    ),
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("caps"), limits=LIMITS, more=MORE) as running:
        yield running
        running.innocent.is_undisturbed()


def ask(door: House, caller: Caller) -> tuple[Wire, bytes]:
    wire = door.dial(caller.source)
    wire.say(associate_rq(calling=caller.calling, called=caller.called))
    return wire, wire.pdu()


@pytest.mark.parametrize(("admitted", "late", "rule"), CAPS.values(), ids=CAPS.keys())
def test_one_too_many(door: House, admitted: list[Caller], late: Caller, rule: str) -> None:
    wires = []
    for caller in admitted:
        wire, answer = ask(door, caller)
        assert answer[:1] == bytes((PduType.ASSOCIATE_AC,))
        wires.append(wire)
    seen = len(door.honest.seen)
    refused, answer = ask(door, late)
    assert answer == FULL
    refused.close()
    assert len(door.honest.seen) == seen
    record = door.refusal_of(refused, event="association_refused")
    assert (record.rule, record.status) == (rule, "2/3/2")
    release(wires.pop())

    def gets_in() -> bool:
        wire, answer = ask(door, late)
        if answer == FULL:
            wire.close()
            return False
        release(wire)
        return True

    wait_until(gets_in, SECONDS, "a free place")
    for wire in wires:
        release(wire)
    # The next case begins with an empty house.
    wait_until(lambda: all_left(door), SECONDS, "the places to be given back")


def all_left(door: House) -> bool:
    admitted = {record.association for record in door.trail.records(event="association_admitted")}
    ended = {record.association for record in door.trail.records(event="association_ended")}
    return len(admitted - ended) == 1
