"""Alerts to a real local receiver: grouped, rate-limited, and never in anybody's way."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.detect.model import Severity
from dicomgate.sinks.alerts import LINES, WAITING, Alerts, AlertsError, AlertSettings, message, receivers, sender
from lab.alert_receiver import AlertReceiver

NOW = 1_700_000_000.0
pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")  # apprise imports it


def finding(severity: str = "high", detector: str = "D02", subject: str = "10.1.9.9", **fields: Any) -> Record:
    detail = {"severity": severity, "subject": subject, "answer": "ban"}
    reason = fields.pop("reason", f"{subject} tried titles")
    return Record(NOW, Event.FINDING, Outcome.REFUSED, rule=detector, reason=reason, detail=detail, **fields)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class House:
    def __init__(self, folder: Path, receiver: AlertReceiver, **settings: Any) -> None:
        (folder / "urls").write_text(receiver.url + "\n")
        again = settings.pop("again", 0.05)
        chosen = AlertSettings("on-call", "north", folder / "urls", **{"group": 0.05, **settings})
        self.troubles: list[tuple[str, str | None]] = []
        self.alerts = Alerts(chosen, sender(chosen), lambda *told: self.troubles.append(told), again=again)


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    with AlertReceiver() as receiver:
        yield receiver


@pytest.fixture
def make(tmp_path: Path, receiver: AlertReceiver) -> Iterator[Callable[..., House]]:
    made: list[House] = []

    def house(**settings: Any) -> House:
        made.append(House(tmp_path, receiver, **settings))
        return made[-1]

    yield house
    receiver.go_on.set()
    for each in made:
        each.alerts.close()


def test_findings_of_a_while_are_one_message(make: Callable[..., House], receiver: AlertReceiver) -> None:
    house = make()
    house.alerts.offer([finding(), finding(), finding("critical", "D36", "main", reason="archive main fell")])
    house.alerts.offer([finding("low"), Record(NOW, Event.OPERATION, Outcome.SUCCESS)])
    wait_for(lambda: receiver.messages)
    ((title, body),) = receiver.messages
    assert title == "dicomgate north: critical: archive main fell (and 2 more)"
    first, second = body.splitlines()
    assert " critical D36 " in first
    assert second.endswith("high D02 10.1.9.9 tried titles (2 times) [ban]")


def test_only_what_is_bad_enough(make: Callable[..., House], receiver: AlertReceiver) -> None:
    house = make(minimum=Severity.CRITICAL)
    house.alerts.offer([finding("high"), finding("medium"), finding("odd")])
    house.alerts.close()
    assert receiver.attempts == 0


def test_a_receiver_that_hangs_blocks_nobody_and_gets_it_all_later(
    make: Callable[..., House], receiver: AlertReceiver
) -> None:
    receiver.go_on.clear()
    house = make(most_per_hour=1000)
    house.alerts.offer([finding()])
    wait_for(lambda: receiver.attempts)
    began = time.monotonic()
    for number in range(WAITING + 500):
        house.alerts.offer([finding(subject=f"10.1.{number % 250}.{number // 250}")])
    assert time.monotonic() - began < 10  # it would be minutes if anybody waited for the receiver
    receiver.go_on.set()
    wait_for(lambda: any("more, see dicomgate audit" in body for _, body in receiver.messages))
    (body,) = (body for _, body in receiver.messages if "more, see dicomgate audit" in body)
    assert len(body.splitlines()) == LINES + 1
    count = int(body.splitlines()[-1].split()[1])
    assert WAITING - LINES <= count <= WAITING + 500


def test_a_receiver_that_refuses_is_tried_again_and_said_once_it_takes(
    make: Callable[..., House], receiver: AlertReceiver
) -> None:
    receiver.status = 500
    house = make(most_per_hour=1000)
    house.alerts.offer([finding()])
    wait_for(lambda: receiver.attempts >= 2)
    receiver.status = 200
    wait_for(lambda: receiver.messages)
    wait_for(lambda: house.troubles[-1] == ("on-call", None))
    assert ("on-call", "a receiver did not take it") in house.troubles
    assert "tried titles" in receiver.messages[0][1]


def test_no_more_messages_than_allowed(make: Callable[..., House], receiver: AlertReceiver) -> None:
    house = make(most_per_hour=2, group=0.01)
    for number in range(2):
        house.alerts.offer([finding(subject=f"10.1.9.{number}")])
        wait_for(lambda count=number: len(receiver.messages) == count + 1)
    for number in range(20):
        house.alerts.offer([finding(subject=f"10.1.8.{number}")])
        time.sleep(0.02)
    assert len(receiver.messages) == 2
    house.alerts.close()  # what waits is said at the end
    assert len(receiver.messages) == 3
    assert "(and 19 more)" in receiver.messages[-1][0]


def test_a_sender_that_raises_is_a_failure_like_any_other() -> None:
    troubles: list[tuple[str, str | None]] = []

    def send(title: str, body: str) -> bool:
        raise OSError("secret://token@example")

    settings = AlertSettings("on-call", group=0.01)
    alerts = Alerts(settings, send, lambda *told: troubles.append(told), again=60.0)
    alerts.offer([finding("critical")])
    wait_for(lambda: troubles)
    alerts.close()
    assert troubles[0] == ("on-call", "OSError")


def test_hostile_words_stay_words() -> None:
    title, body = message("north", [finding(reason="<b>\n\0 {0} %s")] * 3, 5)
    assert "(and 7 more)" in title
    assert body.endswith("and 5 more, see dicomgate audit search --event finding")


def test_receivers_come_from_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "urls"
    file.write_text("# comment\n\n json://a/ \njson://b/\n")
    assert receivers(AlertSettings("x", urls_file=file)) == ["json://a/", "json://b/"]
    monkeypatch.setenv("URLS", "json://c/")
    assert receivers(AlertSettings("x", urls_env="URLS")) == ["json://c/"]


@pytest.mark.parametrize("content", [None, b"", b"# only a comment\n", b"\xff\xfe"])
def test_receivers_that_are_not_there_are_said_without_an_address(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "urls"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(AlertsError, match="urls_file of sink x"):
        receivers(AlertSettings("x", urls_file=file))


def test_an_address_that_nobody_knows_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("json://127.0.0.1/\nnosuch://hunter2@example/\n")
    with pytest.raises(AlertsError, match="address 2 is none") as wrong:
        sender(AlertSettings("x", urls_file=file))
    assert "hunter2" not in str(wrong.value)


def test_other_receivers_take_over_with_what_waited(
    make: Callable[..., House], receiver: AlertReceiver, tmp_path: Path
) -> None:
    """A wrong address is corrected: what it did not take goes to the new one at once, within the same hourly count."""
    receiver.status = 500
    house = make(again=1000.0, most_per_hour=2)
    house.alerts.offer([finding()])
    wait_for(lambda: house.troubles)
    with AlertReceiver() as other:
        (tmp_path / "urls").write_text(other.url)
        house.alerts.use(house.alerts.settings, sender(house.alerts.settings))
        wait_for(lambda: other.messages)
        assert "tried titles" in other.messages[0][1]
        wait_for(lambda: house.troubles[-1] == ("on-call", None))
        house.alerts.offer([finding()])
        time.sleep(0.2)
        assert len(other.messages) == 1
        assert receiver.attempts == 1
        house.alerts.end()
        wait_for(lambda: house.alerts.ended)
        assert len(other.messages) == 2


def test_receivers_change_while_the_old_one_hangs(
    make: Callable[..., House], receiver: AlertReceiver, tmp_path: Path
) -> None:
    receiver.status = 500
    receiver.go_on.clear()
    house = make(again=1000.0)
    house.alerts.offer([finding()])
    wait_for(lambda: receiver.attempts)
    with AlertReceiver() as other:
        (tmp_path / "urls").write_text(other.url)
        house.alerts.use(house.alerts.settings, sender(house.alerts.settings))
        receiver.go_on.set()
        wait_for(lambda: other.messages)
