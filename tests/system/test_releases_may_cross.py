"""Both sides ask for release at once (PS3.8 9.2): each gets its reply, and the association ends well."""

from __future__ import annotations

import select

import pytest

from dicomgate.wire.codes import CommandField, PduType
from system.house import House
from system.raw_archive import (
    FIND,
    ON_FIND,
    PENDING,
    RELEASE_RP,
    RELEASE_RQ,
    SECONDS,
    command_of,
    data_set,
    query_rq,
    response,
)

pytestmark = pytest.mark.system


def test_in_the_middle(door: House) -> None:
    """Which of the two the gate sees first is not ours to say; whoever is asked replies."""
    client, archive = door.association()
    with client, archive:
        archive.say(RELEASE_RQ)
        client.say(RELEASE_RQ)
        unanswered = {client.sock: client, archive.sock: archive}
        while unanswered:
            readable, _, _ = select.select(list(unanswered), [], [], SECONDS)
            assert readable, "no reply to a release"
            wire = unanswered[readable[0]]
            came = wire.pdu()
            if came == RELEASE_RQ:
                wire.say(RELEASE_RP)
            else:
                assert came == RELEASE_RP
                del unanswered[wire.sock]
    assert door.record_of(client, event="association_ended").outcome == "success"


def test_a_client_that_is_asked_asks_back(door: House) -> None:
    """It opened the association, so it replies first (Sta9, AR-9)."""
    client, archive = door.association()
    with client, archive:
        archive.say(RELEASE_RQ)
        assert client.pdu() == RELEASE_RQ
        client.say(RELEASE_RQ, RELEASE_RP)
        assert client.pdu() == RELEASE_RP
        assert archive.pdu() == RELEASE_RP
    assert door.record_of(client, event="association_ended").outcome == "success"


def test_an_archive_that_is_asked_asks_back(door: House) -> None:
    """It was called, so it is replied to first (Sta10, AR-10)."""
    client, archive = door.association()
    with client, archive:
        client.say(RELEASE_RQ)
        assert archive.pdu() == RELEASE_RQ
        archive.say(RELEASE_RQ)
        assert archive.pdu() == RELEASE_RP
        archive.say(RELEASE_RP)
        assert client.pdu() == RELEASE_RP
    assert door.record_of(client, event="association_ended").outcome == "success"


def test_the_archive_may_release(door: House) -> None:
    client, archive = door.association()
    with client, archive:
        archive.say(RELEASE_RQ)
        assert client.pdu() == RELEASE_RQ
        client.say(RELEASE_RP)
        assert archive.pdu() == RELEASE_RP
    assert door.record_of(client, event="association_ended").outcome == "success"


def test_matches_that_are_still_on_their_way_arrive(door: House) -> None:
    """PS3.8 AR-7: who was asked for release may still send."""
    client, archive = door.association()
    with client, archive:
        client.say(query_rq())
        for _ in range(2):
            archive.expect(PduType.P_DATA_TF)
        client.say(RELEASE_RQ)
        assert archive.pdu() == RELEASE_RQ
        archive.say(
            response(ON_FIND, CommandField.C_FIND_RSP, 1, PENDING, sop_class=FIND, data_set=True),
            data_set(ON_FIND),
            response(ON_FIND, CommandField.C_FIND_RSP, 1, 0, sop_class=FIND),
            RELEASE_RP,
        )
        assert command_of(client.pdu()).status == PENDING
        assert client.pdu() == data_set(ON_FIND)
        assert command_of(client.pdu()).status == 0
        assert client.pdu() == RELEASE_RP
    assert door.record_of(client, event="association_ended").outcome == "success"
