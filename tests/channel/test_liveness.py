"""A tunnel is believed as long as the other end shows that it is there. Time is an argument."""

from __future__ import annotations

from dicomgate.channel.liveness import Liveness, Look

QUIET = Look(None, received=5, waiting=True)


def test_nothing_is_up_before_it_was_seen() -> None:
    assert Liveness(3, 5, 0.0).state.up is False


def test_silence_ends_it_and_a_sign_of_life_brings_it_back() -> None:
    liveness = Liveness(3, 5, 0.0)
    assert liveness.see(QUIET, 0).up
    assert liveness.see(QUIET, 2.9).up
    down = liveness.see(QUIET, 3)
    assert (down.up, down.why, down.since) == (False, "the other end has fallen silent", 3)
    assert liveness.see(QUIET, 50).since == 3
    assert liveness.see(Look(None, received=6, waiting=True), 51).up


def test_who_is_not_due_to_speak_may_be_silent() -> None:
    liveness = Liveness(3, 5, 0.0)
    idle = Look(None, received=5)
    assert liveness.see(idle, 0).up
    assert liveness.see(idle, 1000).up
    assert liveness.see(QUIET, 1001).up  # a question was just asked
    assert not liveness.see(QUIET, 1004).up


def test_what_is_wrong_by_its_own_account_is_down_at_once() -> None:
    liveness = Liveness(3, 5, 0.0)
    liveness.see(QUIET, 0)
    assert liveness.see(Look("there is no IKE SA"), 0.5).why == "there is no IKE SA"


def test_a_look_may_fail_by_chance_but_not_for_long() -> None:
    liveness = Liveness(3, 5, 0.0)
    liveness.see(Look(None), 0)
    assert liveness.cannot_see("no answer", 4.9).up
    assert not liveness.cannot_see("no answer", 5).up
    assert not liveness.cannot_see("no answer", 5.1).up
    assert liveness.see(Look(None), 6).up
