"""The whole set of detectors: bounded, not to be stopped by one of them, and not talkative."""

import json
from collections.abc import Iterable
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.detect.catalogue import BY_ID, DETECTORS
from dicomgate.detect.detector import Detector
from dicomgate.detect.guard import MOST, Guard, Trouble
from dicomgate.detect.model import Finding, Severity, Subject, SubjectKind
from dicomgate.detect.settings import DetectSettings, RuleMode, RuleSettings

T0 = 1_700_000_000.0


def refused(time: float, address: str = "10.1.9.9", called: str = "X") -> Record:
    return Record(
        time,
        Event.ASSOCIATION_REFUSED,
        Outcome.REFUSED,
        address=address,
        calling_ae_title="ME",
        called_ae_title=called,
        rule="default",
        status="1/1/7",
    )


class Broken(Detector):
    id = "B1"
    severity = Severity.LOW
    technique = "T0"
    events = (Event.ASSOCIATION_REFUSED,)
    false_positives = ""
    calls: ClassVar[int] = 0

    def see(self, record: Record, now: float) -> Iterable[Finding]:
        Broken.calls += 1
        yield self.finding(record, Subject(SubjectKind.GATE, "gate"), "first")
        raise KeyError(record.called_ae_title)


def test_a_detector_that_raises_is_switched_off_and_the_others_go_on() -> None:
    guard = Guard(DetectSettings(), [Broken, BY_ID["D02"]])
    found = [finding for n in range(6) for finding in guard.see(refused(T0 + n, called=f"SECRET{n}"))]
    assert [finding.detector for finding in found] == ["D02"]
    assert guard.take_troubles() == [Trouble("B1", "switched off: KeyError")]
    assert guard.take_troubles() == []
    assert Broken.calls == 1
    assert guard.running == ("D02",)


def test_a_clock_that_is_set_back_makes_nobody_suspicious_and_nobody_safe() -> None:
    guard = Guard(DetectSettings(), [BY_ID["D02"]])
    times = [T0, T0 + 10, T0 - 86400, T0 - 86390]  # within forty seconds, as far as anybody can tell
    found = [f for n, time in enumerate(times) for f in guard.see(refused(time, called=f"A{n}"))]
    assert len(found) == 1
    guard = Guard(DetectSettings(), [BY_ID["D02"]])
    times = [T0, T0 + 10, T0 + 20, T0 + 86400]  # a leap forward: the window is over
    assert [f for n, time in enumerate(times) for f in guard.see(refused(time, called=f"A{n}"))] == []


def test_the_same_is_told_once_a_minute() -> None:
    guard = Guard(DetectSettings(), [BY_ID["D27"]])
    lie = Record(
        T0,
        Event.CONNECTION_REFUSED,
        Outcome.REFUSED,
        address="10.1.9.9",
        rule="malformed",
        reason="P_DATA_TF declares 9 bytes, more than the limit of 8",
    )
    told = []
    for second in range(130):
        told += guard.see(Record(**{**{name: getattr(lie, name) for name in FIELDS}, "time": T0 + second}))
    assert [finding.last - T0 for finding in told] == [0, 60, 120]


def test_a_flood_of_findings_is_cut_and_counted() -> None:
    guard = Guard(DetectSettings(), [BY_ID["D08"], BY_ID["D02"]])
    found = []
    for number in range(MOST + 50):
        record = refused(T0, address=f"2001:db8::{number:x}")
        found += guard.see(Record(**{**{n: getattr(record, n) for n in FIELDS}, "rule": "peer[x].certificates"}))
    assert len(found) == MOST
    assert guard.take_troubles() == []
    for n in range(4):  # another detector is not silenced by it
        found += guard.see(refused(T0 + 1 + n, called=f"A{n}"))
    assert found[-1].detector == "D02"
    guard.see(Record(**{**{n: getattr(record, n) for n in FIELDS}, "time": T0 + 61, "rule": "x[y].certificates"}))
    assert guard.take_troubles() == [Trouble("D08", f"more than {MOST} findings within 60 s", 50)]


@pytest.mark.parametrize("mode", [None, RuleMode.OFF])
def test_what_is_off_does_not_look(mode: RuleMode | None) -> None:
    settings = DetectSettings(rules={"D02": RuleSettings(mode=mode)})
    found = [f for n in range(4) for f in Guard(settings, [BY_ID["D02"]]).see(refused(T0 + n, called=f"A{n}"))]
    assert found == []
    guard = Guard(settings, [BY_ID["D02"]])
    found = [f for n in range(4) for f in guard.see(refused(T0 + n, called=f"A{n}"))]
    assert bool(found) is (mode is None)


def test_what_was_learned_survives_as_json() -> None:
    settings = DetectSettings(learn=100.0)
    guard = Guard(settings)
    admitted = Record(T0, Event.ASSOCIATION_ADMITTED, Outcome.SUCCESS, address="10.1.2.1", calling_ae_title="CT1")
    guard.see(admitted)
    memory = json.loads(json.dumps(guard.memory()))
    later = {**{name: getattr(admitted, name) for name in FIELDS}, "time": T0 + 200}
    fresh = Guard(settings, [BY_ID["D06"]])
    fresh.recall(memory)
    assert fresh.see(Record(**later)) == []
    (found,) = fresh.see(Record(**{**later, "address": "10.1.9.9"}))
    assert found.detector == "D06"


@pytest.mark.parametrize(
    "memory", [None, 7, "x", [], {}, {"began": "x", "values": {}}, {"began": 1, "values": {"a": 3}}, {"levels": {}}]
)
def test_a_memory_that_cannot_be_read_is_learned_anew_and_said(memory: object) -> None:
    guard = Guard(DetectSettings())
    learning = set(guard.memory())
    guard.recall(dict.fromkeys(learning, memory) | {"D99": memory})
    assert {trouble.detector for trouble in guard.take_troubles()} == learning
    assert guard.see(refused(T0)) == []


ODD = st.text(max_size=40) | st.sampled_from(["../x", "\0", "'; DROP", "\ud800", "A" * 5000, "{0}", "%s", "1/"])
ANY_RECORD = st.builds(
    Record,
    time=st.floats(-1e12, 1e12),
    event=st.sampled_from(Event),
    outcome=st.sampled_from(Outcome),
    association=ODD | st.none(),
    reason=ODD | st.sampled_from(["no A-ASSOCIATE-RQ within 1 s", "more than the limit of"]) | st.none(),
    rule=ODD | st.sampled_from(["malformed", "peer[x].certificates", "listener[y].tls"]) | st.none(),
    address=ODD | st.none(),
    calling_ae_title=ODD | st.none(),
    called_ae_title=ODD | st.none(),
    peer=ODD | st.none(),
    archive=ODD | st.none(),
    user=ODD | st.none(),
    verb=st.sampled_from(["find", "move", "get", "store", None]) | ODD,
    command=st.sampled_from(["C_STORE_RQ", "C_MOVE_RQ", "C_GET_RQ", None]),
    sop_instance_uid=ODD | st.none(),
    move_destination=ODD | st.none(),
    bytes=st.integers(-5, 10**20) | st.none(),
    status=ODD | st.none(),
    detail=st.dictionaries(
        st.sampled_from(["responses", "repeated", "operations", "presentation_contexts", "completed_sub_operations"])
        | st.sampled_from(["ended_by", "cause", "acceptor_implementation", "implementation_version_name"]),
        ODD | st.integers(-(10**20), 10**20) | st.booleans() | st.none(),
    ),
)


@given(st.lists(ANY_RECORD, max_size=40))
def test_no_record_can_stop_a_detector(records: list[Record]) -> None:
    settings = DetectSettings(learn=1.0, honey_titles=frozenset({"'; DROP"}))
    guard = Guard(settings)
    for record in records:
        for finding in guard.see(record):
            assert all(" " <= c <= "~" for c in finding.text)  # nothing odd in a sentence
            assert len(finding.text) < 600
    assert [trouble for trouble in guard.take_troubles() if "switched off" in trouble.reason] == []
    json.dumps(guard.memory())


def test_a_million_strangers_leave_every_detector_small() -> None:
    guard = Guard(DetectSettings(learn=1.0))
    for number in range(30_000):
        who = {"address": f"2001:db8::{number:x}", "calling_ae_title": f"T{number}", "association": f"a{number}"}
        who |= {"peer": f"p{number}", "user": f"u{number}"}
        time = T0 + number / 1000
        for event, outcome, more in (
            (Event.ASSOCIATION_REQUESTED, Outcome.SUCCESS, {"detail": {"presentation_contexts": 99}}),
            (Event.ASSOCIATION_REFUSED, Outcome.REFUSED, {"status": "1/1/3", "rule": "malformed"}),
            (Event.ASSOCIATION_ADMITTED, Outcome.SUCCESS, {}),
            (Event.IDENTITY_REFUSED, Outcome.REFUSED, {"detail": {"cause": "unknown_user"}}),
            (Event.OPERATION, Outcome.SUCCESS, {"verb": "find", "detail": {"responses": 9}}),
            (
                Event.OPERATION,
                Outcome.SUCCESS,
                {"verb": "move", "command": "C_MOVE_RQ", "move_destination": f"D{number}"},
            ),
        ):
            guard.see(Record(time, event, outcome, **who, **more))  # type: ignore[arg-type]
    assert len(guard.evicted) >= 10
    assert set(guard.evicted) <= set(BY_ID)
    for detector in guard._detectors.values():
        for counter in vars(detector).values():
            if hasattr(counter, "__len__"):
                assert len(counter) <= 16384, detector.id


def test_the_list_is_complete_and_in_order() -> None:
    assert [detector.id for detector in DETECTORS] == sorted(BY_ID)
    for detector in DETECTORS:
        assert detector.false_positives
        assert detector.technique.startswith("T")
        assert detector.events
