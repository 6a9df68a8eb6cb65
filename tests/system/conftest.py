"""One house for all tests that can share it, and the proof after each that nobody else was disturbed."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from system.house import House, house


@pytest.fixture(scope="session", autouse=True)
def many_descriptors() -> None:
    """Thousands of connections end in this process; the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="session")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Long deadlines: what ends here ends because of what was sent."""
    with house(tmp_path_factory.mktemp("shared") / "gate") as running:
        yield running


@pytest.fixture
def door(shared_house: House) -> Iterator[House]:
    """The shared house, for one test."""
    yield shared_house
    shared_house.innocent.is_undisturbed()
