"""Patients are concealed with one key, and revealed with no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.patient import PatientId
from dicomgate.audit.pseudonym import Identifier, PseudonymKey
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.concealment import Concealment

KEY, OTHER = PseudonymKey(bytes(range(32))), PseudonymKey(bytes(32))
JANE, JOHN = PatientId("4711", "NORTH"), PatientId("0815")


def record(pseudonym: str | None, sealed: str | None) -> Record:
    return Record(0.0, Event.OPERATION, Outcome.SUCCESS, patient=pseudonym, sealed_patient=sealed)


@given(st.builds(PatientId, st.text(max_size=256), st.text(max_size=256)))
def test_what_is_sealed_comes_back(patient: PatientId) -> None:
    here = Concealment(KEY, sealing=True)
    assert here.reveal(record(*here.conceal(patient))) == patient


def test_the_pseudonym_is_that_of_the_key() -> None:
    assert Concealment(KEY, sealing=False).conceal(JANE) == (
        KEY.pseudonym(Identifier.PATIENT_ID, "4711", "NORTH"),
        None,
    )


def test_nothing_of_it_can_be_read_and_lengths_tell_nothing() -> None:
    here = Concealment(KEY, sealing=True)
    jane, john = here.conceal(JANE), here.conceal(JOHN)
    assert jane.sealed
    assert john.sealed
    assert jane.sealed != john.sealed
    assert len(jane.sealed) == len(john.sealed)
    assert "4711" not in repr((JANE, jane, here))
    assert here.conceal(JANE) == jane, "the same patient twice is one entry for all that remembers"


def test_without_the_key_it_is_gone() -> None:
    here = Concealment(KEY, sealing=True)
    kept = record(*here.conceal(JANE))
    here.use(OTHER, sealing=True)
    assert here.reveal(kept) is None
    assert here.reveal(record(*here.conceal(JANE))) == JANE


def test_a_seal_cannot_be_moved_or_changed() -> None:
    here = Concealment(KEY, sealing=True)
    jane, john = here.conceal(JANE), here.conceal(JOHN)
    for wrong in (
        record(john.pseudonym, jane.sealed),
        record(None, jane.sealed),
        record(jane.pseudonym, None),
        record(jane.pseudonym, ""),
        record(jane.pseudonym, "not base64 at all"),
        record(jane.pseudonym, "\udc80"),
        record("\udc80", jane.sealed),
        record(jane.pseudonym, (jane.sealed or "")[4:]),
    ):
        assert here.reveal(wrong) is None
