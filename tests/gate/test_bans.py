"""Bans in one gate: who is sent away, what is recorded once and for all, and what a firewall is told."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest

from dicomgate.audit.record import Record
from dicomgate.audit.sink import Recorded
from dicomgate.detect.ban import COMMAND, Ban, Spared
from dicomgate.detect.model import Rung, Subject, SubjectKind
from dicomgate.facts import Address
from dicomgate.gate.bans import Bans
from dicomgate.policy.model import Networks
from dicomgate.policy.verdict import AssociationPermit
from dicomgate.store.bans import Entry

NOW = 1_700_000_000.0
SPARED = Spared((Networks.of(["10.1.9.9"]),))
HERE = Subject(SubjectKind.ADDRESS, "10.1.9.9")


@dataclass
class Caller:
    """A connection that has not been admitted."""

    address: Address
    permit: AssociationPermit | None = None
    told: list[str] = field(default_factory=list)

    def send_away(self, why: str) -> None:
        self.told.append(why)


class House:
    """Bans with a store, connections, records and a firewall to look at."""

    def __init__(self) -> None:
        self.now = NOW
        self.callers = [Caller(ip_address("10.1.9.9")), Caller(ip_address("10.1.9.8"))]
        self.placed: list[Ban] = []
        self.done: list[tuple[str, bool]] = []
        self.records: list[tuple[Record, Recorded | None]] = []
        self.firewall: list[tuple[str, float]] = []
        self.bans = Bans(self, lambda: self.callers, self._write, lambda: self.now, self._push, most=3)

    def place(self, ban: Ban) -> None:
        self.placed.append(ban)

    def recorded(self, identifier: str, ended: bool) -> None:
        self.done.append((identifier, ended))

    def _write(self, records: Any, done: Recorded | None) -> None:
        self.records += [(record, done) for record in records]

    def _push(self, address: str, seconds: float) -> None:
        self.firewall.append((address, seconds))

    def durable(self, value: bool = True) -> None:
        for _, done in self.records:
            if done is not None:
                done(value)


def ban(name: str = "A", subject: Subject = HERE, rung: Rung = Rung.BAN, origin: str = "D02", **more: Any) -> Ban:
    return Ban(name, subject, rung, NOW, NOW + 60, origin, "", **more)


def test_a_ban_of_a_detector_is_in_force_before_it_is_on_disk() -> None:
    house = House()
    house.bans.place(ban())
    assert house.placed == [ban()]
    assert [len(caller.told) for caller in house.callers] == [1, 0]
    assert "ban A of D02" in house.callers[0].told[0]
    assert house.bans.at_door(ip_address("10.1.9.9")) == ban()
    assert house.bans.at_door(ip_address("10.1.9.8")) is None
    assert house.firewall == [("10.1.9.9", 60.0)]
    house.bans.heard([Entry(ban(), 1)])  # the store tells it back
    assert [len(caller.told) for caller in house.callers] == [1, 0]
    assert len(house.firewall) == 1


def test_beginning_and_end_are_recorded_until_that_is_durable() -> None:
    house = House()
    for _ in range(3):
        house.bans.heard([Entry(ban(), 1)])
    assert [record.event for record, _ in house.records] == ["ban_placed"]
    house.durable(False)
    assert house.done == []
    house.bans.heard([Entry(ban(), 1)])  # once more, as it is not on disk
    house.records.pop(0)
    house.durable()
    assert house.done == [("A", False)]
    house.records.clear()
    house.now = NOW + 61
    for _ in range(2):
        house.bans.heard([Entry(ban(), 1, placed_recorded=True)])
    assert [(record.event, record.reason) for record, _ in house.records] == [("ban_lifted", "its time is over")]
    house.durable()
    assert house.done[-1] == ("A", True)
    house.bans.heard([Entry(ban(), 1, placed_recorded=True, ended_recorded=True)])
    assert len(house.records) == 1


def test_a_lifted_ban_is_over_here_and_in_the_firewall() -> None:
    house = House()
    house.bans.heard([Entry(ban(), 1, placed_recorded=True)])
    house.bans.heard([Entry(ban(lifted=NOW + 1), 2, placed_recorded=True)])
    assert house.bans.at_door(ip_address("10.1.9.9")) is None
    assert house.firewall == [("10.1.9.9", 60.0), ("10.1.9.9", 0.0)]
    assert house.records[-1][0].reason == "lifted by command"


@pytest.mark.parametrize("rung", [Rung.DELAY, Rung.CAP, Rung.REFUSE])
def test_less_than_a_ban_sends_nobody_away(rung: Rung) -> None:
    house = House()
    house.bans.place(ban(rung=rung))
    assert [caller.told for caller in house.callers] == [[], []]
    assert house.firewall == []


@pytest.mark.parametrize(("origin", "hit"), [("D02", False), (COMMAND, True)])
def test_an_old_ban_does_not_hit_who_is_spared_now(origin: str, hit: bool) -> None:
    house = House()
    house.bans.heed(SPARED, firewall=True)
    house.bans.heard([Entry(ban(origin=origin), 1, placed_recorded=True)])
    assert bool(house.callers[0].told) is hit
    assert (house.bans.at_door(ip_address("10.1.9.9")) is not None) is hit
    assert bool(house.firewall) is hit


def test_a_ban_that_was_over_before_anybody_looked_is_recorded_whole() -> None:
    house = House()
    house.now = NOW + 100
    house.bans.heard([Entry(ban(), 1)])
    assert [record.event for record, _ in house.records] == ["ban_placed", "ban_lifted"]
    assert house.callers[0].told == []


def test_the_same_again_is_the_ban_that_holds_already() -> None:
    house = House()
    house.bans.place(ban())
    assert house.bans.place(ban("B")) == ban()
    assert house.bans.place(ban("C", rung=Rung.REFUSE)) == ban()
    longer = Ban("D", HERE, Rung.BAN, NOW, NOW + 61, "D02", "")
    assert house.bans.place(longer) == longer
    assert house.placed == [ban(), longer]
    assert house.firewall == [("10.1.9.9", 60.0), ("10.1.9.9", 61.0)]


def test_beyond_the_most_none_is_placed_and_a_human_still_has_room() -> None:
    house = House()
    subjects = [Subject(SubjectKind.AE_TITLE, f"T{number}") for number in range(5)]
    answers = [house.bans.place(ban(subject.value, subject)) for subject in subjects]
    assert [each is not None for each in answers] == [True, True, True, False, False]
    assert len(house.placed) == len(house.bans) == 3
    house.bans.heard([Entry(ban("H", origin=COMMAND), 1)])
    assert house.callers[0].told
    house.now = NOW + 61
    house.bans.heard([Entry(each, 2) for each in house.placed])  # the store says that they are over
    later = Ban("L", subjects[4], Rung.BAN, NOW + 61, NOW + 99, "D02", "")
    assert house.bans.place(later) == later


def test_a_firewall_follows_a_reload() -> None:
    house = House()
    house.bans.place(ban())
    house.bans.heed(SPARED, firewall=True)  # somebody wrote never_block
    house.bans.heed(SPARED, firewall=True)
    house.bans.heed(Spared(), firewall=True)
    house.bans.heed(Spared(), firewall=False)
    house.now = NOW + 20
    house.bans.heed(Spared(), firewall=True)
    here = "10.1.9.9"
    assert house.firewall == [(here, 60.0), (here, 0.0), (here, 60.0), (here, 0.0), (here, 40.0)]


def test_one_of_two_bans_lifted_opens_nothing() -> None:
    house = House()
    longer = Ban("B", HERE, Rung.BAN, NOW, NOW + 90, COMMAND, "")
    house.bans.heard([Entry(ban(), 1), Entry(longer, 1)])
    house.bans.heard([Entry(ban(lifted=NOW + 1), 2)])
    assert house.firewall == [("10.1.9.9", 60.0), ("10.1.9.9", 90.0)]
    house.bans.heard([Entry(replace(longer, lifted=NOW + 2), 3)])
    assert house.firewall[-1] == ("10.1.9.9", 0.0)
