"""Rows and records: nothing is lost on the way, and nothing that comes from outside can stop it."""

import math

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.store.schema import METADATA, RECORDS, REVISION, record_of, rescued, row_of

FULL = Record(
    time=1763805000.125,
    event=Event.OPERATION_REFUSED,
    outcome=Outcome.REFUSED,
    association="a1",
    refusal_id="K7M2QX",
    reason="verb move is not in may",
    rule="peer ct-1",
    listener="inside",
    address="2001:db8::1",
    port=49152,
    calling_ae_title="CT1",
    called_ae_title="ARCHIVE",
    peer="ct-1",
    archive="main",
    user="mueller",
    assurance="user",
    verb="move",
    command="C-MOVE-RQ",
    message_id=7,
    sop_class_uid="1.2.840.10008.5.1.4.1.2.2.2",
    sop_instance_uid="1.2.3",
    study_instance_uid="1.2",
    series_instance_uid="1.2.1",
    patient="51c77232:9f86d081884c7d659a2feaa0c55ad015",
    sealed_patient="c2VhbGVk",
    move_destination="WS1",
    bytes=2**40,
    status="0124",
    duration=0.25,
    detail={"contexts": [1, 3], "ünï": None},
)


def test_a_column_for_each_field_in_the_same_order() -> None:
    assert tuple(column.name for column in RECORDS.columns) == ("sequence", *FIELDS, "salt", "leaf")


def test_the_migrations_make_what_the_schema_says(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_full_and_empty_records_come_back_equal() -> None:
    assert None not in row_of(FULL)
    assert record_of(row_of(FULL)) == FULL
    bare = Record(0.0, Event.GATE_STARTED, Outcome.SUCCESS)
    assert record_of(row_of(bare)) == bare


def test_detail_that_json_cannot_hold_names_the_type() -> None:
    record = Record(0.0, Event.OPERATION, Outcome.SUCCESS, detail={"raw": b"secret", "kept": 1})
    assert record_of(row_of(record)).detail == {"raw": "<bytes>", "kept": 1}


ANYTHING = st.text(st.characters(exclude_categories=())) | st.integers() | st.floats() | st.binary() | st.none()


@given(st.lists(ANYTHING, min_size=len(FIELDS), max_size=len(FIELDS)))
def test_a_rescued_row_holds_only_what_sqlite_takes(values: list[object]) -> None:
    row = rescued(tuple(values))  # type: ignore[arg-type]
    assert len(row) == len(FIELDS)
    assert row[0] is not None
    for value in row:
        match value:
            case str():
                value.encode("utf-8")
            case int():
                assert -(2**63) <= value < 2**63
            case float():
                assert not math.isnan(value)
            case _:
                assert value is None


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_a_rescue_leaves_sound_text_alone(text: str) -> None:
    row = row_of(Record(1.5, Event.OPERATION, Outcome.SUCCESS, reason=text))
    assert rescued(row) == row


@pytest.mark.parametrize("position", [FIELDS.index("event"), FIELDS.index("outcome"), FIELDS.index("detail")])
def test_a_row_of_another_hand_is_refused(position: int) -> None:
    row = list(row_of(FULL))
    row[position] = "{never written"
    with pytest.raises(ValueError, match=r"expected a row|Expecting"):
        record_of(row)


def test_the_revision_of_the_code_is_the_newest_script() -> None:
    config = Config()
    config.set_main_option("script_location", "dicomgate.store:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_equal_values_of_other_types_keep_their_own_json() -> None:
    texts = [row_of(Record(0.0, Event.OPERATION, Outcome.SUCCESS, detail={"x": x}))[-1] for x in (1, True, 1.0)]
    assert texts == ['{"x":1}', '{"x":true}', '{"x":1.0}']
