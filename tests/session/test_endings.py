"""The ways it ends: released, aborted, lost, too slow, revoked, or because of a bug."""

from dataclasses import replace

import pytest

from dicomgate.audit.record import Outcome
from dicomgate.facts import Side
from dicomgate.policy.model import Archive, Endpoint, Listener, Networks, Rules, Verb
from dicomgate.policy.policy import Policy
from dicomgate.session.events import Connected, HungUp, Ordered, Recorded, Reloaded, Stalled, TimeUp
from dicomgate.session.limits import SessionLimits
from dicomgate.session.session import NEVER
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import Abort, ReleaseReply, ReleaseRequest
from playbook import (
    ACCEPTOR,
    REQUESTOR,
    STARTED,
    Overdue,
    Playbook,
    Wait,
    acceptor,
    data_set,
    message,
    p_data,
    pdv,
    requestor,
)
from session.cast import (
    ARCHIVE,
    ON_COMMIT,
    ON_ECHO,
    ON_FIND,
    ON_STORE,
    SCANNER,
    WORKSTATION,
    accept,
    answer,
    commit,
    connected,
    echo,
    find,
    hospital,
    report,
    request,
    scanner,
    store,
    workstation,
)

LIMITS = SessionLimits(
    first_byte=10, associate_deadline=15, archive_answer=20, idle=900, no_progress=600, absolute=86400, close=5
)
ENDED = "record association_ended"

# -- release -----------------------------------------------------------------------------------------------


def test_the_scanner_releases():
    play = scanner() >> requestor(ReleaseRequest()) << ["say to acceptor: A-RELEASE-RQ"]
    play = (
        play
        >> acceptor(ReleaseReply())
        << [
            "close acceptor",
            "say to requestor: A-RELEASE-RP",
            "record association_ended success",
        ]
    )
    assert play >> HungUp(REQUESTOR) << ["close requestor", "finish"]


def test_the_archive_releases():
    play = scanner() >> acceptor(ReleaseRequest()) << ["say to requestor: A-RELEASE-RQ"]
    play = (
        play
        >> requestor(ReleaseReply())
        << [
            "close requestor",
            "say to acceptor: A-RELEASE-RP",
            "record association_ended success",
        ]
    )
    assert play >> HungUp(ACCEPTOR) << ["close acceptor", "finish"]


def test_both_release_at_once_and_the_scanner_was_first():
    play = scanner() >> requestor(ReleaseRequest()) << ["say to acceptor: A-RELEASE-RQ"]
    play = play >> acceptor(ReleaseRequest()) << ["say to acceptor: A-RELEASE-RP"]
    assert (
        play
        >> acceptor(ReleaseReply())
        << [
            "close acceptor",
            "say to requestor: A-RELEASE-RP",
            "record association_ended success",
        ]
    )


def test_both_release_at_once_and_the_archive_was_first():
    play = scanner() >> acceptor(ReleaseRequest()) << ["say to requestor: A-RELEASE-RQ"]
    play = play >> requestor(ReleaseRequest()) << []
    play = (
        play
        >> requestor(ReleaseReply())
        << [
            "say to requestor: A-RELEASE-RP",
            "say to acceptor: A-RELEASE-RP",
            "record association_ended success",
        ]
    )
    play = play >> HungUp(ACCEPTOR) << ["close acceptor"]
    assert play >> HungUp(REQUESTOR) << ["close requestor", "finish"]


def test_the_archive_may_still_answer_after_the_scanner_has_asked_for_release():
    play = (
        scanner()
        >> requestor(message(ON_ECHO, echo()), ReleaseRequest())
        << [
            "relay to acceptor: C-ECHO-RQ 1 on 1",
            "say to acceptor: A-RELEASE-RQ",
        ]
    )
    play = (
        play
        >> acceptor(message(ON_ECHO, answer(echo())))
        << [
            "record operation success C-ECHO-RQ 0000",
            "relay to requestor: C-ECHO-RSP 1 on 1 0000",
        ]
    )
    assert play >> acceptor(ReleaseReply()) << ...
    assert play.records[-1].outcome is Outcome.SUCCESS


def test_a_release_with_an_unanswered_operation_records_the_operation_as_failed():
    play = scanner() >> requestor(message(ON_ECHO, echo()), ReleaseRequest()) << ...
    assert (
        play
        >> acceptor(ReleaseReply())
        << [
            "close acceptor",
            "say to requestor: A-RELEASE-RP",
            "record operation failure C-ECHO-RQ",
            "record association_ended success",
        ]
    )


def test_a_refused_request_after_the_archive_asked_for_release_gets_no_answer_any_more():
    play = scanner() >> Reloaded(hospital(replace(SCANNER, may=frozenset({Verb.STORE})))) << []
    play = play >> acceptor(ReleaseRequest()) << ["say to requestor: A-RELEASE-RQ"]
    play = play >> requestor(message(ON_ECHO, echo())) << ["record operation_refused refused C-ECHO-RQ 0122"]
    assert play >> requestor(ReleaseReply()) << ...


INSIDE = ["say to {0}: A-ABORT 2/2", "say to {1}: A-ABORT 2/0", "{2}", "record association_ended failure abort 2/2"]


def inside(side: str, operation: str) -> list[str]:
    other = "acceptor" if side == "requestor" else "requestor"
    return [line.format(side, other, f"record operation failure {operation}") for line in INSIDE]


@pytest.mark.parametrize("pdu", [ReleaseRequest(), ReleaseReply()])
def test_a_release_inside_an_image_is_a_violation(pdu):
    play = scanner() >> acceptor(ReleaseRequest()) << ... if isinstance(pdu, ReleaseReply) else scanner()
    play = play >> requestor(message(ON_STORE, store()), data_set(ON_STORE, b"half", last=False)) << ...
    assert play >> requestor(pdu) << inside("requestor", "C-STORE-RQ")


@pytest.mark.parametrize("pdu", [ReleaseRequest(), ReleaseReply()])
def test_a_release_inside_a_found_data_set_is_a_violation(pdu):
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ...
    if isinstance(pdu, ReleaseReply):
        play = play >> requestor(ReleaseRequest()) << ...
    match = message(ON_FIND, answer(find(), 0xFF00, data=True)) + data_set(ON_FIND, b"half", last=False)
    play = play >> acceptor(match) << ...
    assert play >> acceptor(pdu) << inside("acceptor", "C-FIND-RQ")


def test_a_release_reply_inside_an_image_in_a_collision_is_a_violation():
    play = scanner() >> acceptor(ReleaseRequest()) << ...
    play = play >> requestor(message(ON_STORE, store()), data_set(ON_STORE, b"half", last=False)) << ...
    assert play >> requestor(ReleaseReply()) << inside("requestor", "C-STORE-RQ")


def test_a_release_inside_a_command_is_a_violation():
    play = scanner() >> requestor(p_data(pdv(ON_ECHO, 1, b"\0\0"))) << []
    assert (
        play
        >> requestor(ReleaseRequest())
        << [
            "say to requestor: A-ABORT 2/2",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/2",
        ]
    )


def test_a_release_reply_that_nobody_asked_for_is_a_violation():
    assert (
        scanner()
        >> acceptor(ReleaseReply())
        << [
            "say to acceptor: A-ABORT 2/2",
            "say to requestor: A-ABORT 2/0",
            "record association_ended failure abort 2/2",
        ]
    )


def test_data_after_the_release_request_is_a_violation():
    play = scanner() >> requestor(ReleaseRequest()) << ...
    assert (
        play
        >> requestor(message(ON_ECHO, echo()))
        << [
            "say to requestor: A-ABORT 2/2",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/2",
        ]
    )


# -- aborts and losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abort", "told"), [(Abort(0, 0), "0/0"), (Abort(0, 6), "0/0"), (Abort(2, 6), "2/6"), (Abort(9, 99), "2/0")]
)
def test_the_scanner_aborts(abort, told):
    play = (
        scanner()
        >> requestor(abort)
        << [
            "close requestor",
            f"say to acceptor: A-ABORT {told}",
            "record association_ended failure",
        ]
    )
    assert play.records[-1].reason == "aborted by the requestor"
    assert play >> HungUp(ACCEPTOR) << ["close acceptor", "finish"]


def test_the_archive_aborts():
    play = (
        scanner()
        >> acceptor(Abort(0, 0))
        << [
            "close acceptor",
            "say to requestor: A-ABORT 0/0",
            "record association_ended failure",
        ]
    )
    assert play >> HungUp(REQUESTOR) << ["close requestor", "finish"]


def test_an_abort_during_release():
    play = scanner() >> requestor(ReleaseRequest()) << ...
    assert (
        play
        >> acceptor(Abort(0, 0))
        << [
            "close acceptor",
            "say to requestor: A-ABORT 0/0",
            "record association_ended failure",
        ]
    )


def test_the_scanner_hangs_up():
    play = (
        scanner()
        >> requestor(message(ON_ECHO, echo()))
        << ...
        >> HungUp(REQUESTOR, "connection reset by peer")
        << [
            "close requestor",
            "say to acceptor: A-ABORT 2/0",
            "record operation failure C-ECHO-RQ",
            "record association_ended failure",
        ]
    )
    assert play.records[-1].reason == "the requestor went away: connection reset by peer"
    assert play >> HungUp(ACCEPTOR) << ["close acceptor", "finish"]


def test_the_archive_hangs_up():
    assert (
        scanner()
        >> HungUp(ACCEPTOR)
        << [
            "close acceptor",
            "say to requestor: A-ABORT 2/0",
            "record association_ended failure",
        ]
    )


def test_a_scanner_that_dies_inside_an_image_resets_the_archive_so_that_no_abort_is_stored_as_pixels():
    play = scanner() >> requestor(message(ON_STORE, store()), data_set(ON_STORE, bytes(1000))[:200]) << ...
    assert (
        play
        >> HungUp(REQUESTOR)
        << [
            "close requestor",
            "reset acceptor",
            "record operation failure C-STORE-RQ",
            "record association_ended failure",
            "finish",
        ]
    )
    assert bytes(play.sent[ACCEPTOR]).endswith(bytes(100))


def test_a_scanner_that_dies_between_two_pdus_of_an_image_aborts_the_archive():
    play = scanner() >> requestor(message(ON_STORE, store()), data_set(ON_STORE, bytes(1000), last=False)) << ...
    assert (
        play
        >> HungUp(REQUESTOR)
        << [
            "close requestor",
            "say to acceptor: A-ABORT 2/0",
            "record operation failure C-STORE-RQ",
            "record association_ended failure",
        ]
    )


def test_an_archive_that_dies_inside_a_match_resets_the_workstation():
    match = message(ON_FIND, answer(find(), 0xFF00, data=True), bytes(1000))
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ... >> acceptor(match[:-10]) << ...
    assert (
        play
        >> HungUp(ACCEPTOR)
        << [
            "close acceptor",
            "reset requestor",
            "record operation failure C-FIND-RQ",
            "record association_ended failure",
            "finish",
        ]
    )


def test_an_archive_that_dies_after_its_last_answer_but_before_its_data():
    final = message(ON_FIND, answer(find(), 0xB000, data=True))
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ... >> acceptor(final) << ...
    assert (
        play
        >> HungUp(ACCEPTOR)
        << [
            "close acceptor",
            "say to requestor: A-ABORT 2/0",
            "record operation failure C-FIND-RQ",
            "record association_ended failure",
        ]
    )


def test_a_violation_inside_an_image_resets_the_receiver():
    play = scanner() >> acceptor(message(ON_COMMIT, report(), None), data_set(ON_COMMIT, bytes(1000))[:200]) << ...
    assert (
        play
        >> requestor(b"\x99")
        << [
            "reset requestor",
            "say to acceptor: A-ABORT 2/0",
            "record operation failure N-EVENT-REPORT-RQ",
            "record association_ended failure abort 2/1",
        ]
    )


STAGES = ["connection", "admission", "connecting", "answer", "established", "storing", "releasing", "released"]


def at(stage: str) -> Playbook:
    """A scanner's association at one stage of its life."""
    play = Playbook(hospital(), limits=LIMITS)
    steps = [
        lambda: play >> requestor(request()) << ...,
        lambda: play >> Recorded(True) << ...,
        lambda: play >> Connected() << ...,
        lambda: play >> acceptor(accept(ON_ECHO, ON_STORE)) << ...,
        lambda: play >> requestor(message(ON_STORE, store()), data_set(ON_STORE, b"half", last=False)) << ...,
        lambda: play >> requestor(data_set(ON_STORE, b"rest"), ReleaseRequest()) << ...,
        lambda: play >> acceptor(ReleaseReply()) << ...,
    ]
    for step in steps[: STAGES.index(stage)]:
        step()
    return play


@pytest.mark.parametrize("first", [REQUESTOR, ACCEPTOR])
@pytest.mark.parametrize("stage", STAGES)
def test_when_both_have_hung_up_it_is_over_at_every_stage(stage, first):
    play = at(stage)
    for side in (first, first.other):
        play = play >> HungUp(side) << ...
    assert play.session.finished


@pytest.mark.parametrize("stage", STAGES)
def test_an_order_from_the_gate_ends_it_at_every_stage(stage):
    play = at(stage) >> Ordered("the gate is stopping") << ...
    for _ in range(2):
        play = play >> TimeUp() << ...
    assert play.session.finished
    last = play.records[-1]
    assert last.outcome in (Outcome.FAILURE, Outcome.REFUSED) or stage == "released"


# -- deadlines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [
        ("connection", 10),
        ("admission", NEVER),
        ("connecting", NEVER),
        ("answer", 20),
        ("established", 900),
        ("storing", 600),
        ("releasing", 600),
        ("released", 5),
    ],
)
def test_each_stage_has_its_deadline(stage, seconds):
    play = at(stage)
    assert play.session.deadline == play.now + seconds


def test_a_connection_without_a_byte_is_closed():
    play = (
        Playbook(hospital(), limits=LIMITS)
        >> Overdue()
        << [
            "record connection_refused refused",
            "reset requestor",
            "finish",
        ]
    )
    assert play.records[-1].reason == "no A-ASSOCIATE-RQ within 10 s"


def test_a_dribbling_request_is_closed_however_often_a_byte_comes():
    play = Playbook(hospital(), limits=LIMITS)
    for byte in encode(request())[:14]:
        play = play >> Wait(1) >> requestor(bytes([byte])) << []
    assert play.session.deadline == play.now + 1
    play = play >> Overdue() << ["record connection_refused refused", "reset requestor", "finish"]
    assert play.records[-1].reason == "no A-ASSOCIATE-RQ within 15 s"


def test_an_idle_association_is_ended():
    play = at("established") >> Wait(100) >> requestor(message(ON_ECHO, echo())) << ...
    play = play >> acceptor(message(ON_ECHO, answer(echo()))) << ...
    assert play.session.deadline == play.now + 900
    play >> Overdue() << ["say to requestor: A-ABORT 2/0", "say to acceptor: A-ABORT 2/0", f"{ENDED} failure abort 2/0"]
    assert (play.records[-1].rule, play.records[-1].reason) == ("limits.idle", "idle for 900 s")


def test_an_operation_without_progress_is_ended():
    play = at("established") >> requestor(message(ON_ECHO, echo())) << ... >> Overdue() << ...
    assert play.records[-1].rule == "limits.no_progress"


def test_an_image_that_stops_half_way_is_ended():
    play = at("storing")
    play = play >> Wait(599) >> requestor(data_set(ON_STORE, b"more", last=False)) << ...
    assert play.session.deadline == play.now + 600
    play >> Overdue() << ...
    assert play.records[-1].rule == "limits.no_progress"


def test_nothing_lives_longer_than_the_absolute_limit():
    play = at("established")
    while play.session.deadline >= play.now + LIMITS.idle:
        play = play >> Wait(100) >> requestor(message(ON_ECHO, echo())) << ...
        play = play >> acceptor(message(ON_ECHO, answer(echo()))) << ...
    assert play.session.deadline == STARTED + LIMITS.absolute
    play >> Overdue() << ...
    assert play.records[-1].rule == "limits.absolute"


def test_who_does_not_close_after_an_abort_is_reset():
    play = at("established") >> requestor(b"\x99") << ...
    assert play.session.deadline == play.now + 5
    play = play >> Overdue() << ["reset requestor"] >> Overdue() << ["reset acceptor", "finish"]
    assert play.session.finished


def test_who_does_not_close_after_a_release_is_reset():
    assert at("released") >> Overdue() << ["reset requestor", "finish"]


@pytest.mark.parametrize("side", Side)
def test_a_side_that_takes_no_bytes_is_ended(side):
    play = at("storing") >> Stalled(side) << ...
    assert (play.records[-1].rule, play.records[-1].reason) == (
        "write-stall",
        f"the {side} took no bytes for 120 s",
    )
    assert play.session.deadline == play.now + 5


# -- orders and reloads ------------------------------------------------------------------------------------


def test_an_association_is_ended_when_the_gate_stops():
    play = (
        at("established")
        >> Ordered("the gate is stopping")
        << [
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            f"{ENDED} failure abort 2/0",
        ]
    )
    assert (play.records[-1].rule, play.records[-1].reason) == ("gate", "the gate is stopping")


def test_a_half_open_connection_gives_way():
    play = (
        Playbook(hospital())
        >> Ordered("its place is needed")
        << [
            "record connection_refused refused",
            "reset requestor",
            "finish",
        ]
    )
    assert play.records[-1].rule == "gate"


@pytest.mark.parametrize(
    ("stage", "archive"),
    [("admission", []), ("connecting", ["reset acceptor"]), ("answer", ["say to acceptor: A-ABORT 2/0"])],
)
def test_who_still_waits_for_an_answer_is_refused_for_now_when_the_gate_stops(stage, archive):
    assert (
        at(stage)
        >> Ordered("the gate is stopping")
        << [
            *archive,
            "say to requestor: A-ASSOCIATE-RJ 2/3/1",
            f"{ENDED} failure 2/3/1",
        ]
    )


def test_a_scanner_that_is_no_longer_allowed_is_aborted():
    play = (
        at("established")
        >> Reloaded(hospital(WORKSTATION))
        << [
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            f"{ENDED} failure abort 2/0",
        ]
    )
    assert play.records[-1].reason == "no longer allowed: no peer has the calling AE title CT1"


def test_a_scanner_that_is_no_longer_allowed_never_reaches_the_archive():
    play = (
        at("admission")
        >> Reloaded(hospital(WORKSTATION))
        << [
            "say to requestor: A-ASSOCIATE-RJ 2/3/1",
            f"{ENDED} failure 2/3/1",
        ]
    )
    assert play >> Recorded(True) << []


def test_an_address_that_the_listener_no_longer_lets_in_is_ended():
    elsewhere = Policy(replace(hospital().rules, listeners=(Listener("inside", Networks.of(["10.2.0.0/16"])),)))
    play = (
        scanner()
        >> Reloaded(elsewhere)
        << [
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            f"{ENDED} failure abort 2/0",
        ]
    )
    assert play.records[-1].rule == "listener[inside].networks"


def test_a_reload_that_allows_the_same_changes_nothing():
    play = at("storing") >> Reloaded(hospital()) << []
    assert play >> requestor(data_set(ON_STORE, b"rest")) << ["relay to acceptor: 4 bytes of data on 3, last"]


def test_a_reload_is_judged_by_the_new_rules_from_the_next_request_on():
    play = at("storing") >> Reloaded(hospital(replace(SCANNER, may=frozenset({Verb.ECHO})))) << []
    play = play >> requestor(data_set(ON_STORE, b"rest")) << ["relay to acceptor: 4 bytes of data on 3, last"]
    assert (
        play
        >> requestor(message(ON_STORE, store(2), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0124",
            "say to requestor: C-STORE-RSP 2 on 3 0124",
        ]
    )


def test_a_reload_before_the_archive_answers_judges_the_answer_by_what_was_sent():
    narrower = hospital(replace(SCANNER, may=frozenset({Verb.ECHO})))
    play = (
        at("answer")
        >> Reloaded(narrower)
        << []
        >> acceptor(accept(ON_ECHO, ON_STORE))
        << ["relay to requestor: A-ASSOCIATE-AC for 1, 3, not 5, not 7, not 9, not 11"]
    )
    assert (
        play
        >> requestor(message(ON_STORE, store(2), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0124",
            "say to requestor: C-STORE-RSP 2 on 3 0124",
        ]
    )


def test_a_reload_before_the_archive_is_connected_sends_on_what_was_recorded_and_connected_for():
    wider = hospital(replace(SCANNER, may=SCANNER.may | {Verb.FIND}))
    play = (
        at("connecting")
        >> Reloaded(wider)
        << []
        >> Connected()
        << ["relay to acceptor: A-ASSOCIATE-RQ from CT1 to ARCHIVE for 1, 3, 11"]
    )
    assert play >> acceptor(accept(ON_ECHO)) << ...


@pytest.mark.parametrize("stage", ["admission", "connecting", "answer", "established", "storing"])
def test_a_reload_that_gives_the_title_to_another_archive_ends_it(stage):
    other = Archive("other", "ARCHIVE", (Endpoint("10.1.1.99", 11112),))
    elsewhere = Policy(
        Rules((Listener("inside", Networks(any=True)),), (other,), (replace(SCANNER, archives=("other",)),))
    )
    play = at(stage) >> Reloaded(elsewhere) << ...
    assert play.records[-1].reason == "no longer allowed: ARCHIVE now leads to other"
    assert play >> Recorded(True) << [] >> Connected() << []


def test_a_reload_says_nothing_to_who_has_not_asked_yet_and_judges_what_comes():
    play = Playbook(hospital()) >> Reloaded(hospital(WORKSTATION)) << []
    play >> requestor(request()) << ...
    assert play.records[-1].status == "1/1/3"


def test_a_reload_says_nothing_to_who_has_been_refused():
    play = Playbook(hospital(WORKSTATION)) >> requestor(request()) << ...
    assert play >> Reloaded(hospital()) << []


# -- a bug of ours -----------------------------------------------------------------------------------------


class Buggy(Policy):
    """A policy that falls over when it is asked about an echo."""

    def decide_operation(self, permit, facts, *, at=0.0):
        if facts.command.message_id == 13:
            raise ZeroDivisionError
        return super().decide_operation(permit, facts, at=at)


def buggy() -> Playbook:
    return scanner(Buggy(hospital().rules))


def test_a_bug_ends_the_association_with_an_abort_and_a_record():
    play = buggy()
    with pytest.raises(ZeroDivisionError):
        play >> requestor(message(ON_ECHO, echo(13)))
    play.take(play.session.crashed(play.now)) << [
        "say to requestor: A-ABORT 2/0",
        "say to acceptor: A-ABORT 2/0",
        f"{ENDED} failure abort 2/0",
    ]
    assert play.records[-1].rule == "bug"


def test_a_bug_inside_an_image_does_not_complete_it_with_an_abort():
    play = buggy() >> requestor(message(ON_ECHO, echo(1)), message(ON_COMMIT, commit(2), b"list")) << ...
    play = play >> acceptor(message(ON_ECHO, answer(echo(1)))) << ...
    rest = message(ON_STORE, store(3)) + data_set(ON_STORE, bytes(1000))
    play = play >> requestor(rest[:-10]) << ...
    with pytest.raises(ZeroDivisionError):
        play >> requestor(rest[-10:] + message(ON_STORE, store(13)))
    # An A-ABORT is ten bytes long: the archive would take it for the end of the image.
    play.take(play.session.crashed(play.now)) << [
        "say to requestor: A-ABORT 2/0",
        "reset acceptor",
        "record operation failure N-ACTION-RQ",
        "record operation failure C-STORE-RQ",
        f"{ENDED} failure abort 2/0",
    ]


def test_the_record_of_an_operation_survives_a_bug_in_the_same_read():
    play = workstation(Buggy(hospital().rules)) >> requestor(message(ON_FIND, find(1), b"keys")) << ...
    with pytest.raises(ZeroDivisionError):
        play >> acceptor(message(ON_FIND, answer(find(1))), message(ON_STORE, store(13), b"image"))
    assert play.take(play.session.crashed(play.now)) << [
        "record operation success C-FIND-RQ 0000",
        "reset requestor",
        "say to acceptor: A-ABORT 2/0",
        f"{ENDED} failure abort 2/0",
    ]


def test_a_bug_while_the_association_is_judged_is_a_refusal_for_now():
    class Broken(Policy):
        def decide_association(self, facts, principal=None, *, at=0.0, steps=None):
            raise ZeroDivisionError

    play = Playbook(Broken(hospital().rules))
    with pytest.raises(ZeroDivisionError):
        play >> requestor(request())
    assert play.take(play.session.crashed(play.now)) << [
        "say to requestor: A-ASSOCIATE-RJ 2/3/1",
        f"{ENDED} failure 2/3/1",
    ]


def test_a_bug_after_the_end_has_nothing_left_to_say():
    play = at("released")
    assert play.take(play.session.crashed(play.now)) << []
    assert play >> Overdue() << ["reset requestor", "finish"]


# -- the driver's own slips --------------------------------------------------------------------------------


def test_bytes_from_a_side_that_is_not_connected_are_ignored():
    play = Playbook(hospital()) >> acceptor(accept(ON_ECHO)) << [] >> requestor(request()) << ...
    play = play >> acceptor(b"\x99") << [] >> Recorded(True) << ["connect to main"]
    play = play >> acceptor(accept(ON_ECHO), b"\x99") << []
    play = play >> Connected() << ["relay to acceptor: A-ASSOCIATE-RQ from CT1 to ARCHIVE for 1, 3, 11"]
    assert (
        play
        >> acceptor(accept(ON_ECHO))
        << ["relay to requestor: A-ASSOCIATE-AC for 1, not 3, not 5, not 7, not 9, not 11"]
    )


def test_the_archive_of_this_cast_is_the_one_that_is_called():
    play = connected(Playbook(hospital()))
    assert play.session.permit.route.archive is ARCHIVE
    assert play.session.permit.route.endpoints == ARCHIVE.endpoints
