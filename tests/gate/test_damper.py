"""Refused connections by the thousand: the first are kept, the rest is counted, and the count is kept."""

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.gate.damper import Damper

SINGLY, OF_ASSOCIATIONS, WINDOW, KINDS = 20, 100, 10.0, 4096


def refused(address: str = "192.0.2.1", rule: str = "listener[inside].networks", number: int = 0) -> Record:
    return Record(
        1000.0 + number, Event.CONNECTION_REFUSED, Outcome.REFUSED, rule=rule, address=address, port=50000 + number
    )


def test_the_first_of_a_kind_are_kept_and_the_rest_counted() -> None:
    damper = Damper()
    damper.sweep(100.0)
    kept = [record for number in range(500) for record in damper.thin((refused(number=number),))]
    assert [record.port for record in kept] == [50000 + number for number in range(SINGLY)]
    (summary,) = damper.sweep(100.0 + WINDOW)
    assert summary.detail == {"repeated": 480, "seconds": WINDOW}
    assert (summary.event, summary.address, summary.port) == (Event.CONNECTION_REFUSED, "192.0.2.1", None)
    assert summary.rule == "listener[inside].networks"


def test_nothing_is_said_of_what_was_kept_singly() -> None:
    damper = Damper()
    damper.sweep(100.0)
    for number in range(SINGLY):
        assert damper.thin((refused(number=number),))
    assert damper.sweep(100.0 + WINDOW) == []


def test_kinds_are_told_apart_by_address_and_rule() -> None:
    damper = Damper()
    for number in range(SINGLY):
        damper.thin((refused(number=number),))
    assert not damper.thin((refused(),))
    assert damper.thin((refused("192.0.2.2"),))
    assert damper.thin((refused(rule="malformed"),))


def test_a_new_window_begins_anew() -> None:
    damper = Damper()
    damper.sweep(100.0)
    for number in range(SINGLY + 1):
        damper.thin((refused(number=number),))
    assert damper.sweep(100.0 + WINDOW - 0.1) == []
    assert not damper.thin((refused(),))
    assert [record.detail["repeated"] for record in damper.sweep(100.0 + WINDOW)] == [2]
    assert damper.thin((refused(),))
    assert damper.sweep(100.0 + 2 * WINDOW) == []


def test_too_many_kinds_are_lumped_together_by_rule() -> None:
    damper = Damper()
    damper.sweep(100.0)
    for number in range(KINDS):
        damper.thin((refused(f"2001:db8::{number:x}"),))
    lumped = [record for number in range(1000) for record in damper.thin((refused(f"2001:db8:1::{number:x}"),))]
    assert len(lumped) == SINGLY
    (summary,) = damper.sweep(100.0 + WINDOW)
    assert (summary.address, summary.detail["repeated"]) == (None, 1000 - SINGLY)


def test_a_flood_of_refused_associations_is_thinned_out_later_and_with_its_requests() -> None:
    damper = Damper()
    damper.sweep(100.0)
    pair = (
        Record(1.0, Event.ASSOCIATION_REQUESTED, Outcome.SUCCESS),
        Record(1.0, Event.ASSOCIATION_REFUSED, Outcome.REFUSED, address="192.0.2.1", rule="default"),
    )
    kept = [damper.thin(pair) for _ in range(1000)]
    assert kept == [pair] * OF_ASSOCIATIONS + [()] * (1000 - OF_ASSOCIATIONS)
    (summary,) = damper.sweep(100.0 + WINDOW)
    assert (summary.event, summary.rule) == (Event.ASSOCIATION_REFUSED, "default")
    assert summary.detail["repeated"] == 1000 - OF_ASSOCIATIONS


def test_every_other_record_passes_untouched() -> None:
    damper = Damper()
    for event in set(Event) - {Event.CONNECTION_REFUSED, Event.ASSOCIATION_REFUSED}:
        records = (Record(1.0, event, Outcome.SUCCESS),)
        for _ in range(3 * OF_ASSOCIATIONS):
            assert damper.thin(records) is records
