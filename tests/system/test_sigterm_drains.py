"""SIGTERM: nobody new gets in, what runs may finish, and what does not finish in time is aborted."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from dicomgate.wire.codes import CommandField, PduType
from lab.process import wait_until
from system.bystanders import call, echoes
from system.house import House, house
from system.raw_archive import (
    CT,
    ON_CT,
    RELEASE_RP,
    RELEASE_RQ,
    SECONDS,
    abort,
    associate_rq,
    command_of,
    data_set,
    dial,
    response,
    store_rq,
)

pytestmark = pytest.mark.system
GONE = abort(2, 0)
STOP = [signal.SIGTERM, signal.SIGINT]


def nobody_gets_in(door: House) -> bool:
    try:
        dial(door.gate.address("outside")).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # it was in the queue of a listener that is being closed
    return False


@pytest.mark.parametrize("number", STOP, ids=lambda number: number.name)
def test_a_running_transfer_finishes(tmp_path: Path, number: signal.Signals) -> None:
    with house(tmp_path) as door:
        client, archive = door.association()
        half_open = door.dial()
        half_open.say(associate_rq()[:50])
        client.say(store_rq())
        assert command_of(archive.pdu()).command_field is CommandField.C_STORE_RQ
        door.gate.process.send_signal(number)
        wait_until(lambda: nobody_gets_in(door), SECONDS, "the listeners to close")
        assert half_open.rest() == b""
        door.gate.process.send_signal(number)  # impatience changes nothing
        client.say(data_set(ON_CT))
        assert archive.pdu() == data_set(ON_CT)
        archive.say(response(ON_CT, CommandField.C_STORE_RSP, 1, 0, sop_class=CT))
        assert command_of(client.pdu()).status == 0
        client.say(RELEASE_RQ)
        assert archive.pdu() == RELEASE_RQ
        archive.say(RELEASE_RP)
        assert client.pdu() == RELEASE_RP
        client.close()
        door.innocent.leave()
        assert door.gate.process.popen.wait(SECONDS) == 0
        assert door.trail.records(event="operation", outcome="success", verb="store")
        assert [r.outcome for r in door.trail.records(event="association_ended", peer="ct")] == ["success"]
        assert door.trail.records()[-1].event == "gate_stopped"


def test_what_does_not_finish_in_time_is_aborted(tmp_path: Path) -> None:
    with house(tmp_path, limits='drain = "1 s"\nclose = "1 s"') as door:
        client, archive = door.association()
        client.say(store_rq())
        archive.expect(PduType.P_DATA_TF)
        waiting = door.dial()
        waiting.say(associate_rq())
        unanswered = door.archive.meet()
        door.wires.append(unanswered)
        door.innocent.leave()
        door.gate.process.send_signal(signal.SIGTERM)
        assert client.pdu() == GONE
        assert archive.pdu() == GONE
        assert waiting.pdu()[:1] == b"\x03"
        assert door.gate.process.popen.wait(SECONDS) == 0
        ended = door.trail.records(event="association_ended", peer="ct")
        assert [(r.outcome, r.rule, r.reason) for r in ended] == [("failure", "gate", "the gate is stopping")] * 2


def test_a_reload_while_draining_opens_no_door(tmp_path: Path) -> None:
    with house(tmp_path) as door:
        running = call(door.gate.address("outside"))
        door.wires.append(running)
        door.gate.process.send_signal(signal.SIGTERM)
        wait_until(lambda: nobody_gets_in(door), SECONDS, "the listeners to close")
        door.gate.sighup()
        door.trail.wait_for(event="configuration_loaded")
        assert door.gate.log.count("ready outside") == 1
        assert nobody_gets_in(door)
        assert echoes(running)


def test_nothing_running_ends_at_once(tmp_path: Path) -> None:
    with house(tmp_path) as door:
        silent = door.dial()
        door.innocent.leave()
        door.gate.process.send_signal(signal.SIGTERM)
        assert door.gate.process.popen.wait(5) == 0
        assert silent.rest() == b""
        with socket.socket() as nobody:
            where = door.gate.address("outside")
            assert nobody.connect_ex((where.host, where.port)) != 0
