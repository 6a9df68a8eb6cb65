"""Local users in the store: changes with their records, what the verifier asks, two processes, a failing disk."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.identity.account import Account
from dicomgate.identity.verifier import Unavailable
from dicomgate.store.database import StoreError, open_store, path_of
from dicomgate.store.reader import search
from dicomgate.store.users import Users, VerifierUsers
from store.standins import Pragma, locked

ALICE = Account("alice", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$aGFzaA", ("reader", "tech"), 1000.0, 1000.5, expires=2e9)
SHARED = "JBSWY3DP"
CHANGED = Record(1000.0, Event.USER_CHANGED, Outcome.SUCCESS, user="alice")


def recorded(engine: Engine) -> int:
    return len(list(search(engine, event=Event.USER_CHANGED)))


def test_what_is_added_is_found_as_it_was(engine: Engine) -> None:
    users = Users(engine)
    full = replace(ALICE, name="bob", disabled=True, expires=None, totp_secret=SHARED, totp_step=60_000_000)
    assert users.add(ALICE, CHANGED)
    assert users.add(full, CHANGED)
    assert users.find("alice") == ALICE
    assert users.find("nobody") is None
    assert users.everybody() == [ALICE, full]
    assert recorded(engine) == 2


def test_a_name_is_there_once(engine: Engine) -> None:
    users = Users(engine)
    assert users.add(ALICE, CHANGED)
    assert not users.add(replace(ALICE, roles=()), CHANGED)
    assert users.find("alice") == ALICE
    assert recorded(engine) == 1


def test_change_and_remove(engine: Engine) -> None:
    users = Users(engine)
    users.add(ALICE, CHANGED)
    assert users.change("alice", {"roles": ("tech",), "disabled": True, "changed": 1001.0}, CHANGED)
    assert users.find("alice") == replace(ALICE, roles=("tech",), disabled=True, changed=1001.0)
    assert users.remove("alice", CHANGED)
    assert users.find("alice") is None
    assert not users.remove("alice", CHANGED)
    assert not users.change("alice", {"disabled": False}, CHANGED)
    assert recorded(engine) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda users: users.add(replace(ALICE, name="bob"), CHANGED),
        lambda users: users.change("alice", {"disabled": True}, CHANGED),
        lambda users: users.remove("alice", CHANGED),
    ],
)
def test_without_its_record_a_change_does_not_happen(engine: Engine, change: Callable[[Users], bool]) -> None:
    users = Users(engine)
    users.add(ALICE, CHANGED)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'full'); END")
    with pytest.raises(StoreError, match="full"):
        change(users)
    assert users.everybody() == [ALICE]


def test_names_are_values_and_never_part_of_a_question(engine: Engine) -> None:
    users, asked = Users(engine), VerifierUsers(engine)
    users.add(ALICE, CHANGED)
    for name in ("alice' OR '1'='1", "%", "_____", "alice'; DROP TABLE users; --", "*"):
        found = asked.nearest(name)
        assert isinstance(found, Account)
        assert found.name == "alice" != name
        assert users.find(name) is None
    assert users.find("alice") == ALICE


def test_the_nearest_is_the_one_itself_or_the_next_or_the_first(engine: Engine) -> None:
    asked = VerifierUsers(engine)
    assert asked.nearest("alice") is None
    for name in ("bob", "dora"):
        Users(engine).add(replace(ALICE, name=name), CHANGED)
    found = {name: asked.nearest(name) for name in ("alice", "bob", "carl", "dora", "emil")}
    names = {name: account.name for name, account in found.items() if isinstance(account, Account)}
    assert names == {"alice": "bob", "bob": "bob", "carl": "dora", "dora": "dora", "emil": "bob"}


def test_a_change_of_another_process_is_seen_at_once(engine: Engine, tmp_path: Path) -> None:
    Users(engine).add(ALICE, CHANGED)
    asked = VerifierUsers(engine)
    assert asked.nearest("alice") == ALICE
    other = sqlite3.connect(path_of(engine))
    with other:
        other.execute("UPDATE users SET disabled = 1")
    other.close()
    assert asked.nearest("alice") == replace(ALICE, disabled=True)


def test_a_hash_is_not_renewed_over_a_new_passcode(engine: Engine) -> None:
    users, asked = Users(engine), VerifierUsers(engine)
    users.add(ALICE, CHANGED)
    read = users.find("alice")
    assert read is not None
    users.change("alice", {"passcode": "the administrator's"}, CHANGED)
    assert asked.rehash(read, "the gate's") is None
    found = users.find("alice")
    assert found is not None
    assert found.passcode == "the administrator's"
    assert asked.rehash(found, "the gate's") is None
    assert users.find("alice") == replace(found, passcode="the gate's")


def test_of_many_who_use_a_code_at_once_one_gets_in(engine: Engine) -> None:
    Users(engine).add(replace(ALICE, totp_secret=SHARED), CHANGED)
    asked = VerifierUsers(engine)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asked.use_step("alice", 60_000_000), range(24)))
    assert sorted(map(str, answers)) == ["False"] * 23 + ["True"]
    assert asked.use_step("alice", 59_999_999) is False
    assert asked.use_step("alice", 60_000_001) is True
    assert asked.use_step("nobody", 1) is False


def test_what_the_disk_refuses_is_unavailable_and_names_no_value(engine: Engine) -> None:
    Users(engine).add(ALICE, CHANGED)
    asked = VerifierUsers(engine)
    Pragma(engine, "PRAGMA busy_timeout = 1")
    with locked(engine):
        for answer in (asked.use_step("alice", 1), asked.rehash(ALICE, "new hash")):
            assert isinstance(answer, Unavailable)
            assert "locked" in answer.reason
            assert "alice" not in answer.reason
    path_of(engine).unlink()
    assert isinstance(asked.nearest("alice"), Unavailable)


def test_a_store_of_the_version_before_gets_the_tables(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "gate.db")
    made = open_store("sqlite:///new.db", tmp_path)
    with made.connect() as connection:
        statements = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name LIKE 'records%'").scalars()
        for statement in statements.all():
            old.execute(statement)
    for later in ("salt", "leaf", "study_instance_uid", "series_instance_uid", "patient", "sealed_patient"):
        old.execute(f"ALTER TABLE records DROP COLUMN {later}")
    old.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    old.execute("INSERT INTO alembic_version VALUES ('0001')")
    old.execute("INSERT INTO records (time, event, outcome) VALUES (1.0, 'gate_started', 'success')")
    old.commit()
    old.close()
    engine = open_store("sqlite:///gate.db", tmp_path)
    assert Users(engine).add(ALICE, CHANGED)
    assert [record.event for record in search(engine)] == [Event.GATE_STARTED, Event.USER_CHANGED]
