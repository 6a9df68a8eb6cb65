"""`mode = "monitor"`: what a peer rule would refuse passes and is recorded as such; nothing else passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomgate.wire.codes import CommandField, PduType, Status
from lab.process import wait_until
from system.bystanders import call, echoes, release
from system.house import House, house
from system.raw_archive import (
    ON_CT,
    SECONDS,
    abort,
    associate_ac,
    associate_rq,
    command_of,
    data_set,
    dial,
    echo_rq,
    query_rq,
    reject,
    response,
    store_rq,
)

pytestmark = pytest.mark.system
ECHOER = """
[[peer]]
name = "echoer"
ae_titles = ["ECHOER"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
archive = "main"
max_associations = 1

[[peer]]
name = "person"
ae_titles = ["PERSON"]
networks = ["127.0.0.0/8"]
may = ["echo"]
archive = "honest"

[[listener]]
name = "inside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("watched"), gate='mode = "monitor"', more=ECHOER) as running:
        yield running
        running.innocent.is_undisturbed()


def test_it_says_so_loudly(door: House) -> None:
    wait_until(lambda: "monitor" in door.gate.log, SECONDS, "a word about it in the log")


@pytest.mark.parametrize("calling", ["STRANGER", "PERSON2", "innocent"])
def test_a_stranger_passes_and_the_record_says_what_would_have_been(door: House, calling: str) -> None:
    with door.dial() as client:
        client.say(associate_rq(calling=calling, called="HONEST"))
        client.expect(PduType.ASSOCIATE_AC)
        assert echoes(client)
    record = door.trail.wait_for(event="association_admitted", port=client.here.port)
    assert (record.outcome, record.rule) == ("would_refuse", "default")
    assert calling in (record.reason or "")
    operation = door.trail.wait_for(event="operation", port=client.here.port)
    assert operation.verb == "echo"


def test_an_operation_it_may_not_passes_and_is_marked(door: House) -> None:
    with door.dial() as client:
        client.say(associate_rq(calling="ECHOER"))
        with door.archive.meet() as archive:
            archive.expect(PduType.ASSOCIATE_RQ)
            archive.say(associate_ac())
            client.expect(PduType.ASSOCIATE_AC)
            client.say(store_rq(), data_set(ON_CT))
            assert command_of(archive.pdu()).command_field is CommandField.C_STORE_RQ
            assert archive.pdu() == data_set(ON_CT)
            archive.say(response(ON_CT, CommandField.C_STORE_RSP, 1, 0))
            assert command_of(client.pdu()).status == 0
    admitted = door.trail.wait_for(event="association_admitted", port=client.here.port)
    assert (admitted.outcome, admitted.rule) == ("would_refuse", "peer[echoer].may")
    operation = door.record_of(client, event="operation")
    assert (operation.outcome, operation.rule, operation.status) == ("would_refuse", "peer[echoer].may", "0000")


def test_an_allowed_one_is_not_marked(door: House) -> None:
    client = call(door.gate.address("outside"))
    release(client)
    assert door.trail.wait_for(event="association_admitted", port=client.here.port).outcome == "success"


REFUSED = {
    "malformed title": (associate_rq(calling="CT1\n", called="HONEST"), reject(1, 1, 3)),
    "malformed request": (associate_rq(b""), abort(2, 6)),
    "unknown archive": (associate_rq(called="NOWHERE"), reject(1, 1, 7)),
    "no proof of who it is": (associate_rq(calling="PERSON", called="HONEST"), reject(1, 2, 1)),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", b""),
}


@pytest.mark.parametrize(("bytes_", "answer"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_matter_of_peer_rules_is_refused(door: House, bytes_: bytes, answer: bytes) -> None:
    with door.dial() as client:
        client.say(bytes_)
        assert client.pdu() == answer
    assert door.refusal_of(client, outcome="refused")


def test_networks_of_a_listener_and_limits_hold(door: House) -> None:
    with dial(door.gate.address("inside"), "127.0.0.2") as outsider:
        assert outsider.pdu() == b""
    assert door.refusal_of(outsider, event="connection_refused").rule == "listener[inside].networks"
    with door.dial() as first, door.dial() as second:
        first.say(associate_rq(calling="ECHOER"))
        with door.archive.meet() as archive:
            archive.expect(PduType.ASSOCIATE_RQ)
            second.say(associate_rq(calling="ECHOER"))
            assert second.pdu() == reject(2, 3, 2)


def test_malformed_operations_are_refused(door: House) -> None:
    client, archive = door.association()
    with client, archive:
        client.say(store_rq(instance="../../x"), data_set(ON_CT))
        assert command_of(client.pdu()).status == Status.INVALID_SOP_INSTANCE
        archive.say(query_rq())
        assert command_of(archive.pdu()).status == 0xC000
        client.say(echo_rq(2))
        assert archive.pdu() == echo_rq(2)
