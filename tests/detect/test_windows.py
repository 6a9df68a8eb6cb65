"""Counters count what is within the window, and stay small whatever comes."""

from hypothesis import given
from hypothesis import strategies as st

from dicomgate.detect.windows import Counts, Distinct, Recent

KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
STEPS = st.lists(st.tuples(KEYS, st.floats(0, 40), st.integers(1, 5)), max_size=60)


@given(STEPS)
def test_a_count_is_that_of_the_window_to_a_sixteenth(steps: list[tuple[str, float, int]]) -> None:
    counts = Counts(100.0)
    now, seen = 0.0, []
    for key, wait, amount in steps:
        now += wait
        seen.append((key, now, amount))
        count = counts.add(key, now, amount)
        exact = sum(n for k, t, n in seen if k == key and t > now - 100.0)
        without_the_oldest_step = sum(n for k, t, n in seen if k == key and t > now - 100.0 + 100.0 / 16)
        assert without_the_oldest_step <= count <= exact


@given(STEPS)
def test_different_values_are_those_of_the_window(steps: list[tuple[str, float, int]]) -> None:
    distinct = Distinct(100.0, 3)
    now, seen = 0.0, []
    for key, wait, value in steps:
        now += wait
        seen.append((key, now, str(value)))
        count = distinct.add(key, str(value), now)
        assert count == min(3, len({v for k, t, v in seen if k == key and t > now - 100.0}))


@given(st.lists(st.text(max_size=300), max_size=50))
def test_no_more_keys_than_allowed_and_the_rest_is_counted(keys: list[str]) -> None:
    recent: Recent[int] = Recent(8)
    for number, key in enumerate(keys):
        recent.put(key, number)
        assert recent.get(key) == number
        assert len(recent) <= 8
    different = len({key[:128] for key in keys})
    assert recent.evicted >= different - 8
    assert (recent.evicted > 0) is (different > 8)


def test_a_million_keys_need_the_room_of_four_thousand() -> None:
    counts, distinct = Counts(60.0), Distinct(60.0, 4)
    for number in range(1_000_000):
        counts.add(f"2001:db8::{number:x}", number / 1e6)
    for number in range(100_000):
        distinct.add("one", f"{number}", number / 1e6)
    assert len(counts) == 4096
    assert counts.evicted == 1_000_000 - 4096
    assert distinct.add("one", "x", 1.0) == 4


def test_one_key_stays_small_however_often_it_comes() -> None:
    counts = Counts(60.0)
    for number in range(100_000):
        counts.add("one", number / 1000)
    ((_, entry),) = counts._sums.items()
    assert len(entry.steps) <= 17
