"""Guessing: what is counted, when it locks, whom it locks, and what it costs the guard."""

import pytest

from dicomgate.iam.counters import BoundedMemory
from dicomgate.iam.guard import Guard
from dicomgate.iam.notices import LockedOut, Scope
from dicomgate.iam.settings import GuardLimits
from dicomgate.identity.claims import Claims, JsonWebToken, Username
from dicomgate.identity.verifier import Cause
from iam.claimants import claims, login

LIMITS = GuardLimits(
    attempts=3, attempts_per_address=10, attempts_per_user=6, window=60.0, lockout=300.0, delay=0.5, longest_delay=4.0
)
WRONG = Cause.WRONG_CREDENTIAL
HOME, ELSEWHERE = "192.0.2.10", "198.51.100.7"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> Guard:
    made = Guard(LIMITS, BoundedMemory(clock=clock))
    assert LIMITS.attempts < LIMITS.attempts_per_user < LIMITS.attempts_per_address
    return made


def fail(guard: Guard, what: Claims, times: int = 1, cause: Cause = WRONG) -> list[LockedOut]:
    return [lockout for _ in range(times) for lockout in guard.failed(what, cause)[1]]


def locked(guard: Guard, what: Claims) -> bool:
    found = guard.locked(what)
    assert found is None or found.cause is Cause.LOCKED_OUT
    return found is not None


def test_attempts_from_one_place_lock_user_and_place_and_nobody_else(guard: Guard) -> None:
    (lockout,) = fail(guard, login("alice", address=ELSEWHERE), 3)
    assert (lockout.scope, lockout.user, lockout.failures) == (Scope.USER_AND_ADDRESS, "alice", 3)
    assert str(lockout.origin.address) == ELSEWHERE
    assert locked(guard, login("alice", address=ELSEWHERE))
    assert not locked(guard, login("alice", address=HOME))
    assert not locked(guard, login("bob", address=ELSEWHERE))


def test_one_less_does_not_lock(guard: Guard) -> None:
    assert fail(guard, login(), 2) == []
    assert not locked(guard, login())


def test_a_lockout_ends_by_itself_and_counting_begins_anew(guard: Guard, clock: Clock) -> None:
    fail(guard, login(), 3)
    clock.now += 299
    assert locked(guard, login())
    clock.now += 2
    assert not locked(guard, login())
    assert fail(guard, login(), 2) == []
    assert len(fail(guard, login())) == 1


def test_failures_during_a_lockout_do_not_prolong_it_and_are_not_told_again(guard: Guard, clock: Clock) -> None:
    assert len(fail(guard, login(), 3)) == 1
    clock.now += 200
    assert fail(guard, login(), 3) == []  # asked at the same time as the one that locked
    clock.now += 101
    assert not locked(guard, login())


def test_failures_further_apart_than_the_window_do_not_add_up(guard: Guard, clock: Clock) -> None:
    for _ in range(6):
        assert fail(guard, login()) == []
        clock.now += 31
    assert not locked(guard, login())


def test_a_success_forgets_the_users_failures_but_not_the_addresss(guard: Guard) -> None:
    for _ in range(3):
        fail(guard, login("mallory"), 2)
        guard.succeeded(login("mallory"))
    assert not locked(guard, login("mallory"))
    for name in ("a", "b", "c"):
        fail(guard, login(name))
    assert not locked(guard, login("z"))
    (lockout,) = fail(guard, login("d"))  # 6 + 3 + 1
    assert (lockout.scope, lockout.user) == (Scope.ADDRESS, None)
    assert locked(guard, login("z"))


def test_spraying_one_passcode_over_many_names_locks_the_address(guard: Guard) -> None:
    told = [lockout for number in range(10) for lockout in fail(guard, login(f"user{number}", address=ELSEWHERE))]
    assert [lockout.scope for lockout in told] == [Scope.ADDRESS]
    assert locked(guard, login("somebody new", address=ELSEWHERE))
    assert not locked(guard, login("user1", address=HOME))


def test_a_thousand_machines_get_no_more_guesses_than_one_but_cannot_lock_the_doctor_out(guard: Guard) -> None:
    guard.succeeded(login("alice", address=HOME))
    told = [lockout for host in range(250) for lockout in fail(guard, login("alice", address=f"203.0.113.{host}"))]
    assert told[0].scope is Scope.USER
    assert [lockout.scope for lockout in told] == [Scope.USER]
    assert locked(guard, login("alice", address="198.51.100.99"))
    assert not locked(guard, login("alice", address=HOME))
    assert not locked(guard, login("bob", address="198.51.100.99"))


def test_a_place_is_familiar_for_so_long_only(guard: Guard, clock: Clock) -> None:
    guard.succeeded(login("alice", address=HOME))
    clock.now += LIMITS.familiar + 1
    for host in range(6):
        fail(guard, login("alice", address=f"203.0.113.{host}"))
    assert locked(guard, login("alice", address=HOME))


def test_a_name_that_does_not_exist_is_locked_like_one_that_does(guard: Guard) -> None:
    assert len(fail(guard, login("nobody"), 3, Cause.UNKNOWN_USER)) == 1
    assert locked(guard, login("nobody"))


@pytest.mark.parametrize("spelling", ["ALICE", "Alice", "\uff41lice", " alice ", "ALi\u0063e"])
def test_another_spelling_of_a_name_has_no_guesses_of_its_own(guard: Guard, spelling: str) -> None:
    fail(guard, login("alice"), 3)
    assert locked(guard, login(spelling))


def test_all_addresses_of_one_ipv6_customer_are_one_place(guard: Guard) -> None:
    for host in range(3):
        fail(guard, login(address=f"2001:db8:1:2::{host:x}"))
    assert locked(guard, login(address="2001:db8:1:2:ffff::1"))
    assert not locked(guard, login(address="2001:db8:1:3::1"))


def test_an_ipv4_address_is_the_same_in_its_ipv6_form(guard: Guard) -> None:
    fail(guard, login(address="::ffff:192.0.2.1"), 3)
    assert locked(guard, login(address="192.0.2.1"))
    assert not locked(guard, login(address="::ffff:192.0.2.2"))


def test_a_name_without_passcode_counts_too(guard: Guard) -> None:
    fail(guard, claims(Username("alice")), 3)
    assert locked(guard, claims(Username("alice")))


TOKEN = claims(JsonWebToken("eyJ.e30.x"))


@pytest.mark.parametrize("cause", [Cause.WRONG_CREDENTIAL, Cause.MALFORMED, Cause.REPLAYED])
def test_tokens_that_are_none_count_for_the_address(guard: Guard, cause: Cause) -> None:
    (lockout,) = fail(guard, TOKEN, 10, cause)
    assert lockout.scope is Scope.ADDRESS
    assert locked(guard, TOKEN)


@pytest.mark.parametrize("cause", [Cause.EXPIRED, Cause.NOT_MINE, Cause.UNKNOWN_USER, Cause.DISABLED])
def test_an_honest_token_that_does_not_fit_is_no_guess(guard: Guard, cause: Cause) -> None:
    assert fail(guard, TOKEN, 50, cause) == []
    assert not locked(guard, TOKEN)


def test_a_refusal_because_of_the_lockout_is_not_counted(guard: Guard) -> None:
    assert guard.failed(login(), Cause.LOCKED_OUT) == (LIMITS.longest_delay, ())
    assert fail(guard, login(), 50, Cause.LOCKED_OUT) == []
    assert not locked(guard, login())


def test_answers_become_slower_up_to_a_bound(clock: Clock) -> None:
    guard = Guard(GuardLimits(attempts=100, delay=0.5, longest_delay=4.0), BoundedMemory(clock=clock))
    assert [guard.failed(login(), WRONG)[0] for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    guard.succeeded(login())
    assert guard.failed(login(), WRONG)[0] == 0.5
    assert guard.failed(login(address=HOME), WRONG)[0] == 0.5


def test_millions_of_names_take_bounded_memory_and_leave_a_lockout_standing() -> None:
    limits = GuardLimits(attempts=3, attempts_per_address=10**9)
    guard = Guard(limits)
    guard._failures = failures = BoundedMemory(capacity=500)
    guard._lockouts = lockouts = BoundedMemory(capacity=500)
    fail(guard, login("alice"), 3)
    for number in range(20_000):
        fail(guard, login(f"invented {number}", address=ELSEWHERE))
    assert len(failures) == 500
    assert len(lockouts) == 1
    assert locked(guard, login("alice"))


def test_storage_keys_hold_no_name_and_have_one_length() -> None:
    keys: list[str] = []

    class Seen(BoundedMemory):
        STORAGE_SCHEME = None

        def incr(self, key: str, expiry: float, amount: int = 1) -> int:
            keys.append(key)
            return super().incr(key, expiry, amount)

    guard = Guard(LIMITS, Seen())
    for name in ("dr.meier", "x" * 256):
        fail(guard, login(name), 3)
        guard.succeeded(login(name))
    assert len(keys) > 8
    assert not any("meier" in key or len(key) > 80 for key in keys)
