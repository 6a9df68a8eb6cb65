"""The Playbook has teeth: what differs, and what was not stated, fails."""

import pytest

from dicomgate.session.events import HungUp, Recorded
from dicomgate.session.limits import SessionLimits
from playbook import REQUESTOR, Overdue, Playbook, requestor
from session.cast import hospital, request


def test_a_difference_is_shown_line_by_line():
    play = Playbook(hospital()) >> requestor(request("CT9"))
    with pytest.raises(AssertionError) as failure:
        play << ["record association_requested success", "connect to main"]
    shown = [line.strip() for line in str(failure.value).splitlines()]
    assert "- connect to main" in shown
    assert "+ say to requestor: A-ASSOCIATE-RJ 1/1/3" in shown
    assert "record association_requested success" in shown


def test_output_that_was_not_stated_stops_the_next_event():
    play = Playbook(hospital()) >> requestor(request())
    with pytest.raises(AssertionError, match="not stated"):
        play >> Recorded(True)
    assert play << ...


def test_output_that_was_not_stated_at_the_end_is_remembered():
    play = Playbook(hospital()) >> HungUp(REQUESTOR)
    assert Playbook.untold == [play]
    assert play << ["close requestor", "finish"]
    assert Playbook.untold == []


def test_silence_has_to_be_silence():
    with pytest.raises(AssertionError):
        Playbook(hospital()) >> HungUp(REQUESTOR) << []


def test_overdue_moves_the_clock_to_the_deadline():
    play = Playbook(hospital(), limits=SessionLimits(first_byte=7))
    began = play.now
    assert play >> Overdue() << ...
    assert play.now == began + 7
