"""Whether a stopwatch tells which names exist: honest samples of both, and a liar to show that the measure can see one.

What is measured is processor time of the verifying thread, so that a busy machine is no excuse either way. What is
compared are ranks: how often one of a known name took longer than one of an unknown one. 0.5 is no difference, 0 or 1
gives every name away. No absolute time is asserted.
"""

import random
import time
from collections.abc import Callable
from itertools import product

import pytest

from dicomgate.iam.local import LocalVerifier
from dicomgate.iam.settings import LocalSettings
from dicomgate.identity.account import Account
from dicomgate.identity.claims import Claims
from dicomgate.identity.verifier import Cause, Refuted, Verification
from iam.claimants import login
from iam.standing_in import Ledger, account

SETTINGS = LocalSettings("staff", memory=4 * 1024, passes=2)
OLD = LocalSettings("staff", memory=2 * 1024, passes=1)
SAMPLES = 120
NO_DIFFERENCE = 0.5
TOLERATED = 0.2
"""Some five standard deviations of the ranks of 120 and 120 samples of the same thing."""


def rank(one: list[float], other: list[float]) -> float:
    """The share of pairs in which the first took longer (Mann-Whitney U, as a share)."""
    return sum((a > b) + 0.5 * (a == b) for a, b in product(one, other)) / (len(one) * len(other))


def sampled(verify: Callable[[Claims, float], Verification], *names: str) -> list[list[float]]:
    """Times for each name, taken in turns of a changing order: what one leaves behind in a cache falls on all alike."""
    times: list[list[float]] = [[] for _ in names]
    turns, dice = list(zip(names, times, strict=True)), random.Random(7)
    for _ in range(SAMPLES):
        dice.shuffle(turns)
        for name, taken in turns:
            what = login(name, b"a guess")
            began = time.thread_time()
            answer = verify(what, 0.0)
            taken.append(time.thread_time() - began)
            assert isinstance(answer, Refuted)
    return times


def test_a_name_that_exists_takes_as_long_as_one_that_does_not() -> None:
    verifier = LocalVerifier(
        SETTINGS, Ledger.of(account("alice", settings=SETTINGS), account("mary", settings=SETTINGS))
    )
    known, unknown = sampled(verifier.verify, "alice", "bob")
    assert abs(rank(known, unknown) - NO_DIFFERENCE) < TOLERATED


def test_the_measure_sees_who_skips_the_work_for_unknown_names() -> None:
    verifier = LocalVerifier(SETTINGS, Ledger.of(account("alice", settings=SETTINGS)))

    def careless(what: Claims, now: float) -> Verification:
        if what.credential.name != "alice":  # type: ignore[union-attr]
            return Refuted(Cause.UNKNOWN_USER, "no")
        return verifier.verify(what, now)

    known, unknown = sampled(careless, "alice", "bob")
    assert rank(known, unknown) > NO_DIFFERENCE + TOLERATED


def test_names_beside_an_account_with_an_older_cost_hide_it() -> None:
    """`alice` has an old hash, and so have, as far as a stopwatch can tell, the invented names before her."""
    ledger = Ledger.of(account("alice", settings=OLD), account("mary", settings=SETTINGS))
    verifier = LocalVerifier(SETTINGS, ledger)
    old, beside_old, new, beside_new = sampled(verifier.verify, "alice", "aaron", "mary", "bob")
    assert abs(rank(old, beside_old) - NO_DIFFERENCE) < TOLERATED
    assert abs(rank(new, beside_new) - NO_DIFFERENCE) < TOLERATED
    assert rank(new, old) > NO_DIFFERENCE + TOLERATED, "the two costs do not differ, so nothing was hidden"


@pytest.mark.parametrize("state", [{"disabled": True}, {"expires": 1.0}, {"totp_secret": "JBSWY3DPEHPK3PXP" * 2}])
def test_the_state_of_an_account_answers_like_any_other_to_a_wrong_passcode(state: dict[str, object]) -> None:
    made: Account = account("alice", **state)
    answer = LocalVerifier(LocalSettings("staff", memory=64, passes=1), Ledger.of(made)).verify(login(), 2.0)
    plain = LocalVerifier(LocalSettings("staff", memory=64, passes=1), Ledger.of(made)).verify(
        login("alice", b"x"), 2.0
    )
    assert isinstance(plain, Refuted)
    assert plain.cause is Cause.WRONG_CREDENTIAL
    assert isinstance(answer, Refuted)
