"""What an operation is about stands in its record, and of the patient a pseudonym only."""

from __future__ import annotations

import pytest

from dicomgate.audit.patient import Concealed, PatientId
from dicomgate.audit.record import Event, Record
from dicomgate.session.events import HungUp, Recalled
from playbook import REQUESTOR, acceptor, message, requestor
from session.cast import (
    EXPLICIT,
    ON_FIND,
    ON_GET,
    ON_MOVE,
    ON_STORE,
    answer,
    find,
    get,
    move,
    scanner,
    store,
    watchful,
    workstation,
)
from session.test_data_set import IMAGE, Element, encoded, text

JANE = Concealed("51c77232:jane", "sealed")
DATA = encoded(IMAGE, EXPLICIT)
PENDING = 0xFF00


class Conceals:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[PatientId] = []

    def __call__(self, patient: PatientId) -> Concealed:
        self.asked.append(patient)
        return JANE if patient == PatientId("4711", "NORTH") else Concealed("other", None)


def about(record: Record) -> tuple[str | None, ...]:
    assert record.event is Event.OPERATION
    return record.study_instance_uid, record.series_instance_uid, record.patient, record.sealed_patient


OF_THE_IMAGE = ("1.2.3", "1.2.3.1", "51c77232:jane", "sealed")


@pytest.mark.parametrize("fragment", [2, 50, 5000])
def test_a_store(fragment: int) -> None:
    conceals = Conceals()
    play = scanner(conceal=conceals)
    for number in (1, 2):
        play = play >> requestor(message(ON_STORE, store(number), DATA, fragment=fragment)) << ...
        play = play >> acceptor(message(ON_STORE, answer(store(number)))) << ...
    assert [about(record) for record in play.records[-2:]] == [OF_THE_IMAGE] * 2
    assert len(conceals.asked) == 1, "a series is of one patient"
    assert "4711" not in repr(play.records)


def test_each_patient_for_itself() -> None:
    play = scanner(conceal=Conceals())
    for number, patient in enumerate(("4711", "0815", "4711"), start=1):
        of_them = [text((0x10, 0x20), patient) if each.tag == (0x10, 0x20) else each for each in IMAGE]
        play = play >> requestor(message(ON_STORE, store(number), encoded(of_them, EXPLICIT))) << ...
        play = play >> acceptor(message(ON_STORE, answer(store(number)))) << ...
    assert [record.patient for record in play.records[-3:]] == ["51c77232:jane", "other", "51c77232:jane"]


def test_nobody_who_conceals_no_patient() -> None:
    play = scanner() >> requestor(message(ON_STORE, store(), DATA)) << ...
    play = play >> acceptor(message(ON_STORE, answer(store()))) << ...
    assert about(play.records[-1]) == ("1.2.3", "1.2.3.1", None, None)


def test_a_store_that_never_ends_is_known_by_its_head() -> None:
    play = scanner(conceal=Conceals()) >> requestor(message(ON_STORE, store(), DATA)[:900]) << ...
    play = play >> HungUp(REQUESTOR) << ...
    assert about(play.records[-2]) == OF_THE_IMAGE


def test_noise_is_passed_on_and_nothing_is_known_of_it() -> None:
    play = scanner(conceal=Conceals()) >> requestor(message(ON_STORE, store(), b"no data set" * 50)) << ...
    play = play >> acceptor(message(ON_STORE, answer(store()))) << ...
    assert about(play.records[-1]) == (None, None, None, None)


IDENTIFIER: list[Element] = [
    text((8, 0x52), "STUDY", b"CS"),
    text((0x10, 0x20), "4711"),
    text((0x10, 0x21), "NORTH"),
    text((0x20, 0xD), "1.2.3", b"UI"),
]
MATCH: list[Element] = [text((0x10, 0x20), "SOMEBODY ELSE"), text((0x20, 0xD), "9.9.9", b"UI")]


def test_a_query_by_its_keys_and_not_by_what_was_found() -> None:
    conceals = Conceals()
    play = workstation(conceal=conceals) >> requestor(message(ON_FIND, find(), encoded(IDENTIFIER, EXPLICIT))) << ...
    found = message(ON_FIND, answer(find(), PENDING, data=True), encoded(MATCH, EXPLICIT))
    play = play >> acceptor(found, message(ON_FIND, answer(find()))) << ...
    record = play.records[-1]
    assert about(record) == ("1.2.3", None, "51c77232:jane", "sealed")
    assert record.detail["query_level"] == "STUDY"
    assert len(conceals.asked) == 1


def test_a_query_that_is_answered_before_its_end() -> None:
    """A hostile archive: what it sends must not be read as the end of the identifier."""
    asked = message(ON_FIND, find(), encoded(IDENTIFIER, EXPLICIT), fragment=20)
    play = workstation(conceal=Conceals()) >> requestor(asked[:-40]) << ...
    found = message(ON_FIND, answer(find(), PENDING, data=True), encoded(MATCH, EXPLICIT))
    play = play >> acceptor(found) << ... >> requestor(asked[-40:]) << ...
    play = play >> acceptor(message(ON_FIND, answer(find()))) << ...
    assert about(play.records[-1]) == ("1.2.3", None, "51c77232:jane", "sealed")


def test_retrieves_and_what_a_get_brings() -> None:
    play = workstation(conceal=Conceals())
    play = play >> requestor(message(ON_MOVE, move("WS1"), encoded(IDENTIFIER, EXPLICIT))) << ...
    play = play >> acceptor(message(ON_MOVE, answer(move("WS1")))) << ...
    assert about(play.records[-1]) == ("1.2.3", None, "51c77232:jane", "sealed")
    play = play >> requestor(message(ON_GET, get(2), encoded(IDENTIFIER, EXPLICIT))) << ...
    play = play >> acceptor(message(ON_STORE, store(3), DATA)) << ...
    play = play >> requestor(message(ON_STORE, answer(store(3)))) << ...
    assert about(play.records[-1]) == OF_THE_IMAGE
    assert play.records[-1].detail["sender"] == "acceptor"


def test_with_the_tamper_alarm_one_reading_serves_both() -> None:
    play = scanner(watchful(), conceal=Conceals()) >> requestor(message(ON_STORE, store(), DATA)) << ...
    play = play >> Recalled(1, None) << ... >> acceptor(message(ON_STORE, answer(store()))) << ...
    record = play.records[-1]
    assert about(record) == OF_THE_IMAGE
    assert record.detail["content"] == "first"
