"""What the tests of the store share: stores in a temporary folder, recorders on them, records."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.database import open_store
from dicomgate.store.recorder import Recorder
from store.standins import Loop, MakeRecorder


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_store("sqlite:///gate.db", tmp_path)


@pytest.fixture
def recorder(engine: Engine, loop: Loop) -> Iterator[MakeRecorder]:
    """Makes recorders on `engine` that tell `loop`; they retry at once, or never with retry=NEVER."""
    made: list[Recorder] = []

    def make(**options: object) -> Recorder:
        options = {"retry": 0.01, **options}
        made.append(Recorder(engine, loop.call_soon, loop.health.append, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.close(20.0)


@pytest.fixture
def record() -> Callable[..., Record]:
    """A record whose association is the given name."""

    def make(name: str, **fields: object) -> Record:
        values: dict[str, object] = {"time": 1000.0, "event": Event.OPERATION, "outcome": Outcome.SUCCESS, **fields}
        return Record(association=name, **values)  # type: ignore[arg-type]

    return make
