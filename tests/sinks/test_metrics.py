"""Numbers from records: right, bounded whatever callers invent, and readable by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from audit.samples import HOSTILE, ONE_OF_EACH, operation, record, spoiled
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import Recorded
from dicomgate.sinks.metrics import COUNTERS, GAUGES, MOST_PENDING, Counters, Exposition, Gauges, Tally


class Kept:
    """A RecordSink that answers when told."""

    failing: str | None = None

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.waiting: list[Recorded] = []

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        self.records += records
        if done is not None:
            self.waiting.append(done)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def tally(kept: Kept, now: list[float]) -> Tally:
    made = Tally(kept, clock=lambda: now[0])
    made.name(["ct-1"], ["main"])
    return made


def samples(tally: Tally, name: str) -> dict[tuple[str, ...], float]:
    """The values of one sample by its labels, as Prometheus reads them."""
    text = Exposition(tally, {}).text().decode()
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_records_pass_through_unchanged(tally: Tally, kept: Kept) -> None:
    tally.submit(ONE_OF_EACH)
    assert tuple(kept.records) == ONE_OF_EACH
    kept.failing = "disk full"
    assert tally.failing == "disk full"


def test_what_is_counted(tally: Tally) -> None:
    tally.submit(ONE_OF_EACH)
    associations = samples(tally, "dicomgate_associations_total")
    assert associations == {
        ("main", "admitted", "ct-1"): 1,
        ("main", "would_refuse", "ct-1"): 1,
        ("main", "refused", "ct-1"): 1,
    }
    assert samples(tally, "dicomgate_refusals_total") == {
        ("none", "peer.may", "connection"): 300,
        ("1/1/3", "peer.may", "association"): 1,
        ("0124", "peer.may", "operation"): 2,  # a changed instance is one as well
    }
    operations = samples(tally, "dicomgate_operations_total")
    assert operations["main", "success", "ct-1", "store"] == 2
    assert operations["main", "would_refuse", "ct-1", "store"] == 1
    assert samples(tally, "dicomgate_data_set_bytes_total")["store",] == 3 * 524288
    assert samples(tally, "dicomgate_bytes_total") == {("main", "ct-1"): 10}
    assert samples(tally, "dicomgate_associations_ended_total") == {("success",): 1, ("failure",): 1}
    assert samples(tally, "dicomgate_identities_total") == {("verified",): 1, ("unknown_user",): 1}
    assert samples(tally, "dicomgate_records_lost_total") == {(): 12}
    assert sum(samples(tally, "dicomgate_records_total").values()) == len(ONE_OF_EACH)


def test_durations_fall_into_buckets(tally: Tally) -> None:
    for seconds in (0.01, 0.02, 400.0, 1e9):
        tally.submit([operation("C_STORE_RQ", duration=seconds)])
    assert samples(tally, "dicomgate_operation_seconds_count") == {("store",): 4}
    found = {bound: value for (bound, _), value in samples(tally, "dicomgate_operation_seconds_bucket").items()}
    assert (found["0.01"], found["0.05"], found["300.0"], found["1800.0"], found["+Inf"]) == (1, 2, 2, 3, 4)


def test_set_up_ends_when_the_admission_is_on_disk(tally: Tally, kept: Kept, now: list[float]) -> None:
    answers: list[bool] = []
    requested = record(Event.ASSOCIATION_REQUESTED, association="a")
    admitted = record(Event.ASSOCIATION_ADMITTED, association="a", peer="ct-1", archive="main")
    tally.submit([requested])
    tally.submit([admitted], answers.append)
    now[0] = requested.time + 0.2
    kept.waiting[0](True)
    tally.submit([record(Event.ASSOCIATION_REQUESTED, association="b")])
    tally.submit([admitted], answers.append)
    kept.waiting[1](False)
    assert answers == [True, False]
    assert samples(tally, "dicomgate_association_setup_seconds_count") == {(): 1}
    assert samples(tally, "dicomgate_association_setup_seconds_sum")[()] == pytest.approx(0.2)


def test_ten_thousand_hostile_titles_make_no_label(tally: Tally) -> None:
    def crowd(number: int) -> list[Record]:
        names = ["calling_ae_title", "called_ae_title", "peer", "archive", "user", "address", "verb", "status"]
        invented: dict[str, object] = dict.fromkeys(names, f"{HOSTILE}{number}")
        invented |= {"sop_class_uid": f"1.2.{number}", "rule": f"rule-{number}", "association": str(number)}
        return [
            record(Event.ASSOCIATION_REQUESTED, **invented),
            record(Event.ASSOCIATION_ADMITTED, Outcome.WOULD_REFUSE, **invented),
            record(Event.ASSOCIATION_REFUSED, Outcome.REFUSED, **invented),
            record(Event.OPERATION, **invented),
            record(Event.OPERATION_REFUSED, Outcome.REFUSED, **invented),
            record(Event.ASSOCIATION_ENDED, **invented),
            record(Event.IDENTITY_REFUSED, Outcome.REFUSED, **invented, detail={"cause": f"cause-{number}"}),
        ]

    def size() -> int:
        return len(Exposition(tally, {}).text())

    for number in range(2000):
        tally.submit(crowd(number))
    before = size()
    for number in range(2000, 10_000):
        tally.submit(crowd(number))
    # The only difference is the width of the numbers.
    assert size() < before * 1.2
    text = Exposition(tally, {}).text().decode()
    assert "forged" not in text
    assert set(samples(tally, "dicomgate_operations_total")) == {("other", "success", "other", "other")}


def test_what_never_got_a_verdict_is_not_remembered_for_ever(tally: Tally) -> None:
    for number in range(2 * MOST_PENDING):
        tally.submit([record(Event.ASSOCIATION_REQUESTED, association=str(number))])
    assert len(tally._requested) == MOST_PENDING


def test_hostile_records_cannot_break_the_page(tally: Tally) -> None:
    tally.submit([spoiled(each) for each in ONE_OF_EACH])
    text = Exposition(tally, {}).text().decode()
    assert list(text_string_to_metric_families(text))


def test_readings_are_taken_when_asked(tally: Tally) -> None:
    values = [1.0]
    exposition = Exposition(
        tally,
        {
            Gauges.RUNNING: lambda: [((), values[0])],
            Gauges.SINK_FAILURES: lambda: [(("repository",), 3.0)],
            Gauges.ARCHIVE_UP: list,
        },
    )
    assert b"\ndicomgate_associations_running 1.0\n" in exposition.text()
    values[0] = 7.0
    text = exposition.text()
    assert b"\ndicomgate_associations_running 7.0\n" in text
    assert b'\ndicomgate_sink_failures_total{sink="repository"} 3.0\n' in text


def test_names_and_helps_are_those_of_metrics() -> None:
    metrics = (*COUNTERS, *GAUGES)
    assert Counters.RECORDS in metrics
    assert len({each.name for each in metrics}) == len(metrics)
    for each in metrics:
        assert each.name.startswith("dicomgate_")
        assert each.help.endswith(".")
