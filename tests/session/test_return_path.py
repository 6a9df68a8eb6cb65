"""The archive's way back: it calls a peer that listens, from its own address, and the peer is protected like it."""

import pytest

from dicomgate.policy.verdict import Direction
from dicomgate.session.events import Connected, Recorded
from dicomgate.wire.pdu import RoleSelection
from playbook import ACCEPTOR, Playbook, acceptor, message, requestor
from session.cast import (
    COMMITMENT,
    CT_IMAGE,
    ON_COMMIT,
    ON_ECHO,
    ON_FIND,
    ON_STORE,
    SCANNER,
    accept,
    answer,
    commit,
    connected,
    echo,
    hospital,
    report,
    request,
    store,
)

REPORTS = RoleSelection(COMMITMENT, False, True)
"""The archive calls as the provider of storage commitment (PS3.4 J.2.1)."""


def called_back() -> Playbook:
    """The archive has an association with the scanner."""
    asked = request("ARCHIVE", "CT1", role_selections=(REPORTS,))
    play = connected(Playbook(hospital(), address="10.1.1.20"), asked)
    return play >> acceptor(accept(ON_ECHO, ON_STORE, ON_COMMIT, role_selections=(REPORTS,))) << ...


def test_the_archive_reaches_a_scanner_that_listens():
    play = Playbook(hospital(), address="10.1.1.20") >> requestor(request("ARCHIVE", "CT1")) << ...
    play = play >> Recorded(True) << ["connect to ct-1"]
    play >> Connected() << ["relay to acceptor: A-ASSOCIATE-RQ from ARCHIVE to CT1 for 1, 3, 11"]
    route = play.session.permit.route
    assert (route.direction, route.endpoints) == (Direction.TO_PEER, (SCANNER.endpoint,))
    assert (play.records[1].peer, play.records[1].archive) == ("ct-1", "main")


@pytest.mark.parametrize(
    ("address", "calling", "called", "rejection"),
    [
        ("10.1.1.21", "ARCHIVE", "CT1", "1/1/3"),
        ("10.1.1.20", "PACS", "CT1", "1/1/3"),
        ("10.1.2.31", "CT1", "CT1", "1/1/3"),
        ("10.1.1.20", "ARCHIVE", "WS1", "1/1/7"),
        ("10.1.1.20", "ARCHIVE", "CT2", "1/1/7"),
        ("10.1.1.20", "ARCHIVE", "ARCHIVE", "1/1/3"),
    ],
    ids=["another address", "another title", "a peer", "who does not listen", "who is unknown", "itself"],
)
def test_nobody_else_reaches_it_and_the_archive_reaches_nobody_else(address, calling, called, rejection):
    play = Playbook(hospital(), address=address) >> requestor(request(calling, called)) << ...
    assert play.records[-1].status == rejection
    assert play >> Recorded(True) << []


def test_the_archive_sends_images_to_the_scanner():
    play = (
        called_back()
        >> requestor(message(ON_STORE, store(), b"image"))
        << [
            "relay to acceptor: C-STORE-RQ 1 on 3",
            "relay to acceptor: 5 bytes of data on 3, last",
        ]
    )
    assert (
        play
        >> acceptor(message(ON_STORE, answer(store())))
        << [
            "record operation success C-STORE-RQ 0000",
            "relay to requestor: C-STORE-RSP 1 on 3 0000",
        ]
    )


def test_the_archive_reports_commitment_on_an_association_of_its_own():
    assert (
        called_back()
        >> requestor(message(ON_COMMIT, report(), b"safe"))
        << [
            "relay to acceptor: N-EVENT-REPORT-RQ 1 on 11",
            "relay to acceptor: 4 bytes of data on 11, last",
        ]
    )


def test_the_archive_cannot_ask_the_scanner_for_a_service():
    play = (
        called_back()
        >> requestor(message(ON_COMMIT, commit(), b"list"))
        << [
            "record operation_refused refused N-ACTION-RQ 0124",
            "say to requestor: N-ACTION-RSP 1 on 11 0124",
        ]
    )
    assert b"list" not in play.sent[ACCEPTOR]


@pytest.mark.parametrize(
    ("context_id", "asked", "data"),
    [(ON_STORE, store(), b"image"), (ON_ECHO, echo(), None), (ON_COMMIT, report(), b"x")],
)
def test_the_scanner_cannot_use_the_call_to_reach_the_archive(context_id, asked, data):
    play = called_back() >> acceptor(message(context_id, asked, data)) << ...
    assert play.records[-1].rule == "direction"
    assert [type(command).__name__ for command in play.commands] == ["Write", "Say"]


def test_an_image_whose_uid_is_a_path_does_not_reach_the_scanner_either():
    assert (
        called_back()
        >> requestor(message(ON_STORE, store(1, "../../x"), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0117",
            "say to requestor: C-STORE-RSP 1 on 3 0117",
        ]
    )


def test_a_scanner_that_lies_in_its_answer_is_not_believed():
    play = connected(Playbook(hospital(), address="10.1.1.20"), request("ARCHIVE", "CT1"))
    lie = accept(ON_ECHO, ON_FIND, role_selections=(RoleSelection(CT_IMAGE, True, True),))
    assert (
        play
        >> acceptor(lie)
        << [
            "say to acceptor: A-ABORT 2/5",
            "say to requestor: A-ASSOCIATE-RJ 2/3/1",
            "record association_ended failure 2/3/1",
        ]
    )
