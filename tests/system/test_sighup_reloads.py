"""SIGHUP: new rules hold at once, who lost its permit is aborted, and a bad file changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from lab.process import wait_until
from system.bystanders import call, echoes
from system.house import House, house
from system.raw_archive import SECONDS, Wire, abort, associate_rq, command_of, dial, echo_rq, reject

pytestmark = pytest.mark.system
UNKNOWN = reject(1, 1, 3)
NEWCOMER = """
[[peer]]
name = "newcomer"
ae_titles = ["NEW"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
archive = "honest"
"""
SECOND_DOOR = """
[[listener]]
name = "second"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]
"""


@pytest.fixture(scope="module")
def one_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, str]]:
    with house(tmp_path_factory.mktemp("sighup")) as door:
        yield door, door.gate.configuration.read_text()


@pytest.fixture
def reloadable(one_house: tuple[House, str]) -> Iterator[tuple[House, str]]:
    """A house and its configuration, which is in force again afterwards."""
    door, text = one_house
    yield door, text
    reload(door, text)
    door.innocent.is_undisturbed()


def reload(door: House, text: str, event: str = "configuration_loaded") -> None:
    before = len(door.trail.records(event=event))
    door.gate.configuration.write_text(text)
    door.gate.sighup()
    wait_until(lambda: len(door.trail.records(event=event)) > before, SECONDS, f"a record {event}")


def answer(door: House, calling: str, listener: str = "outside") -> bytes:
    with dial(door.gate.address(listener)) as wire:
        wire.say(associate_rq(calling=calling, called="HONEST"))
        return wire.pdu()


def without(text: str, name: str) -> str:
    """The configuration without this peer."""
    tables = text.split("\n[[")
    return "\n[[".join(table for table in tables if f'name = "{name}"\n' not in table)


def kept(door: House) -> Wire:
    wire = call(door.gate.address("outside"))
    door.wires.append(wire)
    return wire


def test_a_new_peer_works_and_the_old_ones_notice_nothing(reloadable: tuple[House, str]) -> None:
    door, text = reloadable
    running = kept(door)
    assert answer(door, "NEW") == UNKNOWN
    reload(door, text + NEWCOMER)
    assert answer(door, "NEW")[:1] == b"\x02"
    assert echoes(running)
    door.innocent.is_undisturbed()


def test_a_peer_that_is_gone_is_aborted_and_nobody_else(reloadable: tuple[House, str]) -> None:
    door, text = reloadable
    client, archive = door.association()
    waiting = door.dial()
    waiting.say(associate_rq())
    door.wires.append(door.archive.meet())
    reload(door, without(text, "ct"))
    assert client.pdu() == abort(2, 0)
    assert archive.pdu() == abort(2, 0)
    assert waiting.pdu()[:1] == b"\x03"
    door.innocent.is_undisturbed()
    assert "no longer allowed" in (door.refusal_of(client, event="association_ended").reason or "")
    assert answer(door, "CT1") == UNKNOWN


def test_a_verb_that_is_gone_is_refused_on_running_associations(reloadable: tuple[House, str]) -> None:
    door, text = reloadable
    running = kept(door)
    assert echoes(running)
    reload(door, text.replace('may = ["echo", "store", "find", "get"]', 'may = ["find"]'))
    running.say(echo_rq(2))
    assert command_of(running.pdu()).status == 0x0122
    assert door.refusal_of(running, event="operation_refused").rule == "peer[ct].may"


def refusals(door: House) -> list[str]:
    """Why files were refused, as the log says it."""
    lines = [json.loads(line) for line in door.gate.log.splitlines() if line.startswith("{")]
    return [line["reason"] for line in lines if line["event"] == "configuration_refused"]


BAD = {
    "not TOML": (lambda text: text + "\n[[peer", "not valid TOML"),
    "a wrong value": (lambda text: text.replace('"echo", "store"', '"dance"'), "dance"),
    "an archive that is gone": (lambda text: text.replace('name = "honest"', 'name = "other"'), "honest"),
    "another state": (lambda text: text.replace("gate.db", "other.db"), "gate.state"),
    "an address that cannot be bound": (
        lambda text: text + SECOND_DOOR.replace("127.0.0.1:0", "192.0.2.1:11112"),
        "cannot listen",
    ),
    "an empty file": (lambda text: "", ""),
}


@pytest.mark.parametrize(("spoil", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_keeps_the_old_rules_and_says_why(
    reloadable: tuple[House, str], spoil: Callable[[str], str], said: str
) -> None:
    door, text = reloadable
    running = kept(door)
    loaded = len(door.trail.records(event="configuration_loaded"))
    reload(door, spoil(text), "configuration_refused")
    record = door.trail.records(event="configuration_refused")[-1]
    assert record.outcome == "failure"
    assert said in (record.reason or "")
    wait_until(lambda: refusals(door)[-1:] == [record.reason], SECONDS, "a line in the log")
    assert echoes(running)
    assert answer(door, "CT1")[:1] == b"\x02"
    assert len(door.trail.records(event="configuration_loaded")) == loaded
    reload(door, text + NEWCOMER)
    assert answer(door, "NEW")[:1] == b"\x02"


def test_listeners_open_and_close_with_those_who_came_through_them(reloadable: tuple[House, str]) -> None:
    door, text = reloadable
    reload(door, text + SECOND_DOOR)
    wait_until(lambda: "ready second " in door.gate.log, SECONDS, "the ready line")
    second = door.gate.address("second")
    running = call(second)
    door.wires.append(running)
    assert echoes(running)
    reload(door, text)
    with pytest.raises(ConnectionRefusedError):
        dial(second)
    assert running.pdu() == abort(2, 0)
    assert door.refusal_of(running, event="association_ended").rule == "listener"
    assert answer(door, "CT1")[:1] == b"\x02"
    assert door.gate.log.count("ready outside") == 1
