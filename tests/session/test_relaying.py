"""Messages inside an association: judged one by one, passed on or refused, in both directions."""

from dataclasses import replace

import pytest

from dicomgate.policy.model import Verb
from dicomgate.session.events import Relay, Reloaded, Say
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.command import decode_command, encode_command
from dicomgate.wire.pdu import ReleaseReply, ReleaseRequest
from playbook import ACCEPTOR, REQUESTOR, Playbook, acceptor, data_set, message, p_data, pdv, requestor
from session.cast import (
    ON_COMMIT,
    ON_ECHO,
    ON_FIND,
    ON_GET,
    ON_MOVE,
    ON_STORE,
    SCANNER,
    VERIFICATION,
    accept,
    answer,
    cancel,
    commit,
    connected,
    echo,
    find,
    get,
    hospital,
    move,
    report,
    request,
    scanner,
    store,
    workstation,
)
from session.reference import Pdv, elements, messages, pdus


def aborted(side: str, reason: str, *unfinished: str) -> list[str]:
    """One side broke the protocol: both are aborted, and what was under way has failed."""
    other = "acceptor" if side == "requestor" else "requestor"
    return [
        f"say to {side}: A-ABORT 2/{reason}",
        f"say to {other}: A-ABORT 2/0",
        *(f"record operation failure {request}" for request in unfinished),
        f"record association_ended failure abort 2/{reason}",
    ]


def comment(play: Playbook, side=REQUESTOR) -> str:
    """The Error Comment of the last command this side was sent."""
    sent, _ = pdus(bytes(play.sent[side]))
    return elements([part.data for part in sent if getattr(part, "command", False)][-1])[0x0902].decode()


# -- passed on ---------------------------------------------------------------------------------------------


def test_a_data_set_streams_through_piece_by_piece_as_it_comes():
    play = scanner() >> requestor(message(ON_STORE, store())) << ["relay to acceptor: C-STORE-RQ 1 on 3"]
    stream = data_set(ON_STORE, bytes(3000))
    play = play >> requestor(stream[:500]) << ["relay to acceptor: (part of a PDU)"]
    play = (
        play
        >> requestor(stream[500:2000])
        << [
            "relay to acceptor: 1000 bytes of data on 3",
            "relay to acceptor: (part of a PDU)",
        ]
    )
    play = (
        play
        >> requestor(stream[2000:])
        << [
            "relay to acceptor: 1000 bytes of data on 3",
            "relay to acceptor: 1000 bytes of data on 3, last",
        ]
    )
    assert bytes(play.sent[ACCEPTOR]).endswith(stream)


def test_the_command_that_was_judged_is_what_is_sent_on_in_canonical_form():
    unknown = b"\0\0\x10\x00\x04\0\0\0OOPS"  # a retired element
    tidy = encode_command(store(7))
    untidy = unknown.join([tidy[12:46], tidy[46:]])  # and no group length
    assert decode_command(untidy) == store(7)
    play = (
        scanner()
        >> requestor(p_data(pdv(ON_STORE, 0xFD, untidy[:11]), pdv(ON_STORE, 0xFF, untidy[11:])))
        << ["relay to acceptor: C-STORE-RQ 7 on 3"]
    )
    assert bytes(play.sent[ACCEPTOR]).endswith(tidy)


def test_a_command_is_cut_to_the_length_the_archive_takes():
    play = connected(Playbook(hospital())) >> acceptor(accept(ON_ECHO, maximum_length=46)) << ...
    play >> requestor(*(p_data(pdv(ON_ECHO, 1, bytes([byte]))) for byte in encode_command(echo())[:-1])) << []
    assert (
        play
        >> requestor(p_data(pdv(ON_ECHO, 3, encode_command(echo())[-1:])))
        << [
            "relay to acceptor: 40 bytes of a command on 1",
            "relay to acceptor: the last 28 bytes of a command on 1",
        ]
    )
    assert bytes(play.sent[ACCEPTOR])[-40 - 28 - 2 * 12 :][12:52] == encode_command(echo())[:40]


def test_more_data_at_once_than_the_archive_takes_is_a_violation():
    play = connected(Playbook(hospital())) >> acceptor(accept(ON_STORE, maximum_length=1000)) << ...
    play = play >> requestor(message(ON_STORE, store(), bytes(994), fragment=994)) << ...
    assert (
        play
        >> requestor(message(ON_STORE, store(2), bytes(995), fragment=995))
        << [
            "relay to acceptor: C-STORE-RQ 2 on 3",
            *aborted("requestor", "6", "C-STORE-RQ", "C-STORE-RQ"),
        ]
    )


def test_more_data_at_once_than_the_scanner_takes_is_a_violation():
    told = request("CT1", maximum_length=1000)
    fits, too_long = (data_set(ON_COMMIT, bytes(size), fragment=size) for size in (994, 995))
    play = connected(Playbook(hospital()), told) >> acceptor(accept(ON_COMMIT)) << ...
    play = play >> acceptor(message(ON_COMMIT, report(1)), fits, message(ON_COMMIT, report(2))) << ...
    assert play >> acceptor(too_long) << aborted("acceptor", "6", "N-EVENT-REPORT-RQ", "N-EVENT-REPORT-RQ")


def test_the_archive_cannot_slip_in_more_than_the_scanner_takes_behind_its_answer():
    told = request("CT1", maximum_length=1000)
    too_long = data_set(ON_COMMIT, bytes(5000), fragment=5000)
    play = connected(Playbook(hospital()), told) >> acceptor(accept(ON_COMMIT), message(ON_COMMIT, report()), too_long)
    assert play << [
        "relay to requestor: A-ASSOCIATE-AC for not 1, not 3, not 5, not 7, not 9, 11",
        "relay to requestor: N-EVENT-REPORT-RQ 1 on 11",
        *aborted("acceptor", "6", "N-EVENT-REPORT-RQ"),
    ]


def test_two_commands_and_their_data_in_one_read():
    play = scanner()
    assert (
        play
        >> requestor(message(ON_STORE, store(1), b"ab"), message(ON_STORE, store(2), b"cd"))
        << [
            "relay to acceptor: C-STORE-RQ 1 on 3",
            "relay to acceptor: 2 bytes of data on 3, last",
            "relay to acceptor: C-STORE-RQ 2 on 3",
            "relay to acceptor: 2 bytes of data on 3, last",
        ]
    )


def test_command_and_data_in_one_pdu():
    together = p_data(pdv(ON_STORE, 3, encode_command(store())), pdv(ON_STORE, 2, b"data"))
    assert (
        scanner()
        >> requestor(together)
        << [
            "relay to acceptor: C-STORE-RQ 1 on 3",
            "relay to acceptor: 4 bytes of data on 3, last",
        ]
    )


def test_a_query_with_two_matches():
    play = (
        workstation()
        >> requestor(message(ON_FIND, find(), b"keys"))
        << [
            "relay to acceptor: C-FIND-RQ 1 on 5",
            "relay to acceptor: 4 bytes of data on 5, last",
        ]
    )
    for _ in range(2):
        play = (
            play
            >> acceptor(message(ON_FIND, answer(find(), 0xFF00, data=True), b"match!"))
            << [
                "relay to requestor: C-FIND-RSP 1 on 5 FF00",
                "relay to requestor: 6 bytes of data on 5, last",
            ]
        )
    (
        play
        >> acceptor(message(ON_FIND, answer(find())))
        << [
            "record operation success C-FIND-RQ 0000",
            "relay to requestor: C-FIND-RSP 1 on 5 0000",
        ]
    )
    assert play.records[-1].detail["responses"] == 3
    assert play.records[-1].bytes == 4 + 6 + 6


def test_a_cancelled_query():
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ...
    play = play >> requestor(message(ON_FIND, cancel(1))) << ["relay to acceptor: C-CANCEL-RQ 1 on 5"]
    assert (
        play
        >> acceptor(message(ON_FIND, answer(find(), 0xFE00)))
        << [
            "record operation failure C-FIND-RQ FE00",
            "relay to requestor: C-FIND-RSP 1 on 5 FE00",
        ]
    )


def test_a_cancel_that_crossed_the_last_answer_is_void():
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ...
    play = play >> acceptor(message(ON_FIND, answer(find()))) << ...
    assert play >> requestor(message(ON_FIND, cancel(1)), message(ON_FIND, cancel(99))) << []


def test_a_cancel_of_what_cannot_be_cancelled_is_void():
    play = scanner() >> requestor(message(ON_ECHO, echo())) << ... >> requestor(message(ON_ECHO, cancel(1))) << []
    assert play >> acceptor(message(ON_ECHO, answer(echo()))) << ...


def test_a_move_to_the_workstation_itself_and_its_count():
    play = (
        workstation()
        >> requestor(message(ON_MOVE, move("WS1"), b"keys"))
        << [
            "relay to acceptor: C-MOVE-RQ 1 on 7",
            "relay to acceptor: 4 bytes of data on 7, last",
        ]
    )
    pending = answer(move("WS1"), 0xFF00, remaining_sub_operations=1, completed_sub_operations=1)
    play = play >> acceptor(message(ON_MOVE, pending)) << ["relay to requestor: C-MOVE-RSP 1 on 7 FF00"]
    final = answer(move("WS1"), 0xB000, data=True, completed_sub_operations=1, failed_sub_operations=1)
    play = play >> acceptor(message(ON_MOVE, final)) << ["relay to requestor: C-MOVE-RSP 1 on 7 B000"]
    (
        play
        >> acceptor(data_set(ON_MOVE, b"failed UIDs"))
        << [
            "relay to requestor: 11 bytes of data on 7, last",
            "record operation success C-MOVE-RQ B000",
        ]
    )
    assert play.records[-1].move_destination == "WS1"


def test_storage_commitment_and_its_report_on_the_same_association():
    play = (
        scanner()
        >> requestor(message(ON_COMMIT, commit(), b"list"))
        << [
            "relay to acceptor: N-ACTION-RQ 1 on 11",
            "relay to acceptor: 4 bytes of data on 11, last",
        ]
    )
    play = play >> acceptor(message(ON_COMMIT, answer(commit()))) << ...
    play = (
        play
        >> acceptor(message(ON_COMMIT, report(9), b"safe"))
        << [
            "relay to requestor: N-EVENT-REPORT-RQ 9 on 11",
            "relay to requestor: 4 bytes of data on 11, last",
        ]
    )
    (
        play
        >> requestor(message(ON_COMMIT, answer(report(9))))
        << [
            "record operation success N-EVENT-REPORT-RQ 0000",
            "relay to acceptor: N-EVENT-REPORT-RSP 9 on 11 0000",
        ]
    )
    assert play.records[-1].detail["sender"] == "acceptor"


def test_both_directions_use_their_own_message_ids():
    play = scanner() >> requestor(message(ON_COMMIT, commit(5), b"list")) << ...
    play = (
        play
        >> acceptor(message(ON_COMMIT, report(5), b"safe"))
        << ["relay to requestor: N-EVENT-REPORT-RQ 5 on 11", "relay to requestor: 4 bytes of data on 11, last"]
    )
    play = play >> acceptor(message(ON_COMMIT, answer(commit(5)))) << ...
    assert play >> requestor(message(ON_COMMIT, answer(report(5)))) << ...


# -- C-GET: the archive stores on the same association -----------------------------------------------------


def test_a_get_and_its_sub_operations():
    play = workstation() >> requestor(message(ON_GET, get(), b"keys")) << ...
    play = (
        play
        >> acceptor(message(ON_STORE, store(50), b"image"))
        << [
            "relay to requestor: C-STORE-RQ 50 on 3",
            "relay to requestor: 5 bytes of data on 3, last",
        ]
    )
    play = (
        play
        >> requestor(message(ON_STORE, answer(store(50))))
        << [
            "record operation success C-STORE-RQ 0000",
            "relay to acceptor: C-STORE-RSP 50 on 3 0000",
        ]
    )
    (
        play
        >> acceptor(message(ON_GET, answer(get(), completed_sub_operations=1)))
        << [
            "record operation success C-GET-RQ 0000",
            "relay to requestor: C-GET-RSP 1 on 9 0000",
        ]
    )
    assert [record.verb for record in play.records[-2:]] == ["get", "get"]


NOT_AUTHORIZED_TO_STORE = [
    "record operation_refused refused C-STORE-RQ 0124",
    "say to acceptor: C-STORE-RSP 50 on 3 0124",
]


def test_an_archive_that_stores_without_a_get_is_refused():
    play = workstation() >> acceptor(message(ON_STORE, store(50), b"image")) << NOT_AUTHORIZED_TO_STORE
    assert b"image" not in play.sent[REQUESTOR]


def test_an_archive_that_stores_after_the_get_has_ended_is_refused():
    play = workstation() >> requestor(message(ON_GET, get(), b"keys")) << ...
    play = play >> acceptor(message(ON_GET, answer(get()))) << ...
    assert play >> acceptor(message(ON_STORE, store(50), b"image")) << NOT_AUTHORIZED_TO_STORE


def test_an_archive_that_stores_without_the_role_for_it_is_refused():
    play = workstation(roles=()) >> requestor(message(ON_GET, get(), b"keys")) << ...
    assert play >> acceptor(message(ON_STORE, store(50), b"image")) << NOT_AUTHORIZED_TO_STORE


def test_an_archive_that_stores_during_a_query_is_refused():
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ...
    assert play >> acceptor(message(ON_STORE, store(50), b"image")) << NOT_AUTHORIZED_TO_STORE


@pytest.mark.parametrize(
    ("context_id", "asked", "status"),
    [
        (ON_ECHO, echo(50), "0122"),
        (ON_FIND, find(50), "C000"),
        (ON_GET, get(50), "0124"),
        (ON_MOVE, move("WS1", 50), "0124"),
    ],
)
def test_an_archive_that_asks_its_client_for_a_service_is_refused(context_id, asked, status):
    name = asked.command_field.name.replace("_", "-")
    data = b"keys" if asked.has_data_set else None
    assert (
        workstation()
        >> acceptor(message(context_id, asked, data))
        << [
            f"record operation_refused refused {name} {status}",
            f"say to acceptor: {name.replace('RQ', 'RSP')} 50 on {context_id} {status}",
        ]
    )


def test_an_event_report_to_a_peer_that_may_no_longer_use_the_service_is_refused():
    assert (
        without(Verb.COMMIT)
        >> acceptor(message(ON_COMMIT, report(4), b"safe"))
        << [
            "record operation_refused refused N-EVENT-REPORT-RQ 0110",
            "say to acceptor: N-EVENT-REPORT-RSP 4 on 11 0110",
        ]
    )


# -- refused -----------------------------------------------------------------------------------------------


def without(verb: Verb) -> Playbook:
    """A scanner that may no longer use one verb since its association was made."""
    return scanner() >> Reloaded(hospital(replace(SCANNER, may=SCANNER.may - {verb}))) << []


def test_a_refused_image_is_drained_and_answered_and_the_association_goes_on():
    play = (
        without(Verb.STORE)
        >> requestor(message(ON_STORE, store(7)))
        << ["record operation_refused refused C-STORE-RQ 0124"]
    )
    stream = data_set(ON_STORE, b"patient" * 300)
    play = play >> requestor(stream[:100]) << [] >> requestor(stream[100:1500]) << []
    play = play >> requestor(stream[1500:]) << ["say to requestor: C-STORE-RSP 7 on 3 0124"]
    assert comment(play) == f"refused by dicomgate, refusal ID {play.records[-1].refusal_id}"
    assert (play.records[-1].rule, play.records[-1].verb) == ("peer[ct-1].may", "store")
    assert b"patient" not in play.sent[ACCEPTOR]
    play = play >> requestor(message(ON_ECHO, echo(8))) << ["relay to acceptor: C-ECHO-RQ 8 on 1"]
    play = play >> acceptor(message(ON_ECHO, answer(echo(8)))) << ...
    play = play >> requestor(ReleaseRequest()) << ["say to acceptor: A-RELEASE-RQ"] >> acceptor(ReleaseReply()) << ...
    assert (play.records[-1].detail["operations"], play.records[-1].detail["refused_operations"]) == (1, 1)


def test_a_refused_request_without_data_is_answered_at_once():
    assert (
        without(Verb.ECHO)
        >> requestor(message(ON_ECHO, echo(3)))
        << [
            "record operation_refused refused C-ECHO-RQ 0122",
            "say to requestor: C-ECHO-RSP 3 on 1 0122",
        ]
    )


def test_an_image_without_a_byte_can_be_refused_too():
    assert (
        without(Verb.STORE)
        >> requestor(message(ON_STORE, store(7), b""))
        << [
            "record operation_refused refused C-STORE-RQ 0124",
            "say to requestor: C-STORE-RSP 7 on 3 0124",
        ]
    )


def test_a_move_to_somebody_else_is_refused_as_an_unknown_destination():
    assert (
        workstation()
        >> requestor(message(ON_MOVE, move("CT1", 2), b"keys"))
        << [
            "record operation_refused refused C-MOVE-RQ A801",
            "say to requestor: C-MOVE-RSP 2 on 7 A801",
        ]
    )


def test_a_refusal_is_cut_to_the_length_the_scanner_takes():
    play = connected(Playbook(hospital()), request("CT1", maximum_length=50)) >> acceptor(accept(ON_ECHO)) << ...
    play = play >> Reloaded(hospital(replace(SCANNER, may=frozenset({Verb.STORE})))) << []
    play >> requestor(*(p_data(pdv(ON_ECHO, 1, bytes([byte]))) for byte in encode_command(echo()))) << []
    play >> requestor(p_data(pdv(ON_ECHO, 3, b""))) << ...
    sent, _ = pdus(bytes(play.sent[REQUESTOR]))
    assert {part.pdu_length for part in sent[1:-1]} == {50}
    assert elements(messages(sent[1:])[0].command)[0x0900] == b"\x22\x01"


def test_a_refusal_is_not_said_in_the_middle_of_another_message():
    asked, found = message(ON_FIND, find(1), b"keys"), message(ON_FIND, answer(find(1), 0xFF00, data=True), bytes(2500))
    play = workstation() >> requestor(asked) << ... >> acceptor(found[:800]) << ...
    play = (
        play
        >> requestor(message(ON_MOVE, move("CT1", 2), b"keys"), message(ON_MOVE, move("CT1", 3), b"keys"))
        << [
            "record operation_refused refused C-MOVE-RQ A801",
            "record operation_refused refused C-MOVE-RQ A801",
        ]
    )
    play = (
        play
        >> acceptor(found[800:2400])
        << ["relay to requestor: 1000 bytes of data on 5"] * 2 + ["relay to requestor: (part of a PDU)"]
    )
    play = (
        play
        >> acceptor(found[2400:])
        << [
            "relay to requestor: 500 bytes of data on 5, last",
            "say to requestor: C-MOVE-RSP 2 on 7 A801",
            "say to requestor: C-MOVE-RSP 3 on 7 A801",
        ]
    )
    assert (
        play
        >> acceptor(found)
        << [
            "relay to requestor: C-FIND-RSP 1 on 5 FF00",
            "relay to requestor: 1000 bytes of data on 5",
            "relay to requestor: 1000 bytes of data on 5",
            "relay to requestor: 500 bytes of data on 5, last",
        ]
    )


def test_who_asks_on_without_reading_the_refusals_is_ended():
    limits = SessionLimits(outstanding_operations=2)
    play = workstation(limits=limits) >> requestor(message(ON_FIND, find(1), b"keys")) << ...
    endless = message(ON_FIND, answer(find(1), 0xFF00, data=True)) + data_set(ON_FIND, b"", last=False)
    play = play >> acceptor(endless) << ...
    refused = "record operation_refused refused C-MOVE-RQ A801"
    for number in (2, 3):
        play = play >> requestor(message(ON_MOVE, move("CT1", number), b"keys")) << [refused]
    (
        play
        >> requestor(message(ON_MOVE, move("CT1", 4), b"keys"))
        << [
            refused,
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            "record operation failure C-FIND-RQ",
            "record association_ended failure abort 2/0",
        ]
    )
    assert play.records[-1].rule == "limits.outstanding_operations"


def test_who_is_refused_too_often_in_one_association_is_ended():
    play = workstation(limits=SessionLimits(refused_operations=2))
    for number in (1, 2):
        play = play >> requestor(message(ON_MOVE, move("ELSEWHERE", number), b"keys")) << ...
    (
        play
        >> requestor(message(ON_MOVE, move("ELSEWHERE", 3)))
        << [
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/0",
        ]
    )
    assert play.records[-1].rule == "limits.refused_operations"


def test_a_message_id_that_is_still_in_use_is_refused_and_the_first_operation_goes_on():
    play = scanner() >> requestor(message(ON_STORE, store(7), b"first")) << ...
    play = (
        play
        >> requestor(message(ON_STORE, store(7), b"again"))
        << [
            "record operation_refused refused C-STORE-RQ 0210",
            "say to requestor: C-STORE-RSP 7 on 3 0210",
        ]
    )
    play = (
        play
        >> acceptor(message(ON_STORE, answer(store(7))))
        << [
            "record operation success C-STORE-RQ 0000",
            "relay to requestor: C-STORE-RSP 7 on 3 0000",
        ]
    )
    assert play >> requestor(message(ON_STORE, store(7), b"later")) << ...
    assert b"again" not in play.sent[ACCEPTOR]
    assert b"later" in play.sent[ACCEPTOR]


def test_more_outstanding_operations_than_the_limit_are_a_violation():
    play = scanner(limits=SessionLimits(outstanding_operations=2))
    play = play >> requestor(message(ON_ECHO, echo(1)), message(ON_ECHO, echo(2))) << ...
    (
        play
        >> requestor(message(ON_ECHO, echo(3)))
        << [
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            "record operation failure C-ECHO-RQ",
            "record operation failure C-ECHO-RQ",
            "record association_ended failure abort 2/0",
        ]
    )
    assert play.records[-1].reason == "requestor: more than 2 operations outstanding"


# -- malformed commands ------------------------------------------------------------------------------------

PATH = "1.2/../../etc/cron.d/x"


@pytest.mark.parametrize("instance", [PATH, "1..2", ".1.2", "1.2.", "abc"])
def test_an_image_whose_uid_is_a_path_is_refused(instance):
    play = (
        scanner()
        >> requestor(message(ON_STORE, store(7, instance), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0117",
            "say to requestor: C-STORE-RSP 7 on 3 0117",
        ]
    )
    (refusal,) = (part for part in pdus(bytes(play.sent[REQUESTOR]))[0] if isinstance(part, Pdv))
    assert 0x1000 not in elements(refusal.data)


def test_an_image_of_another_class_than_its_context_is_refused():
    other = replace(store(7), affected_sop_class_uid="1.2.840.10008.5.1.4.1.1.4")
    assert (
        scanner()
        >> requestor(message(ON_STORE, other, b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0122",
            "say to requestor: C-STORE-RSP 7 on 3 0122",
        ]
    )


def test_a_command_that_does_not_belong_on_its_context_is_refused():
    misplaced = replace(store(7), affected_sop_class_uid=VERIFICATION)
    assert (
        scanner()
        >> requestor(message(ON_ECHO, misplaced, b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0122",
            "say to requestor: C-STORE-RSP 7 on 1 0122",
        ]
    )


def test_an_image_whose_move_originator_is_no_title_is_refused():
    nameless = replace(store(7), move_originator_ae_title="..\\..")
    assert scanner() >> requestor(message(ON_STORE, nameless, b"image")) << aborted("requestor", "6")


def test_an_archive_that_sends_an_image_whose_uid_is_a_path_is_refused():
    play = workstation() >> requestor(message(ON_GET, get(), b"keys")) << ...
    assert (
        play
        >> acceptor(message(ON_STORE, store(50, PATH), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0117",
            "say to acceptor: C-STORE-RSP 50 on 3 0117",
        ]
    )


@pytest.mark.parametrize(
    "uids",
    [
        {"affected_sop_instance_uid": PATH},
        {"requested_sop_instance_uid": PATH},
        {"affected_sop_class_uid": PATH},
        {"requested_sop_class_uid": PATH},
        {"affected_sop_instance_uid": "1.2.3.4", "requested_sop_instance_uid": PATH},
    ],
    ids=" ".join,
)
def test_an_archive_whose_answer_holds_a_path_for_a_uid_is_not_believed(uids):
    play = scanner() >> requestor(message(ON_STORE, store(7), b"image")) << ...
    play = play >> acceptor(message(ON_STORE, answer(store(7), **uids))) << ...
    assert [type(command) for command in play.commands[:2]] == [Say, Say]
    assert PATH.encode() not in bytes(play.sent[REQUESTOR])
    assert play.records[-1].status == "abort 2/6"


@pytest.mark.parametrize("command", [b"", b"\0\0\0\1", b"\x08\0\x18\0\2\0\0\0ab", bytes(200)])
def test_what_is_no_command_set_ends_both(command):
    assert scanner() >> requestor(p_data(pdv(ON_ECHO, 3, command))) << aborted("requestor", "6")


def test_a_command_set_over_the_limit_ends_both():
    play = scanner(limits=SessionLimits(command_set=1000))
    long = replace(echo(), offending_element=tuple(range(300)))
    assert play >> requestor(message(ON_ECHO, long)) << aborted("requestor", "5")


# -- answers that answer nothing ---------------------------------------------------------------------------


def wrong_answers():
    asked = store(7)
    return {
        "to nothing": message(ON_STORE, answer(store(8))),
        "on another context": message(ON_ECHO, answer(asked)),
        "of another kind": message(ON_STORE, answer(echo(7))),
        "of its own request": message(ON_STORE, replace(answer(asked), message_id_being_responded_to=0)),
    }


@pytest.mark.parametrize("wrong", wrong_answers().values(), ids=wrong_answers())
def test_an_answer_to_nothing_ends_both(wrong):
    play = scanner() >> requestor(message(ON_STORE, store(7), b"image")) << ...
    assert play >> acceptor(wrong) << aborted("acceptor", "5", "C-STORE-RQ")
    assert play.records[-2].reason == "the association ended first"


def test_a_second_final_answer_ends_both():
    final = message(ON_STORE, answer(store(7)))
    play = scanner() >> requestor(message(ON_STORE, store(7), b"image")) << ... >> acceptor(final) << ...
    assert play >> acceptor(final) << aborted("acceptor", "5")


def test_an_answer_from_the_scanner_to_its_own_request_ends_both():
    play = scanner() >> requestor(message(ON_ECHO, echo(1))) << ...
    assert play >> requestor(message(ON_ECHO, answer(echo(1)))) << aborted("requestor", "5", "C-ECHO-RQ")


def test_a_store_that_the_archive_calls_pending_is_final_all_the_same():
    play = scanner() >> requestor(message(ON_STORE, store(7), b"image")) << ...
    play >> acceptor(message(ON_STORE, answer(store(7), 0xFF00))) << ...
    assert play >> acceptor(message(ON_STORE, answer(store(7)))) << aborted("acceptor", "5")


# -- fragments in the wrong place --------------------------------------------------------------------------

STRAY = {
    "data without a command": data_set(ON_STORE, b"data"),
    "data after a command without data": message(ON_ECHO, echo()) + data_set(ON_ECHO, b"data"),
    "data on another context": message(ON_STORE, store()) + data_set(ON_ECHO, b"data"),
    "a command inside a data set": message(ON_STORE, store()) + message(ON_STORE, store(2)),
    "a command inside a command": p_data(pdv(ON_ECHO, 1, b"\0\0")) + message(ON_STORE, store()),
    "an unknown context": message(99, echo()),
    "a context that was refused": message(ON_FIND, find()),
}


@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
@pytest.mark.parametrize("side", ["requestor", "acceptor"])
def test_fragments_in_the_wrong_place_end_both(stray, side):
    play = scanner() >> (requestor if side == "requestor" else acceptor)(stray) << ...
    assert play.records[-1].status == "abort 2/5"
    assert bytes(play.sent[REQUESTOR]).endswith(b"\x07\0\0\0\0\4\0\0\2" + (b"\5" if side == "requestor" else b"\0"))


def test_data_is_never_relayed_without_the_permit_of_its_own_operation():
    play = scanner() >> requestor(message(ON_STORE, store(1), b"image")) << ...
    permits = {command.permit.command.message_id for command in play.commands if isinstance(command, Relay)}
    assert permits == {1}
