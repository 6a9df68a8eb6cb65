"""Every transcript is told to its end."""

import pytest

from playbook import Playbook


@pytest.fixture(autouse=True)
def nothing_is_left_unstated():
    """A playbook whose last output was not stated has not tested anything."""
    Playbook.untold.clear()
    yield
    assert not Playbook.untold, "the output of the last event was not stated"
