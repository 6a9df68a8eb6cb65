"""The whole set over ordinary days: its false alarms are counted, and those that would act are none."""

from collections import Counter
from datetime import UTC, datetime

from detect.hospital_day import Day
from dicomgate.detect.ban import Spared
from dicomgate.detect.guard import Guard
from dicomgate.detect.model import Rung
from dicomgate.detect.response import Answer, Responder
from dicomgate.detect.settings import DetectSettings, RuleMode

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
DAY = 86400.0


def answers(guard: Guard, settings: DetectSettings, day: int) -> list[Answer]:
    responder = Responder(settings, Spared(), lambda: "XXXXXXXX")
    found = []
    for record in Day(MIDNIGHT + day * DAY, day).records():
        found += [responder.answer(finding, record.time) for finding in guard.see(record)]
    assert guard.take_troubles() == []
    return found


def test_the_first_day_when_nothing_is_learned() -> None:
    settings = DetectSettings(mode=RuleMode.RESPOND)
    found = answers(Guard(settings), settings, 0)
    told = Counter(f"{answer.finding.detector} {answer.finding.subject}" for answer in found)
    print(told)
    # The restart of the archive, the shared title, the reload at noon, and the prefetch, whose threshold is a guess.
    assert {word.partition(" ")[0] for word in told} <= {"D07", "D16", "D36", "D38"}
    acting = {str(answer.finding.subject) for answer in found if answer.rung > Rung.ALERT}
    assert acting == {"ae_title ROUTER"}
    assert all(answer.finding.guess for answer in found if answer.rung > Rung.ALERT)


def test_a_day_after_what_is_usual_was_learned() -> None:
    settings = DetectSettings(mode=RuleMode.RESPOND, learn=2 * DAY)
    guard = Guard(settings)
    for day in range(3):
        answers(guard, settings, day)
    found = answers(guard, settings, 3)
    told = Counter(f"{answer.finding.detector} {answer.finding.subject}" for answer in found)
    print(told)
    assert [answer for answer in found if answer.rung > Rung.ALERT] == []
    assert {word.partition(" ")[0] for word in told} <= {"D06", "D36", "D38"}
