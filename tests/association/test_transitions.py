"""The state table against PS3.8 table 9-10, written out here a second time, cell by cell."""

import importlib.util
import re
from pathlib import Path

import pytest

from dicomgate.association.transitions import (
    COLLISION,
    RECEIVED,
    TABLE,
    Action,
    Impossible,
    Occurrence,
    Role,
    State,
    Transition,
    after,
)
from dicomgate.wire.codes import PduType

# PS3.8 table 9-10: a row for each event, a column for each state Sta1 to Sta13; "." is a blank cell.
# An action is followed by the state it leads to; AR-8 leads to Sta9 or Sta10, as the role says.
PS3_8_TABLE_9_10 = """
Evt1   AE-1/4 .      .      .      .       .      .       .       .       .        .       .       .
Evt2   .      .      .      AE-2/5 .       .      .       .       .       .        .       .       .
Evt3   .      AA-1/13 AA-8/13 .    AE-3/6  AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-6/13
Evt4   .      AA-1/13 AA-8/13 .    AE-4/1  AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-6/13
Evt5   AE-5/2 .      .      .      .       .      .       .       .       .        .       .       .
Evt6   .      AE-6/3 AA-8/13 .     AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-7/13
Evt7   .      .      AE-7/6 .      .       .      .       .       .       .        .       .       .
Evt8   .      .      AE-8/13 .     .       .      .       .       .       .        .       .       .
Evt9   .      .      .      .      .       DT-1/6 .       AR-7/8  .       .        .       .       .
Evt10  .      AA-1/13 AA-8/13 .    AA-8/13 DT-2/6 AR-6/7  AA-8/13 AA-8/13 AA-8/13  AA-8/13 AA-8/13 AA-6/13
Evt11  .      .      .      .      .       AR-1/7 .       .       .       .        .       .       .
Evt12  .      AA-1/13 AA-8/13 .    AA-8/13 AR-2/8 AR-8/?  AA-8/13 AA-8/13 AA-8/13  AA-8/13 AA-8/13 AA-6/13
Evt13  .      AA-1/13 AA-8/13 .    AA-8/13 AA-8/13 AR-3/1 AA-8/13 AA-8/13 AR-10/12 AR-3/1  AA-8/13 AA-6/13
Evt14  .      .      .      .      .       .      .       AR-4/13 AR-9/11 .        .       AR-4/13 .
Evt15  .      .      AA-1/13 AA-2/1 AA-1/13 AA-1/13 AA-1/13 AA-1/13 AA-1/13 AA-1/13 AA-1/13 AA-1/13 .
Evt16  .      AA-2/1 AA-3/1 .      AA-3/1  AA-3/1 AA-3/1  AA-3/1  AA-3/1  AA-3/1   AA-3/1  AA-3/1  AA-2/1
Evt17  .      AA-5/1 AA-4/1 AA-4/1 AA-4/1  AA-4/1 AA-4/1  AA-4/1  AA-4/1  AA-4/1   AA-4/1  AA-4/1  AR-5/1
Evt18  .      AA-2/1 .      .      .       .      .       .       .       .        .       .       AA-2/1
Evt19  .      AA-1/13 AA-8/13 .    AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-8/13 AA-7/13
"""
ROWS = {row.split()[0]: row.split()[1:] for row in PS3_8_TABLE_9_10.strip().splitlines()}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("occurrence", Occurrence)
@pytest.mark.parametrize("state", State)
def test_every_cell_is_that_of_the_standard(state, occurrence, role):
    cell = ROWS[occurrence.value][int(state.value.removeprefix("Sta")) - 1]
    if cell == ".":
        assert after(role, state, occurrence) == Impossible(state, occurrence)
        return
    action, number = cell.split("/")
    if number == "?":
        number = "9" if role is Role.REQUESTOR else "10"
    assert after(role, state, occurrence) == Transition(Action(action), State(f"Sta{number}"))


def test_the_witness_has_a_cell_for_every_event_and_state():
    assert list(ROWS) == [occurrence.value for occurrence in Occurrence]
    assert {len(row) for row in ROWS.values()} == {len(State)} == {13}


def test_every_pdu_type_has_its_event():
    assert set(RECEIVED) == set(PduType)
    assert len(set(RECEIVED.values())) == len(PduType)


def test_every_action_of_the_standard_is_used():
    used = {transition.action for transition in [*TABLE.values(), *COLLISION.values()]}
    assert used == set(Action)


# -- the drawing -------------------------------------------------------------------------------------------

DESIGN = Path(__file__).parents[2] / "docs" / "design"


def _draw() -> str:
    spec = importlib.util.spec_from_file_location("draw_states", DESIGN / "draw_states.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw()


def test_the_drawing_in_the_documentation_is_drawn_from_the_table():
    assert (DESIGN / "states.svg").read_text(encoding="utf-8") == _draw()


def test_the_drawing_shows_every_cell_of_the_table():
    shown = re.findall(r"<title>(Sta\d+) (Evt\d+) ([A-Z]+-\d+) (Sta\d+)</title>", _draw())
    cells = [(s.value, o.value, t.action.value, t.state.value) for (s, o), t in TABLE.items()]
    collision = [("Sta7", "Evt12", t.action.value, t.state.value) for t in COLLISION.values()]
    # The one cell of Sta7 that the role decides stands in TABLE as well, but is never looked up there.
    looked_up = [cell for cell in cells if cell[:2] != ("Sta7", "Evt12")]
    assert sorted(shown) == sorted(looked_up + collision)
