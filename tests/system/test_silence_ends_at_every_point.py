"""Whoever falls silent is waited for as long as the configuration says, and the other side learns of it.

All cases wait at the same time: each begins when the first test of this file needs the house.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from dicomgate.wire.codes import PduType
from lab.process import LOOPBACK, Address
from system.house import House, house
from system.raw_archive import (
    ON_CT,
    RELEASE_RP,
    RELEASE_RQ,
    Wire,
    abort,
    associate_rq,
    echo_rq,
    p_data,
    pdv,
    reject,
    store_rq,
)

pytestmark = pytest.mark.system
LIMITS = """
first_byte = "2 s"
associate_deadline = "3 s"
archive_connect = "1 s"
archive_answer = "2 s"
idle = "3 s"
no_progress = "2 s"
close = "1 s"
"""
DEAD = """
[[archive]]
name = "dead"
ae_title = "DEAD"
address = "{dead}"

[[peer]]
name = "dead-caller"
ae_titles = ["CT2"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
archive = "dead"
"""
CONGESTION, GONE = reject(2, 3, 1), abort(2, 0)
HALF_A_PDU = p_data(pdv(ON_CT, 0, bytes(100)))[:50]


@dataclass(frozen=True, slots=True)
class Case:
    """Two ends, one of them possibly None, that say nothing from now on."""

    client: Wire
    archive: Wire | None = None


def nothing(door: House) -> Case:
    return Case(door.dial())


def part_of_a_request(door: House) -> Case:
    client = door.dial()
    client.say(associate_rq()[:90])
    return Case(client)


def archive_that_does_not_answer(door: House) -> Case:
    client = door.dial()
    client.say(associate_rq())
    archive = door.archive.meet()
    archive.expect(PduType.ASSOCIATE_RQ)
    return Case(client, archive)


def archive_that_cannot_be_reached(door: House) -> Case:
    client = door.dial()
    client.say(associate_rq(calling="CT2", called="DEAD"))
    return Case(client)


def both_idle(door: House) -> Case:
    return Case(*door.association())


def operation_without_an_answer(door: House) -> Case:
    client, archive = door.association()
    client.say(echo_rq())
    assert archive.pdu() == echo_rq()
    return Case(client, archive)


def data_set_that_stops(door: House) -> Case:
    client, archive = door.association()
    client.say(store_rq(), p_data(pdv(ON_CT, 0, bytes(100))))
    for _ in range(2):
        archive.expect(PduType.P_DATA_TF)
    return Case(client, archive)


def data_set_that_stops_inside_a_pdu(door: House) -> Case:
    client, archive = door.association()
    client.say(store_rq(), HALF_A_PDU)
    archive.expect(PduType.P_DATA_TF)
    return Case(client, archive)


def refused_data_set_that_stops(door: House) -> Case:
    client, archive = door.association()
    client.say(store_rq(instance="../../x"), p_data(pdv(ON_CT, 0, bytes(100))))
    return Case(client, archive)


def release_without_a_reply(door: House) -> Case:
    client, archive = door.association()
    client.say(RELEASE_RQ)
    assert archive.pdu() == RELEASE_RQ
    return Case(client, archive)


def client_that_does_not_close(door: House) -> Case:
    client, archive = door.association()
    client.say(RELEASE_RQ)
    assert archive.pdu() == RELEASE_RQ
    archive.say(RELEASE_RP)
    return Case(client, archive)


def rejected_client_that_does_not_close(door: House) -> Case:
    client = door.dial()
    client.say(associate_rq(calling="STRANGER"))
    return Case(client)


@dataclass(frozen=True, slots=True)
class Expected:
    """What each side hears until its connection ends, and what the record says."""

    begin: Callable[[House], Case]
    client: bytes
    archive: bytes = b""
    event: str = "association_ended"
    rule: str | None = None
    reset: bool = False
    """The archive was inside a PDU, where it could not be told."""


EXPECTED: dict[str, Expected] = {
    "nothing at all": Expected(nothing, b"", event="connection_refused", rule="limits"),
    "part of a request": Expected(part_of_a_request, b"", event="connection_refused", rule="limits"),
    "an archive that does not answer": Expected(archive_that_does_not_answer, CONGESTION, GONE, rule="archive"),
    "an archive that cannot be reached": Expected(archive_that_cannot_be_reached, CONGESTION, rule="archive"),
    "both idle": Expected(both_idle, GONE, GONE, rule="limits.idle"),
    "no answer to an operation": Expected(operation_without_an_answer, GONE, GONE, rule="limits.no_progress"),
    "a data set that stops": Expected(data_set_that_stops, GONE, GONE, rule="limits.no_progress"),
    "a data set that stops inside a PDU": Expected(
        data_set_that_stops_inside_a_pdu, GONE, HALF_A_PDU, rule="limits.no_progress", reset=True
    ),
    "a refused data set that stops": Expected(refused_data_set_that_stops, GONE, GONE, rule="limits.no_progress"),
    "no reply to a release": Expected(release_without_a_reply, GONE, GONE, rule="limits.idle"),
    "a client that does not close": Expected(client_that_does_not_close, RELEASE_RP),
    "a rejected client that does not close": Expected(
        rejected_client_that_does_not_close, reject(1, 1, 3), event="association_refused", rule="default"
    ),
}


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, Case]]]:
    """Everybody has fallen silent."""
    with socket.create_server((LOOPBACK, 0), backlog=1) as dead:
        # A listener whose queue is full does not answer the next SYN, as a host that is switched off.
        where = Address(*dead.getsockname()[:2])
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((where.host, where.port))
        folder = tmp_path_factory.mktemp("silent")
        with house(folder, limits=LIMITS, more=DEAD.format(dead=where)) as door:
            cases = {name: expected.begin(door) for name, expected in EXPECTED.items()}
            yield door, cases
            for case in cases.values():
                case.client.close()
                if case.archive is not None:
                    case.archive.close()
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("name", EXPECTED)
def test_it_ends(silent: tuple[House, dict[str, Case]], name: str) -> None:
    door, cases = silent
    case, expected = cases[name], EXPECTED[name]
    assert case.client.rest() == expected.client
    if case.archive is not None:
        assert case.archive.rest() == expected.archive
        assert case.archive.was_reset is (expected.reset or expected.archive == GONE)
    record = door.record_of(case.client, event=expected.event)
    assert record.rule == expected.rule
    assert (record.refusal_id is None) is (expected.rule is None)
    door.innocent.is_undisturbed()


def test_a_request_that_dribbles_without_end_is_late_all_the_same(silent: tuple[House, dict[str, Case]]) -> None:
    door, _ = silent
    with door.dial() as client:
        client.sock.settimeout(0.02)
        sent, request = 0, associate_rq()
        while sent < len(request) - 1:
            client.say(request[sent : sent + 1])
            sent += 1
            try:
                if client.sock.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert sent < len(request) - 1
    assert door.refusal_of(client, event="connection_refused").rule == "limits"
