"""Scripted attacks on a running gate: each is found, told to a real receiver, and answered; the innocent goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from dicomgate.audit.record import Event, Record
from dicomgate.wire.codes import CommandField, PduType
from lab.alert_receiver import AlertReceiver
from lab.process import wait_until
from system.house import House, house
from system.raw_archive import (
    CT,
    FIND,
    GET,
    IMPLICIT,
    ON_CT,
    ON_GET,
    PENDING,
    RELEASE_RQ,
    SECONDS,
    associate_rq,
    command,
    command_of,
    data_set,
    item,
    pdu,
    proposed,
    query_rq,
    response,
    store_rq,
    user_information,
)

pytestmark = pytest.mark.system
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
ON_MOVE = 9
ATTACKER, OTHER = "127.9.0.1", "127.9.0.2"
ALERTS = """
[[sink]]
name = "on-call"
kind = "alert"
urls_file = "receivers"
minimum = "low"
group = "200 ms"
most_per_hour = 100

[[peer]]
name = "reader"
ae_titles = ["READER"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["find", "move"]
archive = "honest"

[detect]
mode = "respond"
"""


@contextmanager
def attacked(folder: Path, detect: str = "", limits: str = "") -> Iterator[tuple[House, AlertReceiver]]:
    with AlertReceiver() as receiver:
        (folder / "receivers").write_text(f"# the people on call\n\n{receiver.url}\n")
        with house(folder, more=ALERTS + detect, limits=limits) as door:
            yield door, receiver


def found(door: House, receiver: AlertReceiver, detector: str, action: str) -> Record:
    """The record of the finding, once it is there and told; with the time it took."""
    record = door.trail.wait_for(event=Event.FINDING, rule=detector)
    assert record.detail["answer"] == action, record
    wait_until(
        lambda: any(f" {detector} " in body for _, body in receiver.messages), SECONDS, f"an alert of {detector}"
    )
    last = datetime.fromisoformat(str(record.detail["last_seen"])).timestamp()
    print(f"\n{detector}: found {record.time - last:.2f} s after what gave it away: {record.reason}")
    return record


def is_shut_out(door: House, source: str) -> bool:
    """Closed at the door, without a word, while the same request from elsewhere is answered."""
    wire = door.dial(source)
    wire.say(associate_rq(called="NOWHERE"))
    return wire.pdu() == b""


def test_titles_are_tried(tmp_path: Path) -> None:
    with attacked(tmp_path) as (door, receiver):
        for number in range(5):
            wire = door.dial(ATTACKER)
            wire.say(associate_rq(called=f"PACS{number}"))
            wire.expect(PduType.ASSOCIATE_RJ)
        found(door, receiver, "D02", "ban")
        wait_until(lambda: is_shut_out(door, ATTACKER), SECONDS, "the ban")
        assert not is_shut_out(door, OTHER)
        placed = door.trail.wait_for(event=Event.BAN_PLACED, address=ATTACKER)
        assert (placed.rule, placed.detail["answer"]) == ("D02", "ban")
        refused = door.trail.wait_for(event=Event.CONNECTION_REFUSED, rule="ban", address=ATTACKER)
        assert placed.refusal_id in (refused.reason or "")


def test_slow_connections(tmp_path: Path) -> None:
    with attacked(tmp_path, limits='associate_deadline = "1 s"\nfirst_byte = "1 s"') as (door, receiver):
        wires = [door.dial(ATTACKER) for _ in range(8)]
        for wire in wires:
            wire.say(associate_rq()[:10])
        found(door, receiver, "D28", "refuse")
        wait_until(lambda: is_shut_out(door, ATTACKER), SECONDS, "the refusal")
        assert not is_shut_out(door, OTHER)


def test_a_scanner_sweeps(tmp_path: Path) -> None:
    many = b"".join(proposed(2 * n + 1, f"1.2.840.10008.5.1.4.1.1.{n}", IMPLICIT) for n in range(100))
    with attacked(tmp_path, '[detect.rules.D10]\nthreshold = 2\naction = "refuse"\n') as (door, receiver):
        for _ in range(2):
            named = item(0x55, b"NMAP_DICOM")
            door_wire = door.dial(ATTACKER)
            door_wire.say(associate_rq(many, called="HONEST", user=user_information(named)))
            door_wire.expect(PduType.ASSOCIATE_AC)
            door_wire.say(RELEASE_RQ)
            door_wire.expect(PduType.RELEASE_RP)
        found(door, receiver, "D09", "alert")
        found(door, receiver, "D10", "refuse")
        wait_until(lambda: is_shut_out(door, ATTACKER), SECONDS, "the refusal")


def test_a_harvest_by_query_and_its_association_ends(tmp_path: Path) -> None:
    with attacked(tmp_path, '[detect.rules.D11]\naction = "ban"\n') as (door, receiver):
        wire = door.dial(ATTACKER)
        wire.say(associate_rq(called="HONEST"))
        wire.expect(PduType.ASSOCIATE_AC)
        wire.say(query_rq())
        assert command_of(wire.pdu()).command_field is CommandField.C_FIND_RSP
        record = found(door, receiver, "D11", "ban")
        assert record.detail["subject"] == "CT1"
        assert wire.pdu()[:1] == bytes((PduType.ABORT,))
        ended = door.trail.wait_for(event=Event.ASSOCIATION_ENDED, address=ATTACKER)
        assert (ended.rule, ended.detail["ended_by"]) == ("gate", "gate")
        again = door.dial(OTHER)  # the title is banned, wherever it calls from
        again.say(associate_rq(called="HONEST"))
        assert again.pdu()[:1] == bytes((PduType.ASSOCIATE_RJ,))
        assert door.trail.wait_for(event=Event.ASSOCIATION_REFUSED, address=OTHER).rule == "ban"


def test_export_by_move(tmp_path: Path) -> None:
    with attacked(tmp_path) as (door, receiver):
        wire = door.dial(ATTACKER)
        wire.say(associate_rq(proposed(ON_MOVE, MOVE, IMPLICIT), calling="READER", called="HONEST"))
        wire.expect(PduType.ASSOCIATE_AC)
        for number in range(3):
            wire.say(move_rq(f"ELSEWHERE{number}", number + 1))
            assert command_of(wire.pdu()).status == 0xA801
        found(door, receiver, "D15", "refuse")
        wait_until(lambda: is_shut_out(door, ATTACKER), SECONDS, "the refusal")


def move_rq(destination: str, message_id: int) -> bytes:
    asked = command(
        ON_MOVE,
        CommandField.C_MOVE_RQ,
        data_set=True,
        message_id=message_id,
        affected_sop_class_uid=MOVE,
        priority=0,
        move_destination=destination,
    )
    return asked + data_set(ON_MOVE, b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ")


def test_export_by_volume(tmp_path: Path) -> None:
    with attacked(tmp_path, "[detect.rules.D16]\nthreshold = 100000\n") as (door, receiver):
        client, archive = door.association()
        client.say(query_rq(CommandField.C_GET_RQ))
        archive.pdu(), archive.pdu()
        for number in range(1, 12):
            archive.say(store_rq(number, f"1.2.3.{number}"), data_set(ON_CT, bytes(10_000)))
            client.pdu(), client.pdu()
            client.say(response(ON_CT, CommandField.C_STORE_RSP, number, 0, sop_class=CT, instance=f"1.2.3.{number}"))
            archive.pdu()
        record = found(door, receiver, "D16", "cap")
        assert record.detail["guess"] is True  # nothing is learned yet
        second = door.dial()
        second.say(associate_rq(called="HONEST"))
        assert second.pdu()[6:] == bytes((0, 2, 3, 2))  # one association at a time
        archive.say(response(ON_GET, CommandField.C_GET_RSP, 1, 0, sop_class=GET))
        assert command_of(client.pdu()).status == 0  # the running one goes on


def test_an_archive_that_lies(tmp_path: Path) -> None:
    with attacked(tmp_path, '[detect.rules.D11]\nmode = "off"\n') as (door, receiver):
        for _ in range(2):
            client, archive = door.association()
            client.say(query_rq())
            archive.pdu(), archive.pdu()
            archive.say(response(5, CommandField.C_FIND_RSP, 77, PENDING, sop_class=FIND))  # answers nothing
            assert client.pdu()[:1] == bytes((PduType.ABORT,))
        record = found(door, receiver, "D36", "alert")
        assert record.detail["subject"] == "main"
        assert door.trail.records(event=Event.BAN_PLACED) == []


def test_a_declared_length_of_two_gigabytes(tmp_path: Path) -> None:
    with attacked(tmp_path) as (door, receiver):
        door.dial(ATTACKER).say(pdu(PduType.ASSOCIATE_RQ, b"\0\1", 0x7FFFFFFF))
        found(door, receiver, "D27", "ban")
        wait_until(lambda: is_shut_out(door, ATTACKER), SECONDS, "the ban")


def test_what_is_only_simulated_is_said_and_not_done(tmp_path: Path) -> None:
    with attacked(tmp_path, '[detect.rules.D02]\nmode = "simulate"\n') as (door, receiver):
        for number in range(5):
            wire = door.dial(ATTACKER)
            wire.say(associate_rq(called=f"PACS{number}"))
            wire.expect(PduType.ASSOCIATE_RJ)
        record = found(door, receiver, "D02", "alert")
        assert (record.outcome, record.detail["simulated"]) == ("would_refuse", "ban")
        assert not is_shut_out(door, ATTACKER)


def test_what_was_found_last_is_said_before_the_gate_ends(tmp_path: Path) -> None:
    with attacked(tmp_path) as (door, receiver):
        door.innocent.leave()
        door.dial(ATTACKER).say(pdu(PduType.ASSOCIATE_RQ, b"\0\1", 0x7FFFFFFF))
        door.trail.wait_for(address=ATTACKER, rule="malformed")
        door.gate.stop()
        assert door.trail.records(event=Event.FINDING, rule="D27")
        assert any(" D27 " in body for _, body in receiver.messages)
