"""The tamper alarm: the end of a C-STORE waits until its content is known to be new, the same, or allowed to differ."""

from dataclasses import replace
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.audit.instance import Instance, Version, memory_of
from dicomgate.audit.record import Event as About
from dicomgate.audit.record import Outcome
from dicomgate.policy.model import Listener, Mode, Networks, Peer, Rules, Tamper
from dicomgate.policy.policy import Policy
from dicomgate.session.events import HungUp, NotRecalled, Ordered, Recalled, Reloaded
from dicomgate.session.under_way import UnderWay
from dicomgate.wire.pdu import Abort, ReleaseReply, ReleaseRequest
from playbook import ACCEPTOR, REQUESTOR, Overdue, Playbook, acceptor, message, requestor
from session.cast import (
    ARCHIVE,
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    ON_ECHO,
    ON_GET,
    ON_STORE,
    SCANNER,
    WORKSTATION,
    answer,
    echo,
    get,
    scanner,
    store,
    workstation,
)
from session.reference import Pdv, messages, pdus

UID, OTHER = "1.2.3.4", "1.2.3.5"
INSTANCE = Instance("main", UID)
RULE = "archive[main].tamper"


def image(uid: str = UID, pixels: bytes = b"pixels") -> bytes:
    """The beginning of a CT image, explicit VR little endian, and its pixels."""

    def element(number: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return b"\x08\0" + number.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value

    return element(0x16, b"UI", CT_IMAGE.encode()) + element(0x18, b"UI", uid.encode()) + pixels * 200


ORIGINAL, ALTERED = image(), image(pixels=b"forged")
KNOWN = Version(EXPLICIT, sha256(ORIGINAL).hexdigest())


def guarded(tamper: Tamper = Tamper.REFUSE, peer: Peer = SCANNER, mode: Mode = Mode.ENFORCE) -> Policy:
    listener = Listener("inside", Networks.of(["10.1.0.0/16"]))
    return Policy(Rules((listener,), (replace(ARCHIVE, tamper=tamper),), (peer, WORKSTATION), mode=mode))


def sent(data: bytes = ORIGINAL, number: int = 1, uid: str = UID) -> bytes:
    return message(ON_STORE, store(number, uid), data, fragment=400)


def stored(number: int = 1, uid: str = UID) -> bytes:
    return message(ON_STORE, answer(store(number, uid)))


def alarm(play: Playbook) -> tuple[object, ...]:
    """Outcome, rule, status and refusal ID of the only alarm."""
    (record,) = [r for r in play.records if r.event is About.INSTANCE_CHANGED]
    return record.outcome, record.rule, record.status, record.refusal_id


def complete(play: Playbook) -> list[bytes | None]:
    """The data sets that the archive has got whole."""
    parts, _ = pdus(bytes(play.sent[ACCEPTOR]))
    got = messages([part for part in parts if isinstance(part, Pdv)])
    return [m.data for m in got if m.complete and m.data is not None]


# -- what is held ------------------------------------------------------------------------------------------


def test_the_end_of_a_data_set_waits_for_the_answer():
    play = scanner(guarded()) >> requestor(sent())
    play << ["recall 1: 1.2.3.4 in main", "relay to acceptor: C-STORE-RQ 1 on 3", "pause requestor"]
    (
        play
        >> Recalled(1, None)
        << [
            "relay to acceptor: 400 bytes of data on 3",
            "relay to acceptor: 400 bytes of data on 3",
            "relay to acceptor: 400 bytes of data on 3",
            "relay to acceptor: 50 bytes of data on 3, last",
            "resume requestor",
        ]
    )
    assert complete(play) == [ORIGINAL]


def test_what_comes_before_the_end_is_not_held():
    begun, end = sent()[:-20], sent()[-20:]
    play = scanner(guarded()) >> requestor(begun)
    play << [
        "recall 1: 1.2.3.4 in main",
        "relay to acceptor: C-STORE-RQ 1 on 3",
        *["relay to acceptor: 400 bytes of data on 3"] * 3,
        "relay to acceptor: (part of a PDU)",
    ]
    play >> requestor(play.session.take_carry(REQUESTOR) + end) << ["pause requestor"]
    assert complete(play) == []


def test_nothing_is_held_once_the_answer_is_there():
    play = scanner(guarded()) >> requestor(sent()[:800]) << ... >> Recalled(1, None) << []
    play = play >> requestor(play.session.take_carry(REQUESTOR) + sent()[800:]) << ...
    assert complete(play) == [ORIGINAL]


def test_nothing_overtakes_what_is_held():
    read = sent() + sent(image(OTHER), 2, OTHER) + message(ON_ECHO, echo(3)) + bytes(requestor(ReleaseRequest()).data)
    play = scanner(guarded()) >> requestor(read)
    play << ["recall 1: 1.2.3.4 in main", "relay to acceptor: C-STORE-RQ 1 on 3", "pause requestor"]
    play = play >> Recalled(1, None) << ...
    assert complete(play) == [ORIGINAL]
    assert play.session.handle(Recalled(1, None), play.now) == []  # an answer counts once
    (
        play
        >> Recalled(2, None)
        << [
            *["relay to acceptor: 400 bytes of data on 3"] * 3,
            "relay to acceptor: 50 bytes of data on 3, last",
            "relay to acceptor: C-ECHO-RQ 3 on 1",
            "say to acceptor: A-RELEASE-RQ",
            "resume requestor",
        ]
    )
    assert complete(play) == [ORIGINAL, image(OTHER)]


def test_our_own_words_wait_for_the_end_as_well():
    """A refused request of the archive's is answered behind the held data set, not inside it."""
    play = scanner(guarded()) >> requestor(sent()) << ...
    play = (
        play >> acceptor(message(ON_STORE, store(9), b"image")) << ["record operation_refused refused C-STORE-RQ 0124"]
    )
    play = play >> Recalled(1, None) << ...
    assert complete(play) == [ORIGINAL]
    assert play.commands[-2].data[12:] != b""  # the refusal comes last, before reading goes on


def test_a_view_into_the_drivers_buffer_is_not_kept():
    buffer = bytearray(sent() + message(ON_ECHO, echo(2)))
    play = scanner(guarded()) >> requestor() << []
    play = play.take(play.session.handle(replace(requestor(), data=memoryview(buffer)), play.now)) << ...
    buffer[:] = bytes(len(buffer))
    play = play >> Recalled(1, None) << ...
    assert complete(play) == [ORIGINAL]


# -- what is refused ---------------------------------------------------------------------------------------

ENDS = [
    "record instance_changed refused C-STORE-RQ 0124",
    "say to requestor: C-STORE-RSP 1 on 3 0124",
    "say to requestor: A-ABORT 2/0",
]


def test_other_content_is_never_completed():
    play = scanner(guarded()) >> requestor(sent(ALTERED)) << ... >> Recalled(1, KNOWN)
    play << [
        *ENDS,
        "say to acceptor: A-ABORT 2/0",
        "resume requestor",
        "record association_ended failure abort 2/0",
    ]
    assert complete(play) == []
    assert alarm(play) == (Outcome.REFUSED, RULE, "0124", "R2")
    record = play.records[-2]
    assert record.detail["known_sha256"] == KNOWN.sha256
    assert record.detail["sha256"] == sha256(ALTERED).hexdigest()
    assert memory_of(record) is None
    assert play.records[-1].refusal_id == "R2"
    assert [play.records[-1].detail[name] for name in ("operations", "refused_operations")] == [0, 1]


def test_inside_a_pdu_the_archive_is_reset():
    read = sent(ALTERED)
    play = scanner(guarded()) >> requestor(read[:-10]) << ... >> Recalled(1, KNOWN) << []
    play >> requestor(read[-10:]) << [*ENDS, "reset acceptor", "record association_ended failure abort 2/0"]
    assert complete(play) == []


def test_the_same_content_again_passes():
    play = scanner(guarded()) >> requestor(sent()) << ... >> Recalled(1, KNOWN) << ... >> acceptor(stored()) << ...
    assert complete(play) == [ORIGINAL]
    assert play.records[-1].detail["content"] == "same"


def test_the_same_bytes_in_another_transfer_syntax_are_other_content():
    play = (
        scanner(guarded()) >> requestor(sent()) << ... >> Recalled(1, replace(KNOWN, transfer_syntax=IMPLICIT)) << ...
    )
    assert complete(play) == []
    assert "its transfer syntax" in (play.records[-1].reason or "")


def test_a_data_set_that_poses_as_another_instance_is_refused():
    """The command names a new instance, the data set the one that is to be altered: archives go by the data set."""
    play = scanner(guarded()) >> requestor(sent(image(OTHER))) << ... >> Recalled(1, None) << ...
    assert complete(play) == []
    assert alarm(play)[:3] == (Outcome.REFUSED, RULE, "0124")


def test_a_data_set_that_names_no_instance_is_refused():
    play = scanner(guarded(peer=replace(SCANNER, corrections=True))) >> requestor(sent(b"noise")) << ...
    play = play >> Recalled(1, None) << ...
    assert complete(play) == []


def test_an_early_answer_does_not_open_the_way():
    """The archive answers before it has all of it; there is nothing left to answer, and still nothing completes."""
    play = scanner(guarded()) >> requestor(sent(ALTERED)) << ... >> acceptor(stored()) << ...
    (
        play
        >> Recalled(1, KNOWN)
        << [
            "record instance_changed refused C-STORE-RQ 0124",
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            "resume requestor",
            "record association_ended failure abort 2/0",
        ]
    )
    assert complete(play) == []
    assert [memory_of(r) for r in play.records if memory_of(r)] == []


# -- what is only told -------------------------------------------------------------------------------------


def test_alert_lets_pass_and_tells():
    play = scanner(guarded(Tamper.ALERT)) >> requestor(sent(ALTERED)) << ... >> Recalled(1, KNOWN) << ...
    play = play >> acceptor(stored()) << ...
    assert complete(play) == [ALTERED]
    assert alarm(play) == (Outcome.WOULD_REFUSE, RULE, None, None)
    assert play.records[-1].detail["content"] == "changed"
    assert memory_of(play.records[-1]) is None, "an alert must not make the altered version the known one"


def test_monitor_mode_only_tells():
    play = scanner(guarded(mode=Mode.MONITOR)) >> requestor(sent(ALTERED)) << ... >> Recalled(1, KNOWN) << ...
    assert complete(play) == [ALTERED]
    assert alarm(play)[0] is Outcome.WOULD_REFUSE


def test_a_peer_with_corrections_replaces_what_is_known():
    play = scanner(guarded(peer=replace(SCANNER, corrections=True))) >> requestor(sent(ALTERED)) << ...
    play = play >> Recalled(1, KNOWN) << ... >> acceptor(stored()) << ...
    assert complete(play) == [ALTERED]
    assert alarm(play)[:2] == (Outcome.SUCCESS, "peer[ct-1].corrections")
    memory = memory_of(play.records[-1])
    assert memory is not None
    assert memory.replaces
    assert memory.version.sha256 == sha256(ALTERED).hexdigest()


# -- when nobody can say what is known ---------------------------------------------------------------------


def test_without_an_answer_it_is_refused():
    play = scanner(guarded()) >> requestor(sent()) << ... >> NotRecalled(1, "disk I/O error", refuse=True)
    play << [
        "record operation_refused refused C-STORE-RQ A700",
        "say to requestor: C-STORE-RSP 1 on 3 A700",
        "say to requestor: A-ABORT 2/0",
        "say to acceptor: A-ABORT 2/0",
        "resume requestor",
        "record association_ended failure abort 2/0",
    ]
    assert complete(play) == []
    assert play.records[-2].rule == "audit.on_failure"


def test_or_passes_where_the_administrator_wrote_continue():
    play = scanner(guarded()) >> requestor(sent()) << ... >> NotRecalled(1, "disk I/O error", refuse=False) << ...
    play = play >> acceptor(stored()) << ...
    assert complete(play) == [ORIGINAL]
    assert play.records[-1].detail["content"] == "unknown"


def test_alert_never_refuses():
    play = scanner(guarded(Tamper.ALERT)) >> requestor(sent()) << ... >> NotRecalled(1, "locked", refuse=True) << ...
    assert complete(play) == [ORIGINAL]


# -- who is not inspected ----------------------------------------------------------------------------------


def test_off_asks_nobody_and_digests_nothing():
    play = scanner(guarded(Tamper.OFF)) >> requestor(sent(ALTERED)) << ... >> acceptor(stored()) << ...
    assert complete(play) == [ALTERED]
    assert "sha256" not in play.records[-1].detail


def test_what_a_get_brings_is_not_inspected():
    play = workstation(guarded()) >> requestor(message(ON_GET, get(4), b"keys")) << ...
    (
        play
        >> acceptor(message(ON_STORE, store(1), b"image"))
        << [
            "relay to requestor: C-STORE-RQ 1 on 3",
            "relay to requestor: 5 bytes of data on 3, last",
        ]
    )


# -- two at once -------------------------------------------------------------------------------------------


def two(policy: Policy | None = None) -> tuple[Playbook, Playbook, UnderWay]:
    """Two associations of one gate."""
    under_way = UnderWay()
    return (
        scanner(policy or guarded(), under_way=under_way),
        scanner(policy or guarded(), under_way=under_way),
        under_way,
    )


def test_of_two_first_stores_the_second_does_not_slip_through():
    one, other, under_way = two()
    one = one >> requestor(sent()) << ... >> Recalled(1, None) << ...
    other = other >> requestor(sent(ALTERED)) << ... >> Recalled(1, None) << ...
    assert complete(one) == [ORIGINAL]
    assert complete(other) == []
    one = one >> acceptor(stored()) << ...
    under_way.settled([INSTANCE])
    assert under_way.instances == 0


def test_an_answer_from_before_the_other_was_stored_is_not_believed():
    """The second asks, then the first completes, is answered and is on disk; only then the second completes."""
    one, other, under_way = two()
    other = other >> requestor(sent(ALTERED)[:800]) << ... >> Recalled(1, None) << []
    one = one >> requestor(sent()) << ... >> Recalled(1, None) << ... >> acceptor(stored()) << ...
    under_way.settled([INSTANCE])
    other = other >> requestor(other.session.take_carry(REQUESTOR) + sent(ALTERED)[800:]) << ...
    assert complete(other) == []
    assert under_way.instances == 0


def test_until_it_is_on_disk_it_is_remembered():
    one, other, under_way = two()
    one = one >> requestor(sent()) << ... >> Recalled(1, None) << ... >> acceptor(stored()) << ...
    other = other >> requestor(sent(ALTERED)) << ... >> Recalled(1, None) << ...
    assert complete(other) == []
    assert under_way.instances == 1


def test_what_the_archive_did_not_take_does_not_count():
    one, other, under_way = two()
    one = one >> requestor(sent()) << ... >> Recalled(1, None) << ...
    one = one >> acceptor(message(ON_STORE, answer(store(), 0xA700))) << ...
    other = other >> requestor(sent(ALTERED)) << ... >> Recalled(1, None) << ...
    assert complete(other) == [ALTERED]
    assert under_way.instances == 1


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_however_it_ends_nobody_is_left_under_way(steps, end):
    """Any order of answers, responses and losses: afterwards only what waits for the disk is under way."""
    under_way = UnderWay()
    play = scanner(guarded(), under_way=under_way)
    events = [
        requestor(sent()),
        requestor(sent(ALTERED, 2)),
        Recalled(1, None),
        Recalled(2, KNOWN),
        NotRecalled(1, "locked", True),
        acceptor(stored()),
        acceptor(stored(2)),
        acceptor(message(ON_STORE, answer(store(), 0xC000))),
        Reloaded(guarded(Tamper.OFF)),
        acceptor(message(ON_ECHO, echo(8))),
    ]
    for step in [0, *steps]:
        play = play >> events[step] << ...
    ends = [HungUp(REQUESTOR), HungUp(ACCEPTOR), Ordered("stopping"), requestor(Abort()), acceptor(Abort()), Overdue()]
    play = play >> ends[end % 6] << ... >> HungUp(REQUESTOR) << ... >> HungUp(ACCEPTOR) << ...
    assert play.session.finished
    under_way.settled([memory.instance for r in play.records if (memory := memory_of(r))])
    assert under_way.instances == 0


# -- any cut -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.integers(0, 12), st.booleans(), st.integers(1, 500))
@settings(max_examples=80, deadline=None)
def test_neither_the_cut_nor_the_moment_of_the_answer_changes_what_comes_of_it(cut, at, forged, fragment):
    data = ALTERED if forged else ORIGINAL
    rest = message(ON_STORE, store(), data, fragment=fragment) + message(ON_ECHO, echo(2))
    play, sizes = scanner(guarded()), [*cut, 100_000]
    for number, size in enumerate(sizes):
        if number == min(at, len(sizes) - 1) and number:
            play = play >> Recalled(1, KNOWN) << ...
        play = play >> requestor(play.session.take_carry(REQUESTOR) + rest[:size]) << ...
        rest = rest[size:]
    play = play >> Recalled(1, KNOWN) << ...
    assert rest == b""
    assert complete(play) == ([] if forged else [ORIGINAL])
    parts, _ = pdus(bytes(play.sent[ACCEPTOR]))
    assert forged is not any(isinstance(part, Pdv) and part.command and part.context_id == ON_ECHO for part in parts)


def test_in_a_collision_of_releases_the_held_end_still_arrives():
    play = scanner(guarded()) >> requestor(sent() + bytes(requestor(ReleaseReply()).data)) << ...
    play = play >> acceptor(ReleaseRequest()) << ["say to requestor: A-RELEASE-RQ"]
    play = play >> Recalled(1, None) << ...
    assert complete(play) == [ORIGINAL]
    assert play.records[-1].event is About.ASSOCIATION_ENDED
