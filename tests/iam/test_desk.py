"""The desk: who is asked in which order; slow, dead and broken verifiers; and many claims at once."""

import os
import threading
import time
from collections import Counter as Tally

import pytest

from dicomgate.iam.lane import BEHIND
from dicomgate.iam.notices import LockedOut, VerifierBack, VerifierBroke, VerifierStuck
from dicomgate.iam.settings import DeskLimits, GuardLimits
from dicomgate.identity.claims import Claims, JsonWebToken
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from iam.claimants import Counter, Hangs, Says, claims, login, verified

NOT_MINE = Refuted(Cause.NOT_MINE, "another realm")
UNKNOWN = Refuted(Cause.UNKNOWN_USER, "nobody of this name", "alice")
WRONG = Refuted(Cause.WRONG_CREDENTIAL, "wrong passcode", "alice")
DOWN = Unavailable("the directory does not answer")
YES = verified()


def chain(*answers: Verification) -> tuple[Counter, list[Says]]:
    verifiers = [Says(answer, f"v{number}") for number, answer in enumerate(answers)]
    return Counter(*verifiers), verifiers


# -- who is asked, and what the answer is


@pytest.mark.parametrize(
    ("answers", "final", "asked"),
    [
        ([YES], YES, [1]),
        ([NOT_MINE, YES], YES, [1, 1]),
        ([UNKNOWN, YES], YES, [1, 1]),
        ([DOWN, YES], YES, [1, 1]),
        ([YES, DOWN], YES, [1, 0]),
        ([WRONG, YES], WRONG, [1, 0]),
        ([NOT_MINE, UNKNOWN], UNKNOWN, [1, 1]),
        ([UNKNOWN, NOT_MINE], UNKNOWN, [1, 1]),
        ([NOT_MINE, NOT_MINE], NOT_MINE, [1, 1]),
        ([DOWN, UNKNOWN], DOWN, [1, 1]),
        ([UNKNOWN, DOWN, NOT_MINE], DOWN, [1, 1, 1]),
        ([DOWN, WRONG], WRONG, [1, 1]),
    ],
)
def test_the_answer_of_several(answers: list[Verification], final: Verification, asked: list[int]) -> None:
    counter, verifiers = chain(*answers)
    assert counter.ask(login()) == final
    assert [len(each.asked) for each in verifiers] == asked


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.NOT_MINE, Cause.UNKNOWN_USER}))
def test_any_other_refusal_is_final(cause: Cause) -> None:
    counter, (_, second) = chain(Refuted(cause, "no"), YES)
    assert counter.ask(login()) == Refuted(cause, "no")
    assert second.asked == []


def test_only_the_named_verifiers_are_asked_in_the_order_of_the_file() -> None:
    counter, (first, second, third) = chain(UNKNOWN, UNKNOWN, YES)
    assert counter.ask(login(), "v2", "v0") == YES
    assert [len(each.asked) for each in (first, second, third)] == [1, 0, 1]


def test_those_who_transfer_go_before_those_who_log_in() -> None:
    niceness = []

    class Notes(Says):
        def verify(self, claims: Claims, now: float) -> Verification:
            niceness.append(os.getpriority(os.PRIO_PROCESS, 0))
            return super().verify(claims, now)

    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert Counter(Notes(YES)).ask(login()) == YES
    assert niceness == [min(before + BEHIND, 19)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before, "of those threads alone"


def test_a_verifier_is_not_asked_about_a_type_it_does_not_take() -> None:
    passcodes = Says(YES, "local", frozenset({IdentityType.USERNAME_AND_PASSCODE}))
    counter = Counter(passcodes)
    answer = counter.ask(claims(JsonWebToken("eyJ.e30.x")))
    assert isinstance(answer, Refuted)
    assert answer.cause is Cause.NOT_MINE
    assert passcodes.asked == []


def test_without_a_verifier_nobody_gets_in() -> None:
    assert isinstance(Counter().ask(login()), Refuted)
    assert isinstance(Counter(Says(YES)).ask(login(), "of another name"), Refuted)


def test_who_is_verified_is_amended() -> None:
    counter = Counter(Says(YES), amend=lambda found, what, now: verified("amended"))
    assert counter.ask(login()) == verified("amended")


def test_an_amendment_that_cannot_be_had_lets_nobody_in() -> None:
    assert Counter(Says(YES), amend=lambda found, what, now: DOWN).ask(login()) == DOWN


# -- verifiers that are slow, dead or broken


class SecretiveError(Exception):
    pass


@pytest.mark.parametrize("kind", [SecretiveError, KeyboardInterrupt, SystemExit, MemoryError, RecursionError])
def test_a_verifier_that_raises_is_told_and_lets_nobody_in(kind: type[BaseException]) -> None:
    def breaks(what: Claims) -> Verification:
        raise kind("open sesame")

    counter = Counter(Says(breaks), threads=1)
    for _ in range(3):  # the thread survives
        assert isinstance(counter.ask(login()), Unavailable)
    counter.until(lambda: len(counter.notices) == 3)
    (broke,) = set(counter.notices)
    assert isinstance(broke, VerifierBroke)
    assert broke.verifier == "staff"
    assert kind.__name__ in broke.what
    assert "test_desk.py" in broke.what
    assert "sesame" not in repr(broke)


@pytest.mark.parametrize("odd", [None, True, "yes", verified().principal])
def test_an_answer_that_is_none_lets_nobody_in(odd: object) -> None:
    counter = Counter(Says(lambda what: odd))  # type: ignore[arg-type,return-value]
    assert isinstance(counter.ask(login()), Unavailable)
    counter.until(lambda: bool(counter.notices))


def test_a_bug_behind_the_verifier_lets_nobody_in() -> None:
    def amend(found: Verified, what: Claims, now: float) -> Verified:
        raise SecretiveError

    counter = Counter(Says(YES), amend=amend)
    assert isinstance(counter.ask(login()), Unavailable)
    counter.until(lambda: bool(counter.notices))
    assert "SecretiveError" in repr(counter.notices)


def test_after_the_deadline_the_answer_is_unavailable_and_what_comes_later_counts_for_nothing() -> None:
    slow = Hangs(YES)
    counter = Counter(slow, threads=1, limits=DeskLimits(deadline=0.2))
    answer = counter.ask(login())
    assert answer == Unavailable("no answer within 0.2 s")
    slow.go.set()
    counter.until(lambda: VerifierBack("slow") in counter.notices)
    assert counter.ask(login()) == YES
    assert len(counter.answers) == 2


def test_a_stuck_verifier_is_told_of_once_and_takes_nobody_elses_threads() -> None:
    slow, quick = Hangs(UNKNOWN), Says(YES, "quick")
    counter = Counter(slow, quick, threads=2, limits=DeskLimits(deadline=1.0))
    token = login("of the quick one")
    for _ in range(6):
        counter.submit(login())
    assert counter.ask(token, "quick") == YES
    counter.until(lambda: len(counter.answers) == 7)
    counter.until(lambda: bool(counter.notices))
    assert counter.notices == [VerifierStuck("slow", 2)]
    assert len(slow.asked) == 2
    # From now on nobody waits for it.
    began = len(counter.answers)
    assert counter.ask(login()) == YES
    assert counter.ask(login(), "slow") == Unavailable("verifier[slow] does not answer")
    assert len(counter.answers) == began + 2
    slow.go.set()
    counter.until(lambda: VerifierBack("slow") in counter.notices)
    assert counter.ask(login(), "slow") == UNKNOWN
    assert counter.notices == [VerifierStuck("slow", 2), VerifierBack("slow")]


def test_those_who_wait_behind_a_stuck_verifier_are_asked_elsewhere() -> None:
    slow, quick = Hangs(UNKNOWN), Says(YES, "quick")
    counter = Counter(slow, quick, threads=1, limits=DeskLimits(deadline=0.6))
    counter.submit(login("first"))
    counter.until(lambda: len(slow.asked) == 1)
    time.sleep(0.3)  # so that the second one's own deadline is later
    counter.submit(login("second"))
    counter.until(lambda: len(counter.answers) == 2)
    assert [type(answer) for _, answer in counter.answers] == [Unavailable, Verified]
    slow.go.set()


# -- many at once


def test_two_hundred_at_once_each_get_their_own_answer() -> None:
    def check(what: Claims) -> Verification:
        name = what.credential.name  # type: ignore[union-attr]
        time.sleep(0.001)
        return verified(name) if int(name) % 3 else Refuted(Cause.WRONG_CREDENTIAL, "no", name)

    staff = Says(check)
    counter = Counter(staff, threads=4)
    for number in range(200):
        counter.submit(login(str(number), address=f"10.1.{number}.1"))
    counter.until(lambda: len(counter.answers) == 200)
    for what, answer in counter.answers:
        name = what.credential.name  # type: ignore[union-attr]
        if int(name) % 3:
            assert answer == verified(name)
        else:
            assert answer == Refuted(Cause.WRONG_CREDENTIAL, "no", name)
    assert len(staff.asked) == 200
    assert threading.main_thread().name not in staff.threads


def test_too_many_are_refused_at_once_and_the_others_are_answered() -> None:
    slow = Hangs(YES)
    counter = Counter(slow, threads=1, limits=DeskLimits(queue=5, deadline=20.0))
    for _ in range(8):
        counter.submit(login())
    counter.until(lambda: len(counter.answers) == 3)
    assert {answer for _, answer in counter.answers} == {Unavailable("5 claims wait already")}
    slow.go.set()
    counter.until(lambda: len(counter.answers) == 8)
    assert Tally(type(answer) for _, answer in counter.answers) == {Unavailable: 3, Verified: 5}


def test_guesses_that_come_together_get_few_more_looks_than_those_that_come_one_by_one() -> None:
    staff = Says(WRONG)
    counter = Counter(staff, threads=4, guard=GuardLimits(attempts=10, delay=0.001, longest_delay=0.002))
    for number in range(200):
        counter.submit(login("alice", f"guess {number}".encode()))
    counter.until(lambda: len(counter.answers) == 200)
    assert 10 <= len(staff.asked) <= 10 + 4
    assert counter.causes().count(Cause.LOCKED_OUT) == 200 - len(staff.asked)
    assert [type(notice) for notice in counter.notices] == [LockedOut]


def test_the_right_passcode_is_not_looked_at_during_a_lockout() -> None:
    staff = Says(lambda what: YES if what.credential.passcode == b"right" else WRONG)  # type: ignore[union-attr]
    counter = Counter(staff, guard=GuardLimits(attempts=3, delay=0.001, longest_delay=0.001))
    for _ in range(3):
        assert counter.ask(login(passcode=b"guess")) == WRONG
    answer = counter.ask(login(passcode=b"right"))
    assert isinstance(answer, Refuted)
    assert answer.cause is Cause.LOCKED_OUT
    assert len(staff.asked) == 3
    assert counter.ask(login(passcode=b"right", address="10.9.9.9")) == YES


def test_what_nobody_could_check_counts_nothing() -> None:
    counter = Counter(Says(DOWN), guard=GuardLimits(attempts=1, attempts_per_address=1, delay=0.001))
    assert [counter.ask(login()) for _ in range(5)] == [DOWN] * 5


# -- time


def test_a_refusal_waits_and_an_admission_does_not() -> None:
    staff = Says(lambda what: YES if what.credential.passcode == b"right" else WRONG)  # type: ignore[union-attr]
    counter = Counter(staff, guard=GuardLimits(delay=0.3, longest_delay=4.0), limits=DeskLimits(deadline=20.0))
    counter.submit(login(passcode=b"wrong", address="10.2.2.2"))
    counter.until(lambda: bool(staff.asked))
    counter.submit(login(passcode=b"right"))
    counter.until(lambda: len(counter.answers) == 2)
    assert [type(answer) for _, answer in counter.answers] == [Verified, Refuted]


def test_a_refusal_never_waits_beyond_half_of_the_deadline() -> None:
    counter = Counter(Says(WRONG), guard=GuardLimits(delay=3600, longest_delay=3600), limits=DeskLimits(deadline=0.4))
    assert counter.ask(login()) == WRONG  # not Unavailable, and not in an hour


def test_refusals_that_wait_take_no_place_in_the_queue_and_are_bounded_themselves() -> None:
    counter = Counter(
        Says(WRONG), guard=GuardLimits(delay=3600, longest_delay=3600), limits=DeskLimits(queue=10, deadline=7200.0)
    )
    for number in range(30):
        counter.submit(login(address=f"10.1.{number}.1"))
        counter.until(lambda: counter.desk._open == set())
    counter.until(lambda: len(counter.answers) == 20)
    counter.desk.close()
    counter.until(lambda: len(counter.answers) == 30)


# -- change and end


def test_after_a_change_the_new_verifiers_are_asked_and_the_old_ones_finish() -> None:
    old, new = Hangs(YES, "old"), Says(verified("of the new"), "new")
    counter = Counter(old, threads=1)
    counter.submit(login())
    counter.submit(login())
    counter.until(lambda: len(old.asked) == 1)
    counter.desk.change([(new, 1)], lambda found, what, now: found, DeskLimits())
    assert counter.ask(login()) == verified("of the new")
    assert old.closed == 0
    old.go.set()
    counter.until(lambda: len(counter.answers) == 3)
    assert [answer for _, answer in counter.answers[1:]] == [YES, YES]
    counter.until(lambda: old.closed == 1)


def test_at_the_end_everybody_is_answered_and_verifiers_are_closed() -> None:
    staff, slow = Says(WRONG), Hangs(YES)
    counter = Counter(staff, slow, guard=GuardLimits(delay=3600), limits=DeskLimits(deadline=7200.0))
    counter.submit(login(), "staff")
    counter.submit(login("other"), "slow")
    counter.until(lambda: bool(staff.asked and slow.asked))
    counter.desk.close(timeout=0.1)
    counter.until(lambda: len(counter.answers) == 2)
    assert {type(answer) for _, answer in counter.answers} == {Refuted, Unavailable}
    assert counter.ask(login()) == Unavailable("the gate ends")
    assert staff.closed == 1
    slow.go.set()
    counter.until(lambda: slow.closed == 1)
    assert len(counter.answers) == 3


def test_a_closed_event_loop_is_no_error() -> None:
    def closed(call: object) -> None:
        raise RuntimeError("Event loop is closed")

    counter = Counter(Says(YES))
    counter.desk._call_soon = closed
    counter.submit(login())
    counter.desk.close()
    assert counter.answers == []


def test_a_verifier_that_cannot_close_is_told() -> None:
    class Clings(Says):
        def close(self) -> None:
            raise OSError("secret")

    counter = Counter(Clings(YES))
    counter.desk.close()
    counter.until(lambda: bool(counter.notices))
    assert "OSError" in repr(counter.notices)


def test_no_passcode_is_held_after_the_answer() -> None:
    held: list[object] = []

    def keep(what: Claims) -> Verification:
        held.append(counter.desk)
        return WRONG

    counter = Counter(Says(keep), guard=GuardLimits(delay=3600, longest_delay=3600), limits=DeskLimits(deadline=7200))
    counter.submit(login(passcode=b"open sesame"))
    counter.until(lambda: counter.desk._open == set() and bool(held))
    waiting = [call for _, _, call in counter.desk._timer._calls]
    assert waiting
    assert not any(getattr(call.args[0], "claims", None) for call in waiting)  # type: ignore[attr-defined]
    counter.desk.close()
