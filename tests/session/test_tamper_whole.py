"""`tamper_hold = "object"`: the archive hears nothing of a C-STORE before its content has been judged."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.audit.instance import Version
from dicomgate.audit.record import Event as About
from dicomgate.audit.record import Outcome
from dicomgate.policy.model import Tamper, TamperHold
from dicomgate.policy.policy import Policy
from dicomgate.session.events import (
    Event,
    NotKept,
    NotRecalled,
    Pause,
    Recall,
    Recalled,
    Resume,
    Return,
    Returned,
)
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import ReleaseRequest
from playbook import ACCEPTOR, REQUESTOR, Playbook, acceptor, message, requestor
from session.cast import ON_ECHO, echo, scanner
from session.test_tamper import ALTERED, INSTANCE, KNOWN, ORIGINAL, OTHER, complete, guarded, image, sent, stored

ENDED = "record association_ended failure abort 2/0"


def whole(tamper: Tamper = Tamper.REFUSE) -> Policy:
    policy = guarded(tamper)
    archives = tuple(replace(archive, tamper_hold=TamperHold.OBJECT) for archive in policy.rules.archives)
    return Policy(replace(policy.rules, archives=archives))


def back(play: Playbook, size: int = 1 << 20) -> Playbook:
    """What was kept up to now, in pieces."""
    left = len(play.kept)
    while left:
        piece = bytes(play.kept[: min(size, left)])
        del play.kept[: len(piece)]
        left -= len(piece)
        play = play >> Returned(piece, not left) << ...
    return play


def test_the_archive_hears_of_it_only_when_it_was_found_good() -> None:
    play = scanner(whole()) >> requestor(sent())
    play << ["recall 1: 1.2.3.4 in main", f"keep {len(play.kept)} bytes", "pause requestor"]
    play = play >> Recalled(1, None) << ["return"]
    assert b"C-STORE" not in play.sent[ACCEPTOR]
    kept = bytes(play.kept)
    (
        play
        >> Returned(kept[:700], False)
        << [
            "relay to acceptor: C-STORE-RQ 1 on 3",
            "relay to acceptor: 400 bytes of data on 3",
            "relay to acceptor: (part of a PDU)",
            "return",
        ]
    )
    play = play >> Returned(kept[700:], True) << ...
    assert complete(play) == [ORIGINAL]
    (
        play
        >> acceptor(stored())
        << ["record operation success C-STORE-RQ 0000", "relay to requestor: C-STORE-RSP 1 on 3 0000"]
    )
    assert play.records[-1].detail["content"] == "first"


def test_other_content_is_refused_and_the_association_goes_on() -> None:
    read = sent(ALTERED) + message(ON_ECHO, echo(2))
    play = scanner(whole()) >> requestor(read) << ... >> Recalled(1, KNOWN)
    play << [
        "record instance_changed refused C-STORE-RQ 0124",
        "say to requestor: C-STORE-RSP 1 on 3 0124",
        "discard",
        "relay to acceptor: C-ECHO-RQ 2 on 1",
        "resume requestor",
    ]
    assert complete(play) == []
    assert INSTANCE not in play.session._under_way._stores


def test_the_answer_may_come_first() -> None:
    begun, end = sent()[:-20], sent()[-20:]
    play = scanner(whole()) >> requestor(begun) << ... >> Recalled(1, None) << []
    play = play >> requestor(play.session.take_carry(REQUESTOR) + end)
    play << [f"keep {len(end)} bytes", "return", "pause requestor"]
    assert complete(back(play)) == [ORIGINAL]


def test_nothing_overtakes_it_on_the_way_out() -> None:
    read = sent() + sent(image(OTHER), 2, OTHER) + bytes(requestor(ReleaseRequest()).data)
    play = scanner(whole()) >> requestor(read) << ... >> Recalled(1, None) << ["return"]
    play = back(play, 300)
    assert complete(play) == [ORIGINAL]
    play = back(play >> Recalled(2, None) << ["return"], 300)
    assert complete(play) == [ORIGINAL, image(OTHER)]
    assert play.sent[ACCEPTOR].endswith(encode(ReleaseRequest()))


def test_an_object_that_is_too_long_is_refused_when_it_has_come() -> None:
    play = scanner(whole(), limits=SessionLimits(held_object=500)) >> requestor(sent()[:800])
    play << [
        "recall 1: 1.2.3.4 in main",
        "record operation_refused refused C-STORE-RQ A700",
        "discard",
    ]
    rest = play.session.take_carry(REQUESTOR) + sent()[800:] + message(ON_ECHO, echo(2))
    play >> requestor(rest) << ["say to requestor: C-STORE-RSP 1 on 3 A700", "relay to acceptor: C-ECHO-RQ 2 on 1"]
    assert play.records[-1].rule == "limits.held_object"
    play >> Recalled(1, None) << []


REFUSED = ["record operation_refused refused C-STORE-RQ A700", "say to requestor: C-STORE-RSP 1 on 3 A700", "discard"]


def test_a_disk_that_fails_while_it_comes() -> None:
    play = scanner(whole()) >> requestor(sent()[:800]) << ... >> NotKept("No space left on device")
    play << [REFUSED[0], "discard"]
    assert play.records[-1].rule == "archive[main].tamper_hold"
    play = play >> requestor(play.session.take_carry(REQUESTOR) + sent()[800:]) << [REFUSED[1]]
    assert complete(play) == []


def test_a_disk_that_fails_before_it_is_judged() -> None:
    play = scanner(whole()) >> requestor(sent() + message(ON_ECHO, echo(2))) << ... >> NotKept("I/O error")
    play << [*REFUSED, "relay to acceptor: C-ECHO-RQ 2 on 1", "resume requestor"]
    play >> Recalled(1, None) << []


def test_a_disk_that_fails_before_the_archive_has_any_of_it() -> None:
    play = scanner(whole()) >> requestor(sent()) << ... >> Recalled(1, None) << ["return"]
    play >> NotKept("I/O error") << [*REFUSED, "resume requestor"]
    assert INSTANCE not in play.session._under_way._stores
    play >> Returned(bytes(play.kept), True) << []


def test_a_disk_that_fails_amid_the_way_out_ends_both() -> None:
    play = scanner(whole()) >> requestor(sent()) << ... >> Recalled(1, None) << ["return"]
    play = play >> Returned(bytes(play.kept[:700]), False) << ...
    (
        play
        >> NotKept("I/O error")
        << [
            REFUSED[0],
            REFUSED[1],
            "say to requestor: A-ABORT 2/0",
            "reset acceptor",
            "resume requestor",
            ENDED,
        ]
    )
    assert complete(play) == []


def test_an_answer_to_what_the_archive_has_not_got_is_a_lie() -> None:
    play = scanner(whole()) >> requestor(sent()) << ... >> acceptor(stored())
    play << [
        "say to acceptor: A-ABORT 2/5",
        "say to requestor: A-ABORT 2/0",
        "resume requestor",
        "record operation failure C-STORE-RQ",
        "record association_ended failure abort 2/5",
    ]
    assert b"C-STORE-RSP" not in play.sent[REQUESTOR]


def test_without_an_answer_it_is_refused_and_the_association_goes_on() -> None:
    play = scanner(whole()) >> requestor(sent()) << ... >> NotRecalled(1, "locked", refuse=True)
    play << [*REFUSED, "resume requestor"]


def test_alert_streams() -> None:
    play = scanner(whole(Tamper.ALERT)) >> requestor(sent()) << ...
    assert not play.kept


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_the_cut_the_archive_gets_what_was_good(seed: int) -> None:
    """Objects, good and altered, in reads and pieces of any size; answers come at any time."""
    chance = Random(seed)
    contents = [chance.choice([ORIGINAL, ALTERED, image(OTHER)]) for _ in range(chance.randint(1, 4))]
    uids = [OTHER if content == image(OTHER) else INSTANCE.sop_instance_uid for content in contents]
    stream = b"".join(sent(contents[n], n + 1, uids[n]) for n in range(len(contents)))
    play = scanner(whole())
    driver = Driver(play)
    position = 0
    while True:
        if driver.asked and (driver.paused or chance.random() < 0.3):
            driver.take(Recalled(*driver.asked.pop(0)))
        elif driver.wanted:
            driver.give_back(chance.randint(1, 900))
        elif position < len(stream) and not driver.paused:
            size = chance.randint(1, 2500)
            read = play.session.take_carry(REQUESTOR) + stream[position : position + size]
            position += size
            driver.take(requestor(read))
        else:
            break
    assert complete(play) == [content for content in contents if content != ALTERED]
    refused = [record for record in play.records if record.event is About.INSTANCE_CHANGED]
    assert [record.outcome for record in refused] == [Outcome.REFUSED] * contents.count(ALTERED)
    assert not play.kept
    assert not driver.paused


class Driver:
    """Carries out what the session orders, as the gate does."""

    def __init__(self, play: Playbook) -> None:
        self.play = play
        self.asked: list[tuple[int, Version | None]] = []
        self.wanted = self.paused = False

    def take(self, event: Event) -> None:
        self.play = self.play.take(self.play.session.handle(event, self.play.now)) << ...
        for command in self.play.commands:
            match command:
                case Return():
                    self.wanted = True
                case Recall(number, instance):
                    self.asked.append((number, KNOWN if instance == INSTANCE else None))
                case Pause():
                    self.paused = True
                case Resume():
                    self.paused = False

    def give_back(self, size: int) -> None:
        self.wanted = False
        piece = bytes(self.play.kept[:size])
        del self.play.kept[:size]
        self.take(Returned(piece, not self.play.kept))
