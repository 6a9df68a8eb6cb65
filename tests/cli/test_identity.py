"""Everything behind the desk together, as `dicomgate run` puts it together: a real store, real argon2, many at once."""

import io
import json
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Record
from dicomgate.audit.sink import Recorded
from dicomgate.cli.identity import UserIdentity
from dicomgate.gate.journal import Journal
from dicomgate.iam.local import hasher
from dicomgate.iam.settings import DeskLimits, GuardLimits, IdentitySettings, LocalSettings
from dicomgate.identity.account import Account
from dicomgate.identity.claims import Claims
from dicomgate.identity.emergency import Grant
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.store.database import open_store, path_of
from dicomgate.store.grants import EmergencyGrants
from dicomgate.store.reader import search
from dicomgate.store.users import Users
from iam.claimants import login

LOCAL = LocalSettings("staff")
GOOD = "vinegar tractor eleven moss"
SETTINGS = IdentitySettings(
    DeskLimits(deadline=60.0),
    GuardLimits(attempts=3, delay=0.001, longest_delay=0.002),
    (LOCAL,),
    frozenset({"emergency"}),
)


@dataclass
class Sink:
    records: list[Record] = field(default_factory=list)
    failing: str | None = None

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        self.records += records


class Gate:
    """An event loop with the desk on it."""

    def __init__(self, engine: Engine, settings: IdentitySettings) -> None:
        self.engine = engine
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.sink, self.log = Sink(), io.StringIO()
        self.journal = Journal(self.log)
        self.answers: list[tuple[Claims, Verification]] = []
        self.identity = UserIdentity(settings, engine, self.calls.put, self.sink, self.journal)

    def submit(self, what: Claims) -> None:
        self.identity.desk.submit(what, None, lambda answer: self.answers.append((what, answer)))

    def until(self, true: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            try:
                self.calls.get(timeout=0.01)()
            except queue.Empty:
                assert time.monotonic() < deadline

    def ask(self, what: Claims) -> Verification:
        before = len(self.answers)
        self.submit(what)
        self.until(lambda: len(self.answers) > before)
        return self.answers[-1][1]

    def lines(self) -> list[dict[str, Any]]:
        """Close, and what the log has."""
        self.identity.close()
        while not self.calls.empty():
            self.calls.get()()
        self.journal.close()
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def add(engine: Engine, name: str, passcode: str = GOOD, **fields: object) -> None:
    account = Account(name, hasher(LOCAL).hash(passcode.encode()), ("radiologist",), 1.0, 1.0)
    Users(engine).add(replace(account, **fields), Record(1.0, Event.USER_CHANGED, "success", user=name))  # type: ignore[arg-type]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(open_store("sqlite:///gate.db", tmp_path), SETTINGS)
    yield made
    made.identity.close()
    made.journal.close()


def test_two_hundred_logins_at_once(gate: Gate) -> None:
    for number in range(10):
        add(gate.engine, f"user{number}")
    for number in range(200):
        name = f"user{number % 20}"  # half of them exist
        passcode = GOOD if number % 3 else "a guess"
        gate.submit(login(name, passcode.encode(), address=f"10.1.{number}.1"))
    gate.until(lambda: len(gate.answers) == 200)
    for what, answer in gate.answers:
        credential: Any = what.credential
        known, right = int(credential.name.removeprefix("user")) < 10, credential.passcode == GOOD.encode()
        if known and right:
            assert isinstance(answer, Verified)
            assert answer.principal.name == credential.name
        else:
            assert isinstance(answer, Refuted)
            assert answer.cause is (Cause.WRONG_CREDENTIAL if known else Cause.UNKNOWN_USER)


def test_a_change_on_the_command_line_counts_at_once(gate: Gate) -> None:
    add(gate.engine, "alice")
    assert isinstance(gate.ask(login("alice", GOOD.encode())), Verified)
    other = open_store(f"sqlite:///{path_of(gate.engine)}", Path())
    Users(other).change("alice", {"disabled": True}, Record(2.0, Event.USER_CHANGED, "success"))  # type: ignore[arg-type]
    answer = gate.ask(login("alice", GOOD.encode()))
    assert isinstance(answer, Refuted)
    assert answer.cause is Cause.DISABLED


def test_a_lockout_is_recorded_once_and_logged(gate: Gate) -> None:
    add(gate.engine, "alice")
    for _ in range(6):
        gate.ask(login("Alice", b"a guess", address="192.0.2.9"))
    gate.until(lambda: bool(gate.sink.records))
    lines = gate.lines()
    (record,) = gate.sink.records
    assert (record.event, record.outcome) == (Event.USER_LOCKED_OUT, "refused")
    assert (record.user, record.address, record.listener) == ("Alice", "192.0.2.9", "outside")
    assert dict(record.detail) == {"scope": "user_and_address", "failures": 3, "locked_for": 900.0}
    (line,) = (line for line in lines if line["event"] == "user_locked_out")
    assert line["level"] == "warning"


def test_emergency_access_from_the_grant_to_the_record_of_its_use(gate: Gate) -> None:
    add(gate.engine, "alice")
    now = time.time()
    EmergencyGrants(gate.engine).begin(Grant("0badcafe", "alice", "emergency", "stroke", "root", now, now + 600))
    answer = gate.ask(login("alice", GOOD.encode()))
    assert isinstance(answer, Verified)
    assert answer.principal.roles == {"radiologist", "emergency"}
    assert answer.principal.reason == "stroke"
    assert isinstance(gate.ask(login("alice", b"a guess")), Refuted)
    events = [record.event for record in search(gate.engine) if record.event.startswith("emergency")]
    assert events == [Event.EMERGENCY_STARTED, Event.EMERGENCY_USED]


def test_a_grant_in_force_is_logged_loudly_when_the_gate_starts(tmp_path: Path) -> None:
    engine, now = open_store("sqlite:///gate.db", tmp_path), time.time()
    EmergencyGrants(engine).begin(Grant("0badcafe", "alice", "emergency", "stroke", "root", now, now + 600))
    EmergencyGrants(engine).begin(Grant("0ldcafe0", "bob", "emergency", "fall", "root", now - 600, now - 1))
    gate = Gate(engine, SETTINGS)
    gate.until(lambda: gate.calls.empty() and bool(gate.log.getvalue()))
    lines = gate.lines()
    assert [(line["level"], line["event"], line["grant"]) for line in lines] == [
        ("critical", "emergency_in_force", "0badcafe"),
        ("warning", "emergency_over", "0ldcafe0"),
    ]


def test_a_reload_changes_verifiers_and_numbers_and_keeps_lockouts(gate: Gate) -> None:
    add(gate.engine, "alice")
    for _ in range(3):
        gate.ask(login("alice", b"a guess"))
    gate.identity.reload(replace(SETTINGS, guard=replace(SETTINGS.guard, attempts=1), verifiers=(LOCAL,)))
    answer = gate.ask(login("alice", GOOD.encode()))
    assert isinstance(answer, Refuted)
    assert answer.cause is Cause.LOCKED_OUT
    gate.ask(login("bob", b"a guess"))
    answer = gate.ask(login("bob", b"a guess"))
    assert isinstance(answer, Refuted)
    assert answer.cause is Cause.LOCKED_OUT
    gate.identity.reload(replace(SETTINGS, verifiers=()))
    answer = gate.ask(login("carl", GOOD.encode()))
    assert isinstance(answer, Refuted)
    assert answer.cause is Cause.NOT_MINE


def test_a_store_that_is_gone_refuses_for_the_time_being(gate: Gate) -> None:
    add(gate.engine, "alice")
    path_of(gate.engine).unlink()
    answers = [gate.ask(login("alice", GOOD.encode())) for _ in range(5)]
    assert {type(answer) for answer in answers} == {Unavailable}
    assert gate.sink.records == []


def test_no_passcode_is_in_anything_that_came_out(gate: Gate, tmp_path: Path) -> None:
    add(gate.engine, "alice")
    guesses = [GOOD, "guess of somebody", "guess of somebody", "guess of somebody", "guess of somebody"]
    for guess in guesses:
        gate.ask(login("alice", guess.encode(), address="192.0.2.9"))
        gate.ask(login("nobody", guess.encode(), address="192.0.2.9"))

    def breaks(*_: object) -> None:
        raise UnicodeDecodeError("utf-8", b"guess of somebody", 0, 1, "guess of somebody")

    gate.identity.desk._guard.succeeded = breaks  # type: ignore[method-assign,assignment]
    assert isinstance(gate.ask(login("alice", GOOD.encode())), Unavailable)
    said = repr([*gate.answers, *gate.sink.records, *search(gate.engine)]) + repr(gate.lines())
    assert "verifier_broke" in said
    assert "UnicodeDecodeError at " in said
    written = said.encode() + b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (GOOD, "guess of somebody"):
        assert secret.encode() not in written
        assert secret.encode().hex().encode() not in written
