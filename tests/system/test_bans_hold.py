"""Bans survive a restart, abort running associations, end on time, are lifted by command, and spare whom they must."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dicomgate.audit.record import Event
from dicomgate.wire.codes import PduType
from lab.gate import run_dicomgate, running_gate
from lab.process import Address, wait_until
from system.bystanders import HonestArchive, call, echoes
from system.house import House, Trail, house, rules
from system.raw_archive import SECONDS, RawArchive, associate_rq, dial

pytestmark = pytest.mark.system
CALLER, OTHER = "127.9.0.1", "127.9.0.2"
NEVER = """
[[peer]]
name = "emergency"
ae_titles = ["EMERGENCY"]
networks = ["127.9.0.1"]
assurance = "address"
may = ["echo"]
archive = "honest"
never_block = true

[detect]
mode = "respond"
"""


def ban(door: Path, *words: str) -> str:
    """`dicomgate ban …`; its stdout."""
    done = run_dicomgate("ban", words[0], "-c", door, *words[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def add(door: House, *words: str) -> str:
    return ban(door.gate.configuration, "add", *words, "--reason", "a test")


def answer_at(to: Address, source: str, calling: str = "CT1") -> int:
    """The type of the PDU that answers a request; 0 when there is none."""
    with dial(to, source) as wire:
        wire.say(associate_rq(calling=calling, called="HONEST"))
        return int.from_bytes(wire.pdu()[:1])


def test_a_ban_by_command_aborts_what_runs_and_ends_when_lifted(tmp_path: Path) -> None:
    with house(tmp_path) as door:
        gate = door.gate.address("outside")
        held, free = call(gate, source=CALLER), call(gate, source=OTHER)
        door.wires.extend((held, free))
        assert echoes(held)
        identifier = add(door, "address", CALLER, "--for", "1 h")
        assert held.pdu()[:1] == bytes((PduType.ABORT,))
        assert answer_at(gate, CALLER) == 0
        assert echoes(free)
        (listed,) = map(json.loads, ban(door.gate.configuration, "list", "--json").splitlines())
        assert (listed["identifier"], listed["value"], listed["origin"]) == (identifier, CALLER, "command")
        placed = door.trail.wait_for(event=Event.BAN_PLACED)
        assert (placed.refusal_id, placed.reason, placed.rule) == (identifier, "a test", "command")
        assert ban(door.gate.configuration, "lift", identifier) == identifier
        wait_until(lambda: answer_at(gate, CALLER) == PduType.ASSOCIATE_AC, SECONDS, "the end of the ban")
        assert door.trail.wait_for(event=Event.BAN_LIFTED).reason == "lifted by command"
        assert ban(door.gate.configuration, "list") == ""
        assert run_dicomgate("ban", "lift", "-c", door.gate.configuration, identifier).returncode == 1


def test_a_banned_title_is_refused_and_its_associations_end(tmp_path: Path) -> None:
    with house(tmp_path) as door:
        gate = door.gate.address("outside")
        running = call(gate, source=CALLER)
        door.wires.append(running)
        add(door, "ae_title", "CT1", "--for", "1 h")
        assert running.pdu()[:1] == bytes((PduType.ABORT,))
        assert answer_at(gate, OTHER) == PduType.ASSOCIATE_RJ
        refused = door.trail.wait_for(event=Event.ASSOCIATION_REFUSED, rule="ban")
        assert (refused.status, refused.address) == ("1/1/1", OTHER)


def test_a_ban_ends_on_time(tmp_path: Path) -> None:
    with house(tmp_path) as door:
        gate = door.gate.address("outside")
        add(door, "address", CALLER, "--for", "3 s", "--action", "refuse")
        wait_until(lambda: answer_at(gate, CALLER) == 0, SECONDS, "the ban")
        wait_until(lambda: answer_at(gate, CALLER) == PduType.ASSOCIATE_AC, SECONDS, "its end")
        assert door.trail.wait_for(event=Event.BAN_LIFTED).reason == "its time is over"
        assert len(door.trail.records(event=Event.BAN_PLACED)) == 1


def test_a_delayed_address_waits_and_a_capped_party_takes_turns(tmp_path: Path) -> None:
    with house(tmp_path, more='\n[detect]\ndelay = "1 s"\n') as door:
        gate = door.gate.address("outside")
        add(door, "address", CALLER, "--for", "1 h", "--action", "delay")
        door.trail.wait_for(event=Event.BAN_PLACED)
        late = door.dial(CALLER)
        late.say(associate_rq(called="HONEST"))
        assert answer_at(gate, OTHER) == PduType.ASSOCIATE_AC  # who came later is served first
        late.expect(PduType.ASSOCIATE_AC)
        late.close()
        asked = door.trail.records(event=Event.ASSOCIATION_REQUESTED, calling_ae_title="CT1")
        assert [record.address for record in asked] == [OTHER, CALLER]
        add(door, "ae_title", "CT1", "--for", "1 h", "--action", "cap")
        wait_until(lambda: len(door.trail.records(event=Event.BAN_PLACED)) == 2, SECONDS, "the cap")
        first = call(gate, source=OTHER)
        door.wires.append(first)
        assert answer_at(gate, OTHER) == PduType.ASSOCIATE_RJ
        assert echoes(first)
        first.close()
        wait_until(lambda: answer_at(gate, OTHER) == PduType.ASSOCIATE_AC, SECONDS, "its turn")


def test_a_ban_survives_a_restart_and_is_in_force_before_the_first_connection(tmp_path: Path) -> None:
    with RawArchive() as archive, HonestArchive() as honest:
        text = rules(archive.address, honest.address)
        with running_gate(tmp_path, text) as first:
            ban(first.configuration, "add", "address", CALLER, "--for", "1 h", "--reason", "a test")
            wait_until(lambda: answer_at(first.address("outside"), CALLER) == 0, SECONDS, "the ban")
            first.kill()
        with running_gate(tmp_path, text) as second:
            assert answer_at(second.address("outside"), CALLER) == 0
            assert answer_at(second.address("outside"), OTHER) == PduType.ASSOCIATE_AC
        assert len(Trail(tmp_path).records(event=Event.BAN_PLACED)) == 1


def test_a_ban_placed_while_no_gate_runs_is_recorded_by_the_next_one(tmp_path: Path) -> None:
    with RawArchive() as archive, HonestArchive() as honest:
        text = rules(archive.address, honest.address)
        (tmp_path / "dicomgate.toml").write_text(text)
        ban(tmp_path / "dicomgate.toml", "add", "address", CALLER, "--for", "1 h", "--reason", "a test")
        with running_gate(tmp_path, text) as gate:
            assert answer_at(gate.address("outside"), CALLER) == 0
            Trail(tmp_path).wait_for(event=Event.BAN_PLACED, address=CALLER)


def test_a_never_block_peer_is_only_told_of_and_a_human_may_still_ban_it(tmp_path: Path) -> None:
    """Somebody at the emergency room's address tries titles; the scanner there goes on working."""
    with house(tmp_path, more=NEVER) as door:
        gate = door.gate.address("outside")
        scanner = call(gate, "EMERGENCY", source=CALLER)
        door.wires.append(scanner)
        for number in range(5):
            with dial(gate, CALLER) as wire:
                wire.say(associate_rq(called=f"PACS{number}"))
                wire.expect(PduType.ASSOCIATE_RJ)
        finding = door.trail.wait_for(event=Event.FINDING, rule="D02")
        assert (finding.detail["answer"], finding.detail["never_block"]) == ("alert", True)
        assert answer_at(gate, CALLER, "EMERGENCY") == PduType.ASSOCIATE_AC
        assert echoes(scanner)
        assert door.trail.records(event=Event.BAN_PLACED) == []
        add(door, "address", CALLER, "--for", "1 h")
        assert scanner.pdu()[:1] == bytes((PduType.ABORT,))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("address", "10.1.2.0/24", "--for", "1 h"), "expected an IP address"),
        (("address", "10.1.2.3", "--for", "soon"), "--for: expected a time"),
        (("ae_title", "A*", "--for", "1 h"), "expected one AE title"),
        (("peer", "ct", "--for", "1 h"), "a peer cannot be held off"),
        (("user", "x", "--for", "1 h", "--action", "delay"), "holds for addresses only"),
        (("user", "x", "--for", "1 h", "--action", "kill"), "--action: expected one of"),
        (("certificate", "xyz", "--for", "1 h"), "expected a SHA-256"),
    ],
)
def test_what_cannot_be_banned_is_said(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    (tmp_path / "gate.toml").write_text(rules(Address("127.0.0.1", 1), Address("127.0.0.1", 2)))
    done: subprocess.CompletedProcess[str] = run_dicomgate(
        "ban", "add", "-c", tmp_path / "gate.toml", *words, "--reason", "a test"
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "gate.db").exists()
