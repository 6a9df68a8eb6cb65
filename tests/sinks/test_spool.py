"""The spool: in order, at least once, through outages and restarts, and it says once what is wrong."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from dicomgate.sinks import spool as module
from dicomgate.sinks.spool import DeliveryError, Numbered, Sent
from sinks.conftest import MakeSpool
from sinks.standins import Source, Told, until


class Repository:
    """An outlet as a test wants it. `down` is why it fails, `fails` how many times (None: until told)."""

    def __init__(self, patience: float = 0.0, overlap: float = 0.0) -> None:
        self.patience = patience
        self.overlap = overlap
        self.down: str | None = None
        self.refuses: dict[str, str] = {}
        self.got: list[str] = []
        self.unsettled: list[str] = []
        self.closed = 0
        self.batches: list[int] = []
        self.bug: Exception | None = None
        self.fails: int | None = None

    def send(self, records: Sequence[Numbered]) -> Sent:
        self._check()
        self.batches.append(len(records))
        names = [(number, str(record.sop_instance_uid)) for number, record in records]
        refused = [(number, self.refuses[name]) for number, name in names if name in self.refuses]
        self.unsettled += [name for _, name in names if name not in self.refuses]
        return Sent(records[-1][0], refused)

    def settle(self) -> None:
        self._check()
        self.got += self.unsettled
        self.unsettled.clear()

    def check(self) -> None:
        self._check()

    def close(self) -> None:
        self.closed += 1
        self.unsettled.clear()

    def _check(self) -> None:
        if self.bug is not None:
            raise self.bug
        if self.down is not None:
            why = self.down
            if self.fails is not None:
                self.fails -= 1
                if not self.fails:
                    self.down = self.fails = None
            raise DeliveryError(why)


def names(count: int, start: int = 0) -> list[str]:
    return [f"1.2.{number}" for number in range(start, start + count)]


def test_a_new_sink_begins_with_what_comes(source: Source, spool: MakeSpool) -> None:
    source.add(*names(5))
    repository = Repository()
    running = spool(repository, newcomer=source.newest())
    source.add(*names(3, 5))
    running.wake()
    until(lambda: repository.got == names(3, 5))


def test_or_with_the_oldest_record_when_asked(source: Source, spool: MakeSpool) -> None:
    source.add(*names(1000))
    repository = Repository()
    spool(repository, replay=True)
    until(lambda: len(repository.got) == 1000)
    assert repository.got == names(1000)
    assert max(repository.batches) <= module.BATCH


def test_a_restart_goes_on_where_it_was(source: Source, spool: MakeSpool) -> None:
    first = Repository()
    source.add(*names(3))
    running = spool(first, replay=True)
    until(lambda: first.got == names(3))
    running.end()
    assert running.join(20)
    assert source.cursors == {"repository": 3}
    source.add(*names(2, 3))
    second = Repository()
    spool(second)
    until(lambda: second.got == names(2, 3))


def test_an_outage_loses_nothing_and_is_told_once(source: Source, told: Told, spool: MakeSpool) -> None:
    repository = Repository()
    repository.down = "10.1.1.30:6514: timed out"
    running = spool(repository, replay=True)
    for start in range(0, 50, 10):
        source.add(*names(10, start))
        running.wake()
    until(lambda: running.failures >= 3)
    assert told.reports == [("repository", "10.1.1.30:6514: timed out")]
    assert running.failing == "10.1.1.30:6514: timed out"
    assert running.behind() == 50
    repository.down = None
    until(lambda: repository.got == names(50))
    until(lambda: running.failing is None)
    assert told.reports[1:] == [("repository", None)]
    until(lambda: running.behind() == 0)


def test_what_was_sent_and_not_sure_is_sent_again(source: Source, spool: MakeSpool) -> None:
    repository = Repository(patience=3600)
    running = spool(repository, replay=True)
    source.add(*names(5))
    running.wake()
    until(lambda: repository.unsettled == names(5))
    assert repository.got == []
    assert source.cursors["repository"] == 0
    repository.down = "closed"
    until(lambda: running.failing is not None)
    repository.down = None
    until(lambda: repository.got == names(5))


def test_it_is_made_sure_when_too_much_is_open(
    source: Source, spool: MakeSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_UNSETTLED", 500)
    repository = Repository(patience=3600)
    source.add(*names(1000))
    spool(repository, replay=True)
    until(lambda: len(repository.unsettled) == 400)
    assert repository.got == names(600), "as soon as a batch takes it beyond"


def test_even_what_is_sure_is_sent_again_for_a_while(source: Source, spool: MakeSpool) -> None:
    repository = Repository(overlap=3600)
    running = spool(repository, replay=True)
    source.add(*names(4))
    running.wake()
    until(lambda: repository.got == names(4))
    assert source.cursors["repository"] == 0
    repository.down = "killed"
    source.add(*names(1, 4))
    running.wake()
    until(lambda: running.failing is not None)
    repository.down = None
    until(lambda: repository.got == names(4) + names(5))


def test_the_end_delivers_what_is_left(source: Source, spool: MakeSpool) -> None:
    repository = Repository(patience=3600, overlap=3600)
    running = spool(repository, replay=True)
    until(lambda: source.reads > 0)
    source.add(*names(500))
    running.end()
    assert running.join(20)
    assert repository.got == names(500)
    assert source.cursors["repository"] == 500
    assert repository.closed == 1


def test_the_end_does_not_wait_for_a_sink_that_fails(source: Source, spool: MakeSpool) -> None:
    repository = Repository()
    repository.down = "down"
    running = spool(repository, replay=True, first_pause=3600.0)
    source.add(*names(1))
    running.wake()
    until(lambda: running.failing is not None)
    running.end()
    assert running.join(20)
    assert source.cursors["repository"] == 0


def test_a_successor_waits_for_its_predecessor(source: Source, spool: MakeSpool) -> None:
    held = threading.Event()

    class Slow(Repository):
        def settle(self) -> None:
            assert held.wait(20)
            super().settle()

    slow, fresh = Slow(), Repository()
    source.add(*names(3))
    before = spool(slow, replay=True)
    until(lambda: slow.unsettled == names(3))
    before.end()
    successor = spool(fresh, after=before)
    assert fresh.batches == []
    held.set()
    assert before.join(20)
    source.add(*names(1, 3))
    successor.wake()
    until(lambda: fresh.got == names(1, 3))
    assert slow.got == names(3)


def test_a_store_that_cannot_be_read_is_an_outage_too(source: Source, told: Told, spool: MakeSpool) -> None:
    source.broken = "gate.db: database is locked"
    repository = Repository()
    running = spool(repository, replay=True)
    until(lambda: running.failures >= 2)
    assert told.reports == [("repository", "gate.db: database is locked")]
    source.broken = None
    source.add(*names(2))
    until(lambda: repository.got == names(2))


def test_a_record_that_nobody_can_read_is_passed_over_and_told(source: Source, told: Told, spool: MakeSpool) -> None:
    source.add("1.2.0")
    source.rows.append((2, None))
    source.add("1.2.1")
    repository = Repository()
    running = spool(repository, replay=True)
    until(lambda: repository.got == ["1.2.0", "1.2.1"])
    assert [number for number, _ in told.passed_over] == [2]
    assert running.passed_over == 1
    source.rows.append((4, None))
    running.wake()
    until(lambda: running.passed_over == 2)


def test_a_record_that_the_repository_refuses_does_not_hold_up_the_others(
    source: Source, told: Told, spool: MakeSpool
) -> None:
    repository = Repository()
    repository.refuses["1.2.1"] = "the server answered 422"
    source.add(*names(3))
    spool(repository, replay=True)
    until(lambda: repository.got == ["1.2.0", "1.2.2"])
    assert told.passed_over == [(2, "the server answered 422")]


def test_a_bug_is_an_outage_and_shows_no_value(source: Source, told: Told, spool: MakeSpool) -> None:
    repository = Repository()
    repository.bug = KeyError("a patient's name")
    running = spool(repository, replay=True)
    source.add(*names(1))
    running.wake()
    until(lambda: bool(told.reports))
    assert told.reports == [("repository", "internal error: KeyError")]
    repository.bug = None
    until(lambda: repository.got == names(1))


def test_pauses_grow_and_begin_anew_after_a_steady_while(source: Source, spool: MakeSpool) -> None:
    now = [0.0]
    repository = Repository()
    running = spool(repository, replay=True, first_pause=0.001, clock=lambda: now[0])
    source.add("1.2.0")
    repository.down, repository.fails = "down", 4
    running.wake()
    until(lambda: repository.got == names(1))
    assert running._pause == 0.008
    repository.down, repository.fails = "down at once", 1
    source.add("1.2.1")
    running.wake()
    until(lambda: repository.got == names(2))
    assert running._pause == 0.016, "it was not up for long"
    now[0] = 1000.0
    repository.down, repository.fails = "down again", 1
    source.add("1.2.2")
    running.wake()
    until(lambda: repository.got == names(3))
    assert running._pause == 0.001


def test_an_idle_sink_does_not_ask_the_store_again_and_again(source: Source, spool: MakeSpool) -> None:
    repository = Repository()
    running = spool(repository, replay=True)
    source.add("1.2.0")
    running.wake()
    until(lambda: source.cursors.get("repository") == 1)
    until(lambda: running._thread.is_alive() and not running._sure)
    threading.Event().wait(0.1)
    before = source.reads
    threading.Event().wait(0.2)
    assert source.reads == before
