"""Counters in bounded memory, as the limits library asks for them."""

import threading

from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter

from dicomgate.iam.counters import BoundedMemory


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_counts_from_the_first_and_forgets_all_at_once() -> None:
    clock = Clock()
    counters = BoundedMemory(clock=clock)
    assert [counters.incr("a", 10) for _ in range(3)] == [1, 2, 3]
    clock.now += 9.9
    assert counters.incr("a", 10) == 4
    assert counters.get_expiry("a") == 1010.0
    clock.now += 0.2
    assert counters.get("a") == 0
    assert counters.incr("a", 10) == 1


def test_the_longest_unused_key_makes_room() -> None:
    counters = BoundedMemory(capacity=3)
    for key in "abc":
        counters.incr(key, 60)
    counters.incr("a", 60)
    counters.incr("d", 60)
    assert {key: counters.get(key) for key in "abcd"} == {"a": 2, "b": 0, "c": 1, "d": 1}
    assert len(counters) == 3


def test_clear_and_reset() -> None:
    counters = BoundedMemory()
    counters.incr("a", 60)
    counters.incr("b", 60)
    counters.clear("a")
    counters.clear("never counted")
    assert (counters.get("a"), counters.get("b")) == (0, 1)
    assert counters.reset() == 1
    assert counters.get("b") == 0
    assert counters.check()


def test_no_count_is_lost_among_threads() -> None:
    counters = BoundedMemory()
    threads = [threading.Thread(target=lambda: [counters.incr("a", 60) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.get("a") == 4000


def test_is_a_storage_of_the_library() -> None:
    limiter = FixedWindowRateLimiter(BoundedMemory())
    assert [limiter.hit(RateLimitItemPerMinute(2), "x") for _ in range(3)] == [True, True, False]
