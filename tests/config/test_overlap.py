"""Whether titles and networks hold each other, against asking them one by one."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.config.overlap import covers, is_any, networks_overlap, overlap, spans, title_covers
from dicomgate.policy.model import AeTitlePattern, Networks

patterns = st.text("AB!*?", min_size=1, max_size=6).filter(lambda text: "**" not in text).map(AeTitlePattern)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("*", "CT1"),
        ("*", "*"),
        ("CT*", "CT"),
        ("CT*", "CT?A*"),
        ("?T1", "CT1"),
        ("*T*", "CT?"),
        ("C*", "C*1"),
        ("A!", "A!"),
    ],
)
def test_titles_within(wide: str, narrow: str) -> None:
    assert title_covers(AeTitlePattern(wide), AeTitlePattern(narrow))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("CT1", "CT*"),
        ("CT?", "CT"),
        ("CT?", "CT*"),
        ("?", "*"),
        ("CT*", "MR1"),
        ("CT*", "ct1"),
        ("*", "A!"),
        ("A", "AA"),
    ],
)
def test_titles_not_within(wide: str, narrow: str) -> None:
    assert not title_covers(AeTitlePattern(wide), AeTitlePattern(narrow))


@given(patterns, patterns, st.lists(st.text("AB!", max_size=6), max_size=50))
def test_what_is_said_to_be_within_is(wide: AeTitlePattern, narrow: AeTitlePattern, titles: list[str]) -> None:
    if title_covers(wide, narrow):
        assert all(wide.matches(title) for title in titles if narrow.matches(title))


@given(patterns)
def test_each_pattern_is_within_itself(pattern: AeTitlePattern) -> None:
    assert title_covers(pattern, pattern)


small = st.builds(
    lambda last, length: f"10.0.0.{last >> 32 - length << 32 - length}/{length}",
    st.integers(0, 15),
    st.integers(28, 32),
)
sets = st.builds(Networks.of, st.lists(small, max_size=5))
ALL = [ip_address(f"10.0.0.{last}") for last in range(16)]


@given(sets, sets)
def test_networks_against_each_address(one: Networks, other: Networks) -> None:
    mine, theirs = {a for a in ALL if a in one}, {a for a in ALL if a in other}
    assert networks_overlap(one, other) is bool(mine & theirs)
    assert covers(spans(one), spans(other)) is (mine >= theirs)


def test_both_ip_versions_are_kept_apart() -> None:
    four, six, everyone = Networks.of(["0.0.0.0/0"]), Networks.of(["::/0"]), Networks.of(["any"])
    assert not networks_overlap(four, six)
    assert covers(spans(everyone), spans(Networks.of(["0.0.0.0/0", "::/0"])))
    assert covers(spans(Networks.of(["::/0", "0.0.0.0/0"])), spans(everyone))
    assert not covers(spans(four), spans(everyone))
    assert spans(Networks.of(["0.0.0.0/1", "128.0.0.0/1", "::/128"])) == (*spans(four), *spans(Networks.of(["::"])))


def test_nobody_overlaps_nothing() -> None:
    assert not overlap(spans(Networks()), spans(Networks.of(["any"])))


def test_the_network_of_all_addresses_is_any() -> None:
    assert is_any(Networks.of(["10.0.0.0/8", "0.0.0.0/0"]))
    assert is_any(Networks.of(["any"]))
    assert not is_any(Networks.of(["0.0.0.0/1"]))
    assert not is_any(Networks())
