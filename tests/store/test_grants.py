"""Emergency grants: a record for each beginning, use and end, once each, whoever notices first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event
from dicomgate.facts import Origin
from dicomgate.identity.claims import Claims, Passcode
from dicomgate.identity.emergency import Grant
from dicomgate.identity.verifier import Unavailable
from dicomgate.store.database import StoreError, path_of
from dicomgate.store.grants import EmergencyGrants, GateGrants
from dicomgate.store.reader import search
from dicomgate.wire.codes import IdentityType
from store.standins import Pragma, locked

GRANT = Grant("0badcafe", "alice", "emergency", "stroke at night", "root", 1000.0, 2800.0)
CLAIMS = Claims(
    Passcode("Alice", b"open sesame"),
    IdentityType.USERNAME_AND_PASSCODE,
    Origin("outside", ip_address("192.0.2.9"), 40000),
    "READER1",
    "ARCHIVE",
)


def trail(engine: Engine) -> list[tuple[Event, float, str | None]]:
    return [(record.event, record.time, record.reason) for record in search(engine)]


def test_begin_use_and_end_by_time(engine: Engine) -> None:
    EmergencyGrants(engine).begin(GRANT)
    gate = GateGrants(engine)
    assert gate.in_force(1000.0, "alice") == (GRANT,)
    assert gate.in_force(2799.9) == (GRANT,)
    assert gate.in_force(999.0) == gate.in_force(2800.0) == gate.in_force(1500.0, "bob") == ()
    assert gate.record_use((GRANT,), CLAIMS, 1500.0) is None
    assert gate.end_due(2799.0) == ()
    assert gate.end_due(3333.0) == (replace(GRANT, ended=2800.0),)
    assert gate.end_due(3334.0) == ()
    assert trail(engine) == [
        (Event.EMERGENCY_STARTED, 1000.0, "stroke at night"),
        (Event.EMERGENCY_USED, 1500.0, "stroke at night"),
        (Event.EMERGENCY_ENDED, 2800.0, "its time is over"),
    ]


def test_records_say_who_what_where_and_never_the_passcode(engine: Engine) -> None:
    EmergencyGrants(engine).begin(GRANT)
    GateGrants(engine).record_use((GRANT,), CLAIMS, 1500.0)
    started, used = search(engine)
    assert started.user == used.user == "alice"
    expected = {"grant": "0badcafe", "role": "emergency", "operator": "root", "ends": "1970-01-01T00:46:40.000Z"}
    assert dict(started.detail) == dict(used.detail) == expected
    assert (used.listener, used.address, used.port) == ("outside", "192.0.2.9", 40000)
    assert (used.calling_ae_title, used.called_ae_title) == ("READER1", "ARCHIVE")
    assert "sesame" not in repr([started, used])


def test_revoke(engine: Engine) -> None:
    grants = EmergencyGrants(engine)
    grants.begin(GRANT)
    assert grants.revoke("0badcafe", "dr.chief", 1200.0) == replace(GRANT, ended=1200.0)
    assert GateGrants(engine).in_force(1201.0) == ()
    assert grants.revoke("0badcafe", "dr.chief", 1300.0) is None
    assert grants.revoke("other", "dr.chief", 1300.0) is None
    assert GateGrants(engine).end_due(9999.0) == ()
    assert trail(engine)[1:] == [(Event.EMERGENCY_ENDED, 1200.0, "revoked by dr.chief")]
    assert grants.all() == [replace(GRANT, ended=1200.0)]


def test_who_revokes_too_late_ends_it_when_it_ended(engine: Engine) -> None:
    grants = EmergencyGrants(engine)
    grants.begin(GRANT)
    assert grants.revoke("0badcafe", "dr.chief", 5000.0) is None
    assert trail(engine)[1:] == [(Event.EMERGENCY_ENDED, 2800.0, "its time is over")]


def test_several_gates_record_an_end_once(engine: Engine) -> None:
    EmergencyGrants(engine).begin(GRANT)
    with ThreadPoolExecutor(6) as pool:
        ended = list(pool.map(lambda _: GateGrants(engine).end_due(3000.0), range(6)))
    assert sorted(map(len, ended)) == [0, 0, 0, 0, 0, 1]  # type: ignore[arg-type]
    assert len(trail(engine)) == 2


@pytest.mark.parametrize(
    "act",
    [
        lambda engine: EmergencyGrants(engine).begin(replace(GRANT, id="other")),
        lambda engine: EmergencyGrants(engine).revoke("0badcafe", "root", 1100.0),
    ],
)
def test_without_its_record_nothing_happens(engine: Engine, act: Callable[[Engine], object]) -> None:
    EmergencyGrants(engine).begin(GRANT)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'full'); END")
    with pytest.raises(StoreError, match="full"):
        act(engine)
    assert isinstance(GateGrants(engine).record_use((GRANT,), CLAIMS, 1100.0), Unavailable)
    assert isinstance(GateGrants(engine).end_due(9999.0), Unavailable)
    assert EmergencyGrants(engine).all() == [GRANT]


def test_what_the_disk_refuses_is_unavailable(engine: Engine) -> None:
    EmergencyGrants(engine).begin(GRANT)
    gate = GateGrants(engine)
    Pragma(engine, "PRAGMA busy_timeout = 1")
    with locked(engine):
        assert isinstance(gate.record_use((GRANT,), CLAIMS, 1100.0), Unavailable)
    path_of(engine).unlink()
    assert isinstance(gate.in_force(1100.0), Unavailable)
    assert isinstance(gate.end_due(1100.0), Unavailable)
