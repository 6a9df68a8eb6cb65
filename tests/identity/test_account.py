"""Who is still a user: what a login has begun goes on while the account has what the login found."""

from dataclasses import replace

from dicomgate.identity.account import Standing
from dicomgate.identity.principal import Principal
from dicomgate.wire.codes import IdentityType

ALICE = Principal("alice", "own", IdentityType.USERNAME_AND_PASSCODE, roles=frozenset({"reader"}))
STANDING = Standing({"alice": frozenset({"reader", "writer"})}, frozenset({"own"}), frozenset({"emergency"}))


def test_who_has_all_that_the_login_found_goes_on() -> None:
    assert STANDING.fallen(ALICE) is None
    assert STANDING.fallen(replace(ALICE, roles=frozenset({"reader", "emergency"}))) is None


def test_who_is_gone_or_lost_a_role_does_not() -> None:
    assert STANDING.fallen(replace(ALICE, name="bert")) == "bert was disabled or removed"
    assert STANDING.fallen(replace(ALICE, roles=frozenset({"reader", "surgeon"}))) == "alice lost the role surgeon"


def test_users_of_others_are_not_looked_at() -> None:
    assert STANDING.fallen(replace(ALICE, name="bert", verifier="directory")) is None
