"""Emergency access at the gate: whom a grant helps, for how long, and that nothing happens without a record."""

import threading
from dataclasses import replace

from dicomgate.iam.emergency import EmergencyRoles, EmergencyWatch
from dicomgate.iam.notices import EmergencyInForce, EmergencyOver, Notice, VerifierBroke
from dicomgate.identity.emergency import Grant
from dicomgate.identity.verifier import Unavailable, Verified
from iam.claimants import login, verified
from iam.standing_in import Safe

NOW = 1_800_000_000.0
GRANT = Grant("0badcafe", "alice", "emergency", "stroke, no images at the other site", "root", NOW - 60, NOW + 600)
ROLES = frozenset({"emergency", "override"})


def amended(safe: Safe, found: Verified, now: float = NOW, roles: frozenset[str] = ROLES) -> Verified | Unavailable:
    return EmergencyRoles(safe, roles).amend(found, login(), now)


def test_who_has_a_grant_gets_its_role_reason_and_end() -> None:
    safe = Safe([GRANT])
    answer = amended(safe, verified("Alice", groups=frozenset({"g"}), roles=frozenset({"radiologist"})))
    assert isinstance(answer, Verified)
    principal = answer.principal
    assert principal.roles == {"radiologist", "emergency"}
    assert principal.groups == {"g"}
    assert principal.reason == GRANT.reason
    assert principal.expires == GRANT.ends
    assert principal.name == "Alice"
    assert [grants for grants, _ in safe.used] == [(GRANT,)]


def test_an_earlier_end_of_the_proof_stays() -> None:
    answer = amended(Safe([GRANT]), verified(expires=NOW + 5))
    assert isinstance(answer, Verified)
    assert answer.principal.expires == NOW + 5


def test_several_grants_add_up_and_the_first_end_counts() -> None:
    other = replace(GRANT, id="1", role="override", reason="second call", ends=NOW + 10)
    answer = amended(Safe([GRANT, other]), verified())
    assert isinstance(answer, Verified)
    assert answer.principal.roles == ROLES
    assert answer.principal.reason == f"{GRANT.reason}; second call"
    assert answer.principal.expires == NOW + 10


def test_nobody_else_and_no_other_time() -> None:
    assert amended(Safe([GRANT]), verified("bob")) == verified("bob")
    for moment in (GRANT.granted - 1, GRANT.ends, GRANT.ends + 1):
        assert amended(Safe([GRANT]), verified(), moment) == verified()
    assert amended(Safe([replace(GRANT, ended=NOW - 1)]), verified()) == verified()


def test_a_role_that_is_no_emergency_role_any_more_is_not_given() -> None:
    safe = Safe([GRANT])
    assert amended(safe, verified(), roles=frozenset({"override"})) == verified()
    assert amended(safe, verified(), roles=frozenset()) == verified()
    assert safe.used == []


def test_a_verifier_cannot_give_an_emergency_role() -> None:
    answer = amended(Safe(), verified(roles=frozenset({"emergency", "radiologist"})))
    assert answer == verified(roles=frozenset({"radiologist"}))


def test_what_cannot_be_read_or_recorded_lets_nobody_in() -> None:
    safe = Safe([GRANT])
    safe.down = True
    assert isinstance(amended(safe, verified()), Unavailable)

    class NoRecord(Safe):
        def record_use(self, *_: object) -> Unavailable:
            return Unavailable("disk full")

    assert amended(NoRecord([GRANT]), verified()) == Unavailable("disk full")


# -- the watch


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def test_beginning_and_end_are_told_once_each() -> None:
    safe, told, clock = Safe([GRANT]), list[Notice](), Clock()
    watch = EmergencyWatch(safe, told.append, every=3600, clock=clock)
    watch.close()  # it has looked once
    watch.look()
    assert told == [EmergencyInForce(GRANT)]
    clock.now = GRANT.ends
    watch.look()
    watch.look()
    (over,) = told[1:]
    assert isinstance(over, EmergencyOver)
    assert over.grant.id == GRANT.id
    assert safe.grants[0].ended == GRANT.ends


def test_a_revoked_grant_is_told_too() -> None:
    safe, told = Safe([GRANT]), list[Notice]()
    watch = EmergencyWatch(safe, told.append, every=3600, clock=Clock())
    watch.close()
    safe.grants = [replace(GRANT, ended=NOW)]
    watch.look()
    assert [type(notice) for notice in told] == [EmergencyInForce, EmergencyOver]


def test_an_end_that_came_while_the_gate_was_down_is_told() -> None:
    told, clock = list[Notice](), Clock()
    clock.now = GRANT.ends + 5
    EmergencyWatch(Safe([GRANT]), told.append, every=3600, clock=clock).close()
    assert [type(notice) for notice in told] == [EmergencyOver]


def test_a_store_that_is_down_for_a_while_loses_nothing() -> None:
    safe, told, clock = Safe([GRANT]), list[Notice](), Clock()
    watch = EmergencyWatch(safe, told.append, every=3600, clock=clock)
    watch.close()
    safe.down = True
    watch.look()
    clock.now = GRANT.ends
    watch.look()
    assert len(told) == 1
    safe.down = False
    watch.look()
    assert [type(notice) for notice in told] == [EmergencyInForce, EmergencyOver]


def test_a_bug_does_not_end_the_watch() -> None:
    told, twice = list[Notice](), threading.Event()

    class Broken(Safe):
        def end_due(self, now: float) -> tuple[Grant, ...]:
            if told:
                twice.set()
            raise LookupError

    watch = EmergencyWatch(Broken(), told.append, every=0.01)
    assert twice.wait(20)
    watch.close()
    assert isinstance(told[0], VerifierBroke)
