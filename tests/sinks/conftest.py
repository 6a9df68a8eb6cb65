"""What the tests of sinks share: a store, what is reported, spools that wait for hundredths of seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dicomgate.sinks import spool as module
from dicomgate.sinks.spool import Outlet, Spool
from sinks.standins import SECONDS, Source, Told

MakeSpool = Callable[..., Spool]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def spool(source: Source, told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeSpool]:
    """Makes spools on `source` that tell `told`; all are ended."""
    for name in ("_GATHER", "_CHECK", "_KEEP"):
        monkeypatch.setattr(module, name, 0.01)
    made: list[Spool] = []

    def make(outlet: Outlet, name: str = "repository", **options: object) -> Spool:
        options = {"first_pause": 0.01, **options}
        made.append(Spool(name, source, outlet, told.report, told.passed, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.end()
    assert all(each.join(SECONDS) for each in made)
