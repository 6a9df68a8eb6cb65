"""Detection beside the loop: nothing waits for it, what is dropped is counted, what is found comes back."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import Recorded
from dicomgate.detect.ban import Spared
from dicomgate.detect.guard import Trouble
from dicomgate.detect.model import Rung
from dicomgate.detect.response import Answer, Responder
from dicomgate.detect.settings import DetectSettings, RuleMode, RuleSettings
from dicomgate.sinks.observed import ObservedSink
from dicomgate.sinks.sentry import Sentry

NOW = 1_700_000_000.0
RESPOND = DetectSettings(mode=RuleMode.RESPOND)


class House:
    """A sentry, and what it told."""

    def __init__(self, settings: DetectSettings = RESPOND, **options: Any) -> None:
        self.answers: list[Answer] = []
        self.troubles: list[Trouble] = []
        self.memories: list[Mapping[str, Any]] = []
        self.responder = Responder(settings, Spared(), lambda: "AAAABBBB")
        learned = options.pop("learned", {})
        self.sentry = Sentry(
            settings,
            self.responder,
            lambda job: job(),
            self.answers.extend,
            self.troubles.extend,
            self.memories.append,
            learned,
            gather=options.pop("gather", 0.01),
            clock=lambda: NOW,
            **options,
        )


@pytest.fixture
def make() -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def house(*arguments: Any, **options: Any) -> House:
        made.append(House(*arguments, **options))
        return made[-1]

    yield house
    for each in made:
        each.sentry.close()


def titles(count: int, address: str = "10.1.9.9") -> list[Record]:
    return [
        Record(
            NOW + n,
            Event.ASSOCIATION_REFUSED,
            Outcome.REFUSED,
            address=address,
            called_ae_title=f"A{n}",
            calling_ae_title="ME",
            status="1/1/7",
        )
        for n in range(count)
    ]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_found_is_answered(make: Callable[..., House]) -> None:
    house = make()
    house.sentry.offer(titles(4))
    wait_for(lambda: house.answers)
    (answer,) = house.answers
    assert (answer.finding.detector, answer.rung) == ("D02", Rung.BAN)
    assert answer.ban is not None
    assert answer.ban.since == NOW


def test_what_there_is_no_room_for_is_counted(make: Callable[..., House]) -> None:
    house = make(capacity=10, gather=0.2)
    house.sentry.offer(titles(250))
    wait_for(lambda: house.troubles)
    assert house.troubles == [Trouble(None, "records came faster than they could be looked at", 240)]


def test_new_settings_hold_and_what_was_learned_stays(make: Callable[..., House]) -> None:
    house = make()
    known = Record(NOW, Event.ASSOCIATION_ADMITTED, Outcome.SUCCESS, address="10.1.2.1", calling_ae_title="CT1")
    house.sentry.offer([known])
    settings = DetectSettings(mode=RuleMode.SIMULATE, rules={"D02": RuleSettings(threshold=2)})
    house.sentry.reload(settings, Spared())
    wait_for(lambda: house.responder.settings == settings)
    house.sentry.offer(titles(2))
    wait_for(lambda: house.answers)
    assert house.answers[0].simulated
    house.sentry.close()
    assert "CT1" in house.memories[-1]["D06"]["values"]


def test_what_is_off_is_not_even_queued(make: Callable[..., House]) -> None:
    house = make(DetectSettings(mode=RuleMode.OFF), capacity=1)
    house.sentry.offer(titles(100))
    house.sentry.close()
    assert (house.answers, house.troubles) == ([], [])


def test_a_memory_that_cannot_be_read_is_told(make: Callable[..., House]) -> None:
    house = make(learned={"D06": None})
    house.sentry.offer(titles(1))
    wait_for(lambda: house.troubles)
    assert house.troubles[0].detector == "D06"


def test_nobody_is_left_to_be_told() -> None:
    def closed(job: object) -> None:
        raise RuntimeError("Event loop is closed")

    others = set(threading.enumerate())
    responder = Responder(RESPOND, Spared(), lambda: "AAAABBBB")
    sentry = Sentry(RESPOND, responder, closed, print, print, lambda memory: None, {}, gather=0.01)
    sentry.offer(titles(4))
    sentry.close()
    assert [thread.name for thread in set(threading.enumerate()) - others if thread.is_alive()] == []


def test_an_observed_sink_keeps_and_shows() -> None:
    kept: list[tuple[Sequence[Record], Recorded | None]] = []
    shown: list[Record] = []

    class Keeper:
        failing: str | None = "full"

        def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
            kept.append((records, done))

    class Observer:
        def offer(self, records: Sequence[Record]) -> None:
            shown.extend(records)

    sink = ObservedSink(Keeper(), (Observer(), Observer()))
    records = titles(2)
    sink.submit(records, print)
    assert kept == [(records, print)]
    assert shown == records * 2
    assert sink.failing == "full"
