"""Bans on disk: placed, lifted, seen by others, and told to a gate; also while the store fails."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicomgate.detect.ban import Ban
from dicomgate.detect.model import Rung, Subject, SubjectKind
from dicomgate.store import bans
from dicomgate.store.ban_keeper import BanKeeper
from dicomgate.store.bans import Entry
from dicomgate.store.database import StoreError

NOW = 1_700_000_000.0
HERE = Subject(SubjectKind.ADDRESS, "10.1.9.9")


def ban(name: str = "A", subject: Subject = HERE, lasting: float = 60.0, since: float = NOW) -> Ban:
    return Ban(name, subject, Rung.BAN, since, since + lasting, "D02", "tried titles")


def test_what_is_placed_is_listed_until_it_is_over(engine: Engine) -> None:
    bans.place(engine, ban())
    bans.place(engine, ban("B", Subject(SubjectKind.USER, "m\udc80ller'; DROP TABLE bans"), 90.0))
    assert [each.identifier for each in bans.listed(engine, NOW)] == ["B", "A"]
    assert bans.listed(engine, NOW)[1] == ban()
    assert [each.identifier for each in bans.listed(engine, NOW + 60)] == ["B"]
    assert [each.identifier for each in bans.listed(engine, NOW + 90, ended=True)] == ["B", "A"]
    with pytest.raises(StoreError, match="UNIQUE"):
        bans.place(engine, ban())


def test_lifting_by_name_and_by_party(engine: Engine) -> None:
    for name, subject in (("A", HERE), ("B", HERE), ("C", Subject(SubjectKind.AE_TITLE, "10.1.9.9"))):
        bans.place(engine, ban(name, subject))
    assert [each.identifier for each in bans.lift(engine, NOW + 1, identifier="A")] == ["A"]
    assert bans.lift(engine, NOW + 1, identifier="A") == []
    assert [each.identifier for each in bans.lift(engine, NOW + 2, subject=HERE)] == ["B"]
    assert [each.identifier for each in bans.listed(engine, NOW + 3)] == ["C"]
    assert bans.lift(engine, NOW + 60, identifier="C") == []  # over already


def test_changes_are_seen_by_their_revision_and_by_what_they_lack(engine: Engine) -> None:
    bans.place(engine, ban())
    (entry,) = bans.changed(engine, 0, NOW)
    assert entry == Entry(ban(), 1)
    bans.recorded(engine, [("A", False)])
    assert bans.changed(engine, 2, NOW) == []
    bans.lift(engine, NOW + 1, identifier="A")
    (entry,) = bans.changed(engine, 2, NOW + 1)
    assert (entry.revision, entry.ban.lifted, entry.placed_recorded, entry.ended_recorded) == (2, NOW + 1, True, False)
    bans.recorded(engine, [("A", True)])
    assert bans.changed(engine, 3, NOW + 99) == []
    bans.purge(engine, NOW + bans.KEPT + 59)
    assert len(bans.listed(engine, NOW, ended=True)) == 1
    bans.purge(engine, NOW + bans.KEPT + 61)
    assert bans.listed(engine, NOW, ended=True) == []


def test_a_row_of_another_hand_is_refused(engine: Engine) -> None:
    bans.place(engine, ban())
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE bans SET rung = 'hang'")
    with pytest.raises(StoreError, match="not written by this version"):
        bans.listed(engine, NOW)


def test_what_was_learned_is_kept(engine: Engine) -> None:
    assert bans.remembered(engine) == {}
    bans.remember(engine, {"D06": {"began": 1.5, "values": {"CT1": ["10.1.2.1"]}}, "D07": {}})
    bans.remember(engine, {"D06": {"began": 2.5, "values": {}}})
    assert bans.remembered(engine) == {"D06": {"began": 2.5, "values": {}}}
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE learned SET memory = '{never'")
    assert bans.remembered(engine) == {"D06": None}


# -- the keeper ----------------------------------------------------------------------------------------------


class House:
    """A keeper, and what it told."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self.news: list[Entry] = []
        self.troubles: list[str | None] = []
        self.keeper = BanKeeper(engine, lambda job: job(), self._heard, self.troubles.append, every=0.02, clock=clock)

    def _heard(self, entries: Sequence[Entry]) -> None:
        self.news += entries


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def clock() -> list[float]:
    return [NOW]


@pytest.fixture
def house(engine: Engine, clock: list[float]) -> Iterator[House]:
    house = House(engine, lambda: clock[0])
    yield house
    house.keeper.close()


def test_a_gate_hears_of_what_it_and_others_do(house: House, engine: Engine, clock: list[float]) -> None:
    bans.place(engine, ban())
    assert [entry.ban for entry in house.keeper.start()] == [ban()]
    house.keeper.place(ban("B"))
    wait_for(lambda: any(entry.ban == ban("B") for entry in house.news))
    house.keeper.recorded("A", False)
    house.keeper.recorded("B", False)
    wait_for(lambda: all(entry.placed_recorded for entry in bans.changed(engine, 0, NOW)))
    bans.lift(engine, NOW + 1, identifier="A")
    wait_for(lambda: any(entry.ban.lifted for entry in house.news))
    house.keeper.recorded("A", True)
    clock[0] = NOW + 61
    wait_for(lambda: any(e.ban.identifier == "B" and e.placed_recorded for e in house.news[-1:]))
    house.keeper.recorded("B", True)
    wait_for(lambda: bans.changed(engine, 99, NOW + 61) == [])
    count = len(house.news)
    time.sleep(0.1)
    assert len(house.news) == count  # nothing is told for ever
    assert house.troubles == []


def test_what_cannot_be_written_waits(house: House, engine: Engine) -> None:
    house.keeper.start()
    blocker = engine.execution_options(sqlite_begin="BEGIN EXCLUSIVE").connect()
    transaction = blocker.begin()
    house.keeper.place(ban())
    wait_for(lambda: house.troubles)
    assert "locked" in str(house.troubles[0])
    transaction.rollback()
    blocker.close()
    wait_for(lambda: house.troubles[-1] is None)
    assert [each.identifier for each in bans.listed(engine, NOW)] == ["A"]


FLOOD = 10_500


def test_a_flood_while_the_store_fails_loses_nothing(house: House, engine: Engine) -> None:
    """More than ever fits between two looks: each ban and each mark is there at the end, and errands are the newest."""
    house.keeper.start()
    told: list[str] = []
    with engine.execution_options(sqlite_begin="BEGIN EXCLUSIVE").connect() as blocker, blocker.begin():
        for number in range(FLOOD):
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            house.keeper.place(ban(f"{number:08}", Subject(SubjectKind.ADDRESS, address)))
            house.keeper.recorded(f"{number:08}", False)
            house.keeper.run_errand("10.1.9.9", partial(told.append, address))
            house.keeper.remember({"D06": {"began": number}})
        wait_for(lambda: house.troubles)
        assert "locked" in str(house.troubles[0])
        assert FLOOD * 2 <= house.keeper.waiting <= FLOOD * 2 + 2
    wait_for(lambda: not house.keeper.waiting)
    assert house.troubles[-1] is None
    kept = bans.changed(engine, 0, NOW)
    assert len({entry.ban.subject for entry in kept}) == FLOOD
    assert all(entry.placed_recorded for entry in kept)
    assert bans.remembered(engine) == {"D06": {"began": FLOOD - 1}}
    assert told[-1] == address
    assert len(told) < 100, "what is outdated is not done"


def test_it_ends_with_what_waits_written(house: House, engine: Engine) -> None:
    house.keeper.start()
    done = threading.Event()
    house.keeper.run_errand("10.1.9.9", done.set)
    house.keeper.place(ban())
    house.keeper.remember({"D06": {}})
    house.keeper.close()
    assert done.is_set()
    assert bans.listed(engine, NOW) == [ban()]
    assert bans.remembered(engine) == {"D06": {}}


def test_a_keeper_on_no_store_says_so(engine: Engine, tmp_path: Path) -> None:
    keeper = House(engine, lambda: NOW).keeper
    (tmp_path / "gate.db").unlink()
    with pytest.raises(StoreError):
        keeper.start()
    keeper.close()


def test_a_bug_in_one_job_keeps_no_ban_from_being_heard(house: House, engine: Engine) -> None:
    def buggy() -> None:
        raise ZeroDivisionError

    house.keeper.start()
    house.keeper.run_errand("10.1.9.9", buggy)
    wait_for(lambda: house.troubles[:1] == ["a bug: ZeroDivisionError"])
    bans.place(engine, ban())  # as a command does it
    wait_for(lambda: any(entry.ban == ban() for entry in house.news))
    wait_for(lambda: house.troubles[-1] is None)
