"""From the connection to the first message: judged, recorded, connected, negotiated - or refused, and by whom."""

from dataclasses import replace

import pytest

from dicomgate.audit.record import Event, Outcome
from dicomgate.policy.model import Assurance, Refusals
from dicomgate.policy.verdict import Deny
from dicomgate.session.events import Connect, Connected, HungUp, Recorded, Unreachable
from dicomgate.session.limits import SessionLimits
from dicomgate.session.session import NEVER
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import ContextResult, IdentityType, Reject, Rejection
from dicomgate.wire.pdu import (
    Abort,
    AssociateReject,
    ContextAnswer,
    ExtendedNegotiation,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from playbook import ACCEPTOR, REQUESTOR, Overdue, Playbook, Wait, acceptor, message, requestor
from session.cast import (
    CT_IMAGE,
    EXPLICIT,
    ON_ECHO,
    ON_FIND,
    ON_STORE,
    SCANNER,
    accept,
    answer,
    connected,
    echo,
    hospital,
    request,
    scanner,
    store,
)

ADMITTED = ["record association_requested success", "record association_admitted success", "wait for the disk"]


def refused(rejection: str) -> list[str]:
    return [
        "record association_requested success",
        f"record association_refused refused {rejection}",
        f"say to requestor: A-ASSOCIATE-RJ {rejection}",
    ]


def test_the_whole_life_of_an_association():
    play = (
        Playbook(hospital())
        >> requestor(request("CT1"))
        << ADMITTED
        >> Recorded(True)
        << ["connect to main"]
        >> Connected()
        << ["relay to acceptor: A-ASSOCIATE-RQ from CT1 to ARCHIVE for 1, 3, 11"]
        >> acceptor(accept(ON_ECHO, ON_STORE))
        << ["relay to requestor: A-ASSOCIATE-AC for 1, 3, not 5, not 7, not 9, not 11"]
        >> requestor(message(ON_ECHO, echo(1)))
        << ["relay to acceptor: C-ECHO-RQ 1 on 1"]
        >> acceptor(message(ON_ECHO, answer(echo(1))))
        << ["record operation success C-ECHO-RQ 0000", "relay to requestor: C-ECHO-RSP 1 on 1 0000"]
        >> requestor(message(ON_STORE, store(2), bytes(1500)))
        << [
            "relay to acceptor: C-STORE-RQ 2 on 3",
            "relay to acceptor: 1000 bytes of data on 3",
            "relay to acceptor: 500 bytes of data on 3, last",
        ]
        >> acceptor(message(ON_STORE, answer(store(2))))
        << ["record operation success C-STORE-RQ 0000", "relay to requestor: C-STORE-RSP 2 on 3 0000"]
        >> requestor(ReleaseRequest())
        << ["say to acceptor: A-RELEASE-RQ"]
        >> acceptor(ReleaseReply())
        << ["close acceptor", "say to requestor: A-RELEASE-RP", "record association_ended success"]
        >> HungUp(REQUESTOR)
        << ["close requestor", "finish"]
    )
    assert play.session.finished
    stored, ended = play.records[3:]
    assert (stored.verb, stored.bytes, stored.sop_instance_uid, stored.rule) == (
        "store",
        1500,
        "1.2.3.4",
        "peer[ct-1].may",
    )
    assert ended.detail == {
        "operations": 2,
        "refused_operations": 0,
        "ended_by": "requestor",
        "acceptor_implementation": "1.2.4",
    }
    assert {record.peer for record in play.records[1:]} == {"ct-1"}


def test_a_finished_session_does_nothing_more():
    play = Playbook(hospital()) >> HungUp(REQUESTOR) << ["close requestor", "finish"]
    for event in (requestor(request()), Connected(), Recorded(True), HungUp(ACCEPTOR), Unreachable("")):
        play = play >> event << []
    assert play.session.finished


# -- refused before anything reaches the archive -----------------------------------------------------------


def test_an_unknown_archive_title_is_refused():
    play = Playbook(hospital()) >> requestor(request("CT1", "PACS")) << refused("1/1/7") >> Recorded(True) << []
    assert play.records[-1].reason == "no archive and no listening peer has the called AE title PACS"
    assert play.records[-1].refusal_id == "R1"
    assert play.session.permit is None


def test_an_unknown_scanner_title_is_refused():
    play = Playbook(hospital()) >> requestor(request("CT9")) << refused("1/1/3") >> Recorded(True) << []
    assert play.records[-1].rule == "default"


def test_a_known_title_from_another_network_is_refused():
    play = Playbook(hospital(), address="10.1.2.99") >> requestor(request("CT1")) << refused("1/1/3")
    assert play.records[-1].rule == "peer[ct-1].networks"


def test_a_known_title_on_another_listener_is_refused():
    outside_only = replace(SCANNER, listeners=frozenset({"outside"}))
    play = Playbook(hospital(outside_only)) >> requestor(request("CT1")) << refused("1/1/3")
    assert play.records[-1].rule == "peer[ct-1].listeners"


def test_a_title_in_another_case_is_another_title():
    assert Playbook(hospital()) >> requestor(request("ct1")) << refused("1/1/3")


@pytest.mark.parametrize("title", [b"", b"\0" * 16, b"CT1\n", b"CT1\\X", b"CT\xc91"])
def test_a_malformed_calling_title_is_refused(title):
    play = Playbook(hospital()) >> requestor(replace(request(), calling_ae_title=title.ljust(16))) << refused("1/1/3")
    assert play.records[-1].calling_ae_title.isprintable()


@pytest.mark.parametrize("title", [b" " * 16, b"ARCHIVE\x07".ljust(16), b"ARCH\xcfVE".ljust(16)])
def test_a_malformed_called_title_is_refused(title):
    assert Playbook(hospital()) >> requestor(replace(request(), called_ae_title=title)) << refused("1/1/7")


def test_padding_around_a_title_means_nothing():
    assert Playbook(hospital()) >> requestor(replace(request(), calling_ae_title=b"  CT1\0\0  ".ljust(16))) << ADMITTED


def test_uniform_refusals_do_not_say_which_title_was_wrong():
    uniform = hospital(refusals=Refusals.UNIFORM)
    assert Playbook(uniform) >> requestor(request("CT9")) << refused("1/1/1")
    assert Playbook(uniform) >> requestor(request("CT1", "PACS")) << refused("1/1/1")


def test_a_peer_that_has_to_prove_a_user_is_refused_when_nobody_can_vouch():
    play = Playbook(hospital(replace(SCANNER, assurance=Assurance.USER)))
    assert play >> requestor(request("CT1")) << refused("1/2/1")


def test_another_application_context_is_refused():
    assert Playbook(hospital()) >> requestor(replace(request(), application_context_name="1.2.3")) << refused("1/1/2")


def test_another_protocol_version_is_refused():
    assert Playbook(hospital()) >> requestor(replace(request(), protocol_version=2)) << refused("1/2/2")


def test_a_request_for_nothing_that_is_allowed_is_refused():
    play = Playbook(hospital()) >> requestor(request("CT1", "ARCHIVE", ON_FIND)) << refused("1/1/1")
    assert play.records[-1].reason == "none of the proposed presentation contexts is allowed"


def test_a_full_archive_is_refused_with_an_invitation_to_try_again():
    full = Deny("archive[main].max_associations", "100 associations already", Reject.LOCAL_LIMIT_EXCEEDED)
    play = Playbook(hospital(), admission=lambda permit: full) >> requestor(request("CT1")) << refused("2/3/2")
    assert play.records[-1].rule == "archive[main].max_associations"


def test_who_is_refused_is_not_waited_for_longer_than_the_limit():
    play = Playbook(hospital(), limits=SessionLimits(close=5)) >> requestor(request("CT9")) << refused("1/1/3")
    assert play.session.deadline == play.now + 5
    play >> Overdue() << ["reset requestor", "finish"]


def test_who_is_refused_and_closes_is_done():
    assert (
        Playbook(hospital()) >> requestor(request("CT9")) << ... >> HungUp(REQUESTOR) << ["close requestor", "finish"]
    )


def test_who_is_refused_is_not_listened_to_any_more():
    play = Playbook(hospital()) >> requestor(request("CT9")) << ...
    assert play >> requestor(request("CT1"), ReleaseRequest(), message(1, echo()), b"\x99") << []


def test_who_is_refused_and_aborts_is_done():
    assert (
        Playbook(hospital()) >> requestor(request("CT9")) << ... >> requestor(Abort()) << ["close requestor", "finish"]
    )


# -- recorded before connected -----------------------------------------------------------------------------


def test_the_archive_is_not_connected_to_before_the_admission_is_on_disk():
    play = Playbook(hospital()) >> requestor(request()) << ADMITTED >> Wait(60) >> Connected() << []
    assert play.session.deadline == NEVER
    assert play >> Recorded(True) << ["connect to main"]


def test_an_admission_that_cannot_be_recorded_is_a_refusal_for_now():
    play = (
        Playbook(hospital())
        >> requestor(request())
        << ADMITTED
        >> Recorded(False)
        << [
            "record association_refused refused 2/3/1",
            "say to requestor: A-ASSOCIATE-RJ 2/3/1",
        ]
    )
    assert play.records[-1].rule == "audit.on_failure"
    assert play >> Recorded(True) << []


def test_a_scanner_that_leaves_while_its_admission_is_recorded_never_reaches_the_archive():
    play = (
        Playbook(hospital())
        >> requestor(request())
        << ADMITTED
        >> HungUp(REQUESTOR)
        << [
            "close requestor",
            "record association_ended failure",
            "finish",
        ]
    )
    assert play >> Recorded(True) << []


def test_a_record_that_comes_twice_connects_once():
    play = Playbook(hospital()) >> requestor(request()) << ... >> Recorded(True) << ["connect to main"]
    assert play >> Recorded(True) << []


# -- the archive does not answer, or answers badly ---------------------------------------------------------


def test_an_unreachable_archive_is_a_refusal_for_now():
    play = Playbook(hospital()) >> requestor(request()) << ... >> Recorded(True) << ["connect to main"]
    (
        play
        >> Unreachable("connection refused")
        << [
            "say to requestor: A-ASSOCIATE-RJ 2/3/1",
            "record association_ended failure 2/3/1",
        ]
    )
    assert (play.records[-1].rule, play.records[-1].reason) == ("archive", "connection refused")
    assert play.records[-1].refusal_id is not None


def test_a_scanner_that_leaves_while_the_archive_is_connected_to():
    play = Playbook(hospital()) >> requestor(request()) << ... >> Recorded(True) << ...
    play >> HungUp(REQUESTOR) << ["close requestor", "reset acceptor", "record association_ended failure", "finish"]
    assert play >> Connected() << []


def test_a_scanner_that_leaves_before_the_archive_has_answered():
    play = connected(Playbook(hospital())) >> HungUp(REQUESTOR)
    play << ["close requestor", "say to acceptor: A-ABORT 2/0", "record association_ended failure"]
    assert play >> acceptor(accept(ON_ECHO)) << [] >> HungUp(ACCEPTOR) << ["close acceptor", "finish"]


@pytest.mark.parametrize(
    ("rejection", "told"),
    [
        (Rejection(1, 1, 7), "1/1/7"),
        (Rejection(2, 3, 2), "2/3/2"),
        (Rejection(2, 3, 9), "2/1/1"),
        (Rejection(0, 255, 9), "1/1/1"),
    ],
)
def test_the_archives_own_refusal_is_passed_on_when_it_is_one(rejection, told):
    play = (
        connected(Playbook(hospital()))
        >> acceptor(AssociateReject(rejection))
        << [
            f"say to requestor: A-ASSOCIATE-RJ {told}",
            f"record association_ended failure {told}",
            "close acceptor",
        ]
    )
    assert play.records[-1].reason == f"refused by the acceptor: {rejection}"


FAILED_FOR_NOW = ["say to requestor: A-ASSOCIATE-RJ 2/3/1", "record association_ended failure 2/3/1"]
LIED = ["say to acceptor: A-ABORT 2/5", *FAILED_FOR_NOW]


def test_an_archive_that_aborts_instead_of_answering():
    assert connected(Playbook(hospital())) >> acceptor(Abort(0, 0)) << ["close acceptor", *FAILED_FOR_NOW]


def test_an_archive_that_hangs_up_instead_of_answering():
    assert connected(Playbook(hospital())) >> HungUp(ACCEPTOR) << ["close acceptor", *FAILED_FOR_NOW]


def test_an_archive_that_does_not_answer_in_time():
    play = connected(Playbook(hospital(), limits=SessionLimits(archive_answer=20)))
    assert play.session.deadline == play.now + 20
    play >> Overdue() << ["say to acceptor: A-ABORT 2/0", *FAILED_FOR_NOW]
    assert play.records[-1].reason == "the acceptor gave no answer within 20 s"


def test_an_archive_that_accepts_what_was_not_sent_on_to_it():
    play = connected(Playbook(hospital())) >> acceptor(accept(ON_ECHO, ON_FIND)) << LIED
    assert play.records[-1].reason == "acceptor: presentation context 5 was answered but not proposed"


def test_an_archive_that_chooses_a_transfer_syntax_it_was_not_offered():
    jpeg = replace(accept(ON_ECHO), presentation_contexts=(ContextAnswer(1, ContextResult.ACCEPTANCE, "1.2.3"),))
    assert connected(Playbook(hospital())) >> acceptor(jpeg) << LIED


def test_an_archive_that_takes_a_role_it_was_not_offered():
    assert (
        connected(Playbook(hospital()))
        >> acceptor(accept(ON_STORE, role_selections=(RoleSelection(CT_IMAGE, True, True),)))
        << LIED
    )


def test_an_archive_that_answers_nonsense():
    broken = bytearray(encode(accept(ON_ECHO)))
    broken[6 + 68] = 0x99
    play = (
        connected(Playbook(hospital())) >> acceptor(bytes(broken)) << ["say to acceptor: A-ABORT 2/6", *FAILED_FOR_NOW]
    )
    assert play.records[-1].rule == "archive"


def test_an_archive_that_speaks_something_else():
    assert (
        connected(Playbook(hospital()))
        >> acceptor(b"HTTP/1.1 400 Bad Request\r\n")
        << [
            "say to acceptor: A-ABORT 2/1",
            *FAILED_FOR_NOW,
        ]
    )


@pytest.mark.parametrize("sent", [ReleaseRequest(), ReleaseReply(), request(), message(ON_ECHO, echo())])
def test_an_archive_that_says_something_else_before_it_accepts(sent):
    assert connected(Playbook(hospital())) >> acceptor(sent) << ["say to acceptor: A-ABORT 2/2", *FAILED_FOR_NOW]


def test_an_archive_that_takes_no_context_at_all_is_believed():
    nothing = replace(accept(ON_ECHO), presentation_contexts=(ContextAnswer(1, ContextResult.USER_REJECTION),))
    play = (
        connected(Playbook(hospital()))
        >> acceptor(nothing)
        << ["relay to requestor: A-ASSOCIATE-AC for not 1, not 3, not 5, not 7, not 9, not 11"]
    )
    assert play >> requestor(message(ON_ECHO, echo())) << ...
    assert play.records[-1].reason == "requestor: presentation context 1 was not accepted"


# -- what is sent on ---------------------------------------------------------------------------------------


def test_the_archive_is_asked_only_for_what_is_allowed_and_learns_no_secret():
    identity = UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, b"alice", b"secret")
    asked = request("CT1", user_identity=identity, implementation_version_name="SCANNER_OS_4")
    play = connected(Playbook(hospital()), asked)
    to_archive = bytes(play.sent[ACCEPTOR])
    for secret in (b"secret", b"alice", b"SCANNER_OS_4", b"1.2.840.10008.5.1.4.1.2.2.1"):
        assert secret not in to_archive
    assert not any(b"secret".decode() in repr(record) for record in play.records)
    assert play.records[0].detail["identity_type"] == 2


def test_a_request_with_as_much_extended_negotiation_as_fits_is_sent_on():
    room = 65535 - 4 - 5 - 8 - 4 - 2 - len(CT_IMAGE)
    asked = request("CT1", extended_negotiations=(ExtendedNegotiation(CT_IMAGE, bytes(room)),))
    play = connected(Playbook(hospital()), asked)
    assert play.session.permit is not None
    assert play >> acceptor(accept(ON_ECHO, ON_STORE)) << ...


def test_a_request_for_the_same_thing_in_many_contexts_is_one_association():
    many = tuple(ProposedContext(2 * n + 1, CT_IMAGE, (EXPLICIT,)) for n in range(128))
    play = connected(Playbook(hospital()), replace(request(), presentation_contexts=many))
    assert play >> acceptor(accept(255)) << ...
    assert (
        play
        >> requestor(message(255, store(), b"data"))
        << [
            "relay to acceptor: C-STORE-RQ 1 on 255",
            "relay to acceptor: 4 bytes of data on 255, last",
        ]
    )


def test_a_scanner_may_be_silent_about_its_software():
    nameless = replace(request(), user_information=UserInformation(0, ""))
    assert Playbook(hospital()) >> requestor(nameless) << ADMITTED


# -- what is no request ------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\0", b"\xff" * 100])
def test_what_does_not_speak_dicom_is_closed_without_an_answer(noise):
    play = (
        Playbook(hospital()) >> requestor(noise) << ["record connection_refused refused", "close requestor", "finish"]
    )
    assert play.records[-1].event is Event.CONNECTION_REFUSED
    assert play.records[-1].reason.startswith("not DICOM: unknown PDU type")


NO_REQUEST = {
    "a request of 4 GiB": (b"\x01\0\xff\xff\xff\xff", "2/6"),
    "a request of one byte": (b"\x01\0\0\0\0\x01", "2/6"),
    "P-DATA of two bytes": (b"\x04\0\0\0\0\x02", "2/6"),
    "a request without items": (b"\x01\0\0\0\0\x44" + bytes(68), "2/6"),
    "data": (message(ON_ECHO, echo()), "2/2"),
    "a release": (ReleaseRequest(), "2/2"),
    "a release reply": (ReleaseReply(), "2/2"),
    "an answer": (accept(ON_ECHO), "2/2"),
    "a refusal": (AssociateReject(Reject.NO_REASON), "2/2"),
}


@pytest.mark.parametrize(("sent", "abort"), NO_REQUEST.values(), ids=NO_REQUEST)
def test_what_is_no_request_is_aborted(sent, abort):
    play = (
        Playbook(hospital())
        >> requestor(sent)
        << [
            f"say to requestor: A-ABORT {abort}",
            f"record association_refused refused abort {abort}",
        ]
    )
    assert play >> Overdue() << ["reset requestor", "finish"]


def test_an_abort_instead_of_a_request_is_closed():
    assert (
        Playbook(hospital())
        >> requestor(Abort())
        << [
            "close requestor",
            "record connection_refused refused",
            "finish",
        ]
    )


def test_who_leaves_amid_its_request_is_recorded():
    play = Playbook(hospital()) >> Wait(1) >> requestor(encode(request())[:100]) << []
    play >> HungUp(REQUESTOR) << ["close requestor", "record connection_refused refused", "finish"]
    assert play.records[-1].reason == "left amid its A-ASSOCIATE-RQ: connection closed"


def test_a_health_check_that_connects_and_leaves_is_not_recorded():
    assert Playbook(hospital()) >> Wait(1) >> HungUp(REQUESTOR) << ["close requestor", "finish"]


def test_a_second_request_is_aborted_on_both_sides():
    play = (
        scanner()
        >> requestor(request("CT1"))
        << [
            "say to requestor: A-ABORT 2/2",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/2",
        ]
    )
    assert play.records[-1].reason == "requestor: ASSOCIATE_RQ in ESTABLISHED (Sta6)"


def test_a_second_request_while_the_first_is_answered_ends_both():
    assert (
        connected(Playbook(hospital()))
        >> requestor(request("CT1"))
        << [
            "say to requestor: A-ABORT 2/2",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/2",
        ]
    )


def test_data_before_the_association_is_accepted_reaches_nobody():
    early = message(ON_STORE, store(), b"patient")
    play = (
        connected(Playbook(hospital()))
        >> requestor(early)
        << [
            "say to requestor: A-ABORT 2/2",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/2",
        ]
    )
    assert b"patient" not in play.sent[ACCEPTOR]


def test_data_sent_along_with_the_request_reaches_nobody():
    play = (
        Playbook(hospital())
        >> requestor(request(), message(ON_STORE, store(), b"patient"))
        << [
            *ADMITTED,
            "say to requestor: A-ABORT 2/2",
            "record association_ended failure abort 2/2",
        ]
    )
    assert play >> Recorded(True) << [] >> HungUp(REQUESTOR) << ["close requestor", "finish"]
    assert not any(isinstance(command, Connect) for command in play.commands)


def test_a_request_may_dribble_in_byte_by_byte():
    play = Playbook(hospital())
    whole = encode(request())
    for byte in whole[:-1]:
        play = play >> requestor(bytes([byte])) << []
        assert play.session.half_open
    play >> requestor(whole[-1:]) << ADMITTED
    assert not play.session.half_open


def test_records_of_a_refused_association_say_who_and_why():
    play = Playbook(hospital(), address="10.1.9.9") >> requestor(request("CT1")) << ...
    requested, refusal = play.records
    assert requested.outcome is Outcome.SUCCESS
    assert requested.detail["presentation_contexts"] == 6
    assert (refusal.listener, refusal.address, refusal.port) == ("inside", "10.1.9.9", 50000)
    assert (refusal.calling_ae_title, refusal.called_ae_title) == ("CT1", "ARCHIVE")
    assert refusal.association == requested.association == "A1"
