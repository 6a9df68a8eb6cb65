"""What a watcher hears becomes the records of a gate, and what the detectors make of them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.detect.ban import Spared
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.detector import Detector
from dicomgate.detect.guard import Guard
from dicomgate.detect.settings import DetectSettings, RuleMode, RuleSettings
from dicomgate.watch.alarm import Alarm, only_simulating
from dicomgate.watch.packets import ACK, FIN, RST
from dicomgate.watch.parties import Parties
from dicomgate.watch.surroundings import Surroundings
from dicomgate.watch.watcher import Watcher
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import Abort
from lab.gate import run_dicomgate
from playbook import Playbook, acceptor, message, requestor
from session.cast import ON_FIND, ON_STORE, accept, answer, find, hospital, request, store, workstation
from watch import scenes
from watch.test_watching import conversation
from watch.wiretap import CLIENT, SERVER, Call, frame, pcap

GATE = "10.1.1.5"
MALICE = {
    "titles tried": (scenes.titles_tried, {"D02"}),
    "harvest": (scenes.harvest, {"D11"}),
    "walk": (scenes.walk, {"D13"}),
    "moved away": (scenes.moved_away, {"D15"}),
    "sweep": (scenes.sweep, {"D09", "D10"}),
    "ordinary": (scenes.ordinary, set()),
}


def heard(frames: Iterable[bytes], around: Surroundings | None = None, pace: float = 0.01) -> list[Record]:
    records: list[Record] = []
    watcher = Watcher(surroundings=around, tell=records.append)
    for number, one in enumerate(frames):
        list(watcher.frame(1, memoryview(one), 1_700_000_000 + number * pace))
    list(watcher.finish())
    return records


def found(
    frames: Iterable[bytes], wanted: DetectSettings | None = None, around: Surroundings | None = None
) -> list[Record]:
    findings: list[Record] = []
    alarm = Alarm(wanted or DetectSettings(), Spared(), findings.append)
    for record in heard(frames, around):
        alarm.see(record)
    assert alarm.guard.take_troubles() == []
    return findings


# -- records -----------------------------------------------------------------------------------------------


def test_a_watcher_records_what_a_gate_would() -> None:
    """The same conversation through a gate and past it: what a watcher cannot know is None, the rest is the same."""
    keys = scenes.keys(b"*")
    play: Playbook = workstation() >> requestor(message(ON_FIND, find(2), keys)) << ...
    play = play >> acceptor(message(ON_FIND, answer(find(2), 0xFF00, data=True), b"DOE^JOHN")) << ...
    play = play >> acceptor(message(ON_FIND, answer(find(2)))) << ...
    (gates,) = [record for record in play.records if record.event is Event.OPERATION]
    call = scenes.admitted(scenes.dial("10.1.2.40")).says(message(ON_FIND, find(2), keys))
    call.answers(message(ON_FIND, answer(find(2), 0xFF00, data=True), b"DOE^JOHN"), message(ON_FIND, answer(find(2))))
    (own,) = [record for record in heard(scenes.released(call)) if record.event is Event.OPERATION]
    told = [*FIELDS[1:3], *FIELDS[10:12], *FIELDS[16:24], "address", "user", "reason", "detail"]
    assert {name: getattr(own, name) for name in told} == {name: getattr(gates, name) for name in told}
    for name in ("listener", "rule", "refusal_id", "user", "assurance", "peer", "archive"):
        assert getattr(own, name) is None
    assert "DOE" not in str(own)


def test_an_association_from_its_request_to_its_end() -> None:
    records = heard(conversation().frames)
    assert [(record.event.value, record.outcome.value, record.verb) for record in records] == [
        ("association_requested", "success", None),
        ("association_admitted", "success", None),
        ("operation", "success", "echo"),
        ("operation", "success", "store"),
        ("operation", "success", "find"),
        ("association_ended", "success", None),
    ]
    assert {record.association for record in records} == {"w1"}
    requested, stored, ended = records[0], records[3], records[-1]
    assert requested.detail["presentation_contexts"] == 6
    assert (stored.bytes, stored.sop_instance_uid, stored.status) == (100_000, "1.2.3.4", "0000")
    assert ended.detail == {"operations": 3, "ended_by": "requestor", "acceptor_implementation": "1.2.4"}
    assert (ended.bytes or 0) > 100_000


def test_a_configuration_gives_names_and_the_gate_is_not_recorded_twice() -> None:
    around = Surroundings(hospital().rules, frozenset({GATE}))
    call = scenes.released(scenes.asked(scenes.admitted(scenes.dial("10.1.2.40")), scenes.keys(b"DOE^JOHN")))
    (admitted,) = [each for each in heard(call, around) if each.event is Event.ASSOCIATION_ADMITTED]
    assert (admitted.peer, admitted.archive) == ("ws-1", "main")
    through = conversation(server=(GATE, 104)).frames
    assert {each.archive for each in heard(through, around)} == {"main"}
    assert heard(conversation(client=(GATE, 40000)).frames, around) == []
    back = Call(client=("10.1.1.20", 5000), server=("10.1.2.31", 104)).opens()
    back.says(encode(request("ARCHIVE", "CT1"))).answers(encode(accept(ON_STORE))).says(
        message(ON_STORE, store(1), b"x" * 10)
    )
    calling = heard(scenes.released(back.answers(message(ON_STORE, answer(store(1))))), around)
    assert {each.archive for each in calling} == {"main"}
    assert calling[-1].detail["direction"] == "to_peer"


def test_who_ended_it_and_how() -> None:
    def last(call: Call) -> Record:
        return heard(call.frames)[-1]

    aborted = last(scenes.admitted(scenes.dial()).answers(encode(Abort(2, 1))).ends())
    assert (aborted.event, aborted.outcome, aborted.status) == (Event.ASSOCIATION_ENDED, Outcome.FAILURE, "abort 2/1")
    assert aborted.detail["ended_by"] == "acceptor"
    refused = last(scenes.dial().says(encode(request("CT1"))).answers(encode(Abort(2, 1))).ends())
    assert (refused.event, refused.status) == (Event.ASSOCIATION_REFUSED, "abort 2/1")
    silent = last(scenes.dial().says(encode(request("CT1"))).ends())
    assert (silent.event, silent.reason) == (Event.ASSOCIATION_ENDED, "never answered")
    fallen = scenes.admitted(scenes.dial()).says(message(ON_FIND, find(1), scenes.keys()))
    operation, ended = heard(fallen.ends().frames)[-2:]
    assert (operation.status, operation.reason) == (None, "the association ended first")
    assert ended.detail["operations"] == 1
    lying = last(scenes.admitted(scenes.dial()).says(b"\x09" * 12).ends())
    assert (lying.rule, lying.detail["ended_by"]) == ("malformed", "requestor")


def test_what_was_not_seen_is_not_made_up() -> None:
    frames = conversation().frames
    del frames[20:80]  # amid the object, and all that follows in that direction
    stored, ended = heard(frames)[-2:]
    assert (stored.verb, stored.status, stored.reason) == ("store", None, "its end was not seen")
    assert ended.reason == "its end was not seen"
    assert "ended_by" not in ended.detail
    late = heard(conversation().frames[2:])
    assert late[0].event is Event.ASSOCIATION_REQUESTED
    assert heard(conversation().frames[4:]) == []  # its request was not seen: nobody knows who speaks


@pytest.mark.parametrize(("gone", "understood"), [(range(30, 40), True), (range(4, 7), False)])
def test_a_gap_amid_a_data_set_is_stepped_over(gone: range, understood: bool) -> None:
    """Within one fragment, whose length is known, and only there: what follows is understood again."""
    call = Call().opens().says(encode(request("CT1"))).answers(encode(accept(ON_STORE, ON_FIND)))
    call.says(message(ON_STORE, store(1), bytes(90_000), fragment=90_000)).answers(message(ON_STORE, answer(store(1))))
    for number in range(2, 22):
        scenes.asked(call, scenes.keys(b"DOE^JOHN"), number)
    records = heard(one for number, one in enumerate(scenes.released(call)) if number not in gone)
    finds = [each.status for each in records if each.verb == "find"]
    assert (finds.count("0000") >= 10) is understood
    assert records[-1].event is Event.ASSOCIATION_ENDED
    if understood:
        assert records[-1].reason == "released"


def test_keys_with_a_hole_tell_nothing() -> None:
    call = scenes.admitted(scenes.dial())
    call.says(message(ON_FIND, find(1), scenes.element((0x0010, 0x0010), b"PN", bytes(8000)), fragment=9000))
    frames = list(scenes.released(call.answers(message(ON_FIND, answer(find(1))))))
    lossy = frames[:7] + frames[8:]
    (asked,) = [each for each in heard(lossy) if each.event is Event.OPERATION]
    assert "unrestricted" not in asked.detail
    (asked,) = [each for each in heard(frames) if each.event is Event.OPERATION]
    assert asked.detail["unrestricted"] is True


def test_what_is_no_dicom_counts_where_dicom_is_spoken() -> None:
    lie = scenes.dial(port=1).says(b"\x01\x00\x7f\xff\xff\xff\x00\x01").ends().frames
    assert heard(lie) == []
    records = heard([*conversation().frames, *lie])
    assert (records[-1].event, records[-1].rule) == (Event.CONNECTION_REFUSED, "malformed")
    assert "more than the limit of" in (records[-1].reason or "")
    assert [each.rule for each in found([*conversation().frames, *lie])] == ["D27"]


def test_slow_connections_to_a_dicom_server() -> None:
    around = Surroundings(hospital().rules)
    frames = [frame for n in range(6) for frame in scenes.dial(port=2000 + n).says(encode(request("CT1"))[:40]).frames]
    idle = [Call(client=("10.9.9.9", 1), server=("10.9.9.8", 9)).opens().frames[0]] * 2000  # time goes by
    assert [each.rule for each in found([*frames, *idle], around=around)] == ["D28"]


def test_a_reset_that_nobody_believes_ends_nothing() -> None:
    frames = conversation().frames
    blind = frame(CLIENT, SERVER, 0x12345678, RST | ACK)
    assert [each.event for each in heard([*frames[:4], blind, *frames[4:]])][-1] is Event.ASSOCIATION_ENDED
    assert Counter(each.verb for each in heard([*frames[:4], blind, *frames[4:]]))["find"] == 1


def test_the_handshake_may_come_in_any_order() -> None:
    whole, frames = heard(conversation().frames), conversation().frames
    for order in ((1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)):
        changed = [*(frames[place] for place in order), *frames[3:]]
        assert [each.event for each in heard(changed)] == [each.event for each in whole], order


# -- findings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MALICE)
def test_detectors_find_what_goes_past_every_gate(name: str) -> None:
    scene, expected = MALICE[name]
    findings = found(scene())
    assert {each.rule for each in findings} == expected
    for each in findings:
        assert each.outcome in (Outcome.SUCCESS, Outcome.WOULD_REFUSE)
        assert each.refusal_id is None
        assert "DOE" not in json.dumps(each.as_json())


def test_a_destination_that_was_never_seen_before() -> None:
    """What was learned on other days is brought along."""
    learned: list[Record] = []
    days = Alarm(DetectSettings(learn=10.0), Spared(), learned.append)
    call = scenes.admitted(scenes.dial("10.1.2.40"))
    for number in range(1, 4):
        scenes.moved(call, "WS1", number)
    for record in heard(scenes.released(call), pace=10):
        days.see(record)
    assert learned == []
    today = Alarm(DetectSettings(learn=10.0), Spared(), learned.append)
    today.guard.recall(json.loads(json.dumps(days.guard.memory())))
    for record in heard(scenes.released(scenes.moved(scenes.admitted(scenes.dial("10.1.2.40")), "EVIL", 1)), pace=10):
        today.see(record._replace(time=record.time + 1000))
    assert [each.rule for each in learned] == ["D14"]


@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(MALICE)))
@settings(max_examples=25, deadline=None)
def test_a_network_that_reorders_and_repeats_hides_nothing(seed: int, name: str) -> None:
    scene, expected = MALICE[name]
    dice, frames = random.Random(seed), scene()
    shuffled = list(frames)
    for place in range(len(frames) - 1):
        one, other = shuffled[place : place + 2]
        # A network reorders what goes one way; an answer does not overtake its question.
        if one[26:38] == other[26:38] and not other[47] & FIN and dice.random() < 0.5:
            shuffled[place : place + 2] = other, one
    repeated = [each for each in shuffled for _ in range(1 + (dice.random() < 0.1))]
    assert {each.rule for each in found(repeated)} == expected


@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(MALICE)))
@settings(max_examples=25, deadline=None)
def test_losses_and_cuts_raise_nothing(seed: int, name: str) -> None:
    dice, frames = random.Random(seed), MALICE[name][0]()
    kept = [each[: dice.randint(30, 1600)] if dice.random() < 0.2 else each for each in frames if dice.random() > 0.1]
    for record in found(kept):
        assert record.rule in {detector.id for detector in DETECTORS}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=8),
    st.binary(min_size=16, max_size=16),
)
def test_hostile_bytes_raise_nothing_and_stay_printable(said: list[tuple[bool, bytes]], title: bytes) -> None:
    raw = bytearray(encode(request("CT1")))
    raw[26:42] = title
    call = scenes.dial().says(bytes(raw)).answers(encode(accept(ON_FIND)))
    for client, piece in said:
        call.says(piece, client=client)
    parties = Parties()
    watcher = Watcher()
    for one in call.ends().frames:
        parties.add(watcher.frame(1, memoryview(one), 0.0))
    for row in parties.rows():
        assert row.line().replace("→", "").isprintable()
    for record in heard(call.frames):
        text = json.dumps(record.as_json())
        assert text.isascii()
        assert "\n" not in text


class Broken(Detector):
    id = "D02"
    events: ClassVar = tuple(Event)

    def see(self, record: Record, now: float) -> list[object]:  # type: ignore[override]
        raise RuntimeError("a bug")


def test_a_detector_that_raises_is_contained() -> None:
    findings: list[Record] = []
    alarm = Alarm(DetectSettings(), Spared(), findings.append)
    alarm.guard = Guard(DetectSettings(), [Broken, *(each for each in DETECTORS if each.id != "D02")])
    for record in heard([*scenes.titles_tried(), *scenes.harvest()]):
        alarm.see(record)
    assert {each.rule for each in findings} == {"D11"}
    assert [(each.detector, each.reason) for each in alarm.guard.take_troubles()] == [
        ("D02", "switched off: RuntimeError")
    ]


def test_nothing_acts() -> None:
    asked = DetectSettings(mode=RuleMode.RESPOND, rules={"D02": RuleSettings(mode=RuleMode.RESPOND, threshold=3),
                                                         "D11": RuleSettings(mode=RuleMode.OFF)})  # fmt: skip
    quiet = only_simulating(asked)
    assert {quiet.mode_of(each.id) for each in DETECTORS} == {RuleMode.SIMULATE, RuleMode.OFF}
    assert quiet.rule("D02").threshold == 3
    (tried,) = found(scenes.titles_tried(), asked)
    assert (tried.rule, tried.outcome, tried.detail["simulated"]) == ("D02", Outcome.WOULD_REFUSE, "ban")
    assert found(scenes.harvest(), asked) == []


# -- bounds ------------------------------------------------------------------------------------------------


def test_many_parties_take_bounded_memory() -> None:
    """Each association comes from another address under another title; the table is full at some point, and says so."""
    parties, alarm = Parties(most=300), Alarm(DetectSettings(), Spared(), lambda _: None)
    watcher = Watcher(tell=alarm.see)
    for number in range(400):
        where = (f"10.0.{number >> 8}.{number & 255}", 5000)
        call = Call(client=where).opens().says(encode(request(f"T{number}"))).answers(encode(accept(ON_FIND))).ends()
        for one in call.frames:
            parties.add(watcher.frame(1, memoryview(one), number * 0.01))
    assert (len(watcher), watcher.held) == (0, 0)
    assert (len(parties.rows()), parties.beyond) == (300, 100)
    assert alarm.guard.take_troubles() == []


def test_one_party_with_many_names_takes_bounded_memory() -> None:
    parties, watcher = Parties(), Watcher()
    for number in range(100):
        asking = request("CT1", implementation_version_name=f"V{number}")
        call = scenes.dial(port=number + 1).says(encode(asking)).ends()
        for one in call.frames:
            parties.add(watcher.frame(1, memoryview(one), 0.0))
    (row,) = parties.rows()
    assert (row.connections, len(row.software)) == (100, 16)


def test_what_waits_for_the_rest_is_bounded_over_all_connections() -> None:
    watcher = Watcher(most_held=200_000)
    for number in range(40):
        call = scenes.dial(port=number + 1)
        for place in range(20):
            at = call._at[True] + 1000 + place * 1400
            call.frames.append(frame(call.client, call.server, at, ACK, bytes(1400)))
        for one in call.frames:
            list(watcher.frame(1, memoryview(one), 0.0))
            assert watcher.held <= 200_000
    assert watcher.totals.forgotten > 0
    list(watcher.finish())
    assert watcher.held == 0


def test_requests_without_answers_are_bounded() -> None:
    call = scenes.admitted(scenes.dial())
    for number in range(1, 300):
        call.says(message(ON_FIND, find(number), scenes.keys()))
    operations = [each for each in heard(call.ends().frames) if each.event is Event.OPERATION]
    assert len(operations) == 299
    assert {each.status for each in operations} == {None}


# -- the command -------------------------------------------------------------------------------------------


def test_findings_of_a_capture(tmp_path: Path) -> None:
    file, learned = tmp_path / "day.pcap", tmp_path / "usual.json"
    file.write_bytes(pcap([*scenes.titles_tried(), *scenes.ordinary()]))
    done = run_dicomgate("watch", "--pcap", file, "--json", "--fail-on", "high", "--learned", learned)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (finding,) = [each for each in lines if each.get("event") == "finding"]
    assert (finding["rule"], finding["address"], finding["detail"]["simulated"]) == ("D02", "10.1.9.9", "ban")
    assert len([each for each in lines if "client" in each]) == 6
    assert "findings: 1" in done.stderr
    assert learned.stat().st_mode & 0o777 == 0o600
    assert "D14" in json.loads(learned.read_text())
    learned.write_text("[]")
    again = run_dicomgate("watch", "--pcap", file, "--learned", learned)
    assert (again.returncode, again.stdout) == (2, "")
    assert "expected a JSON object" in again.stderr
