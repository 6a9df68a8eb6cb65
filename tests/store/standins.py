"""Stand-ins for the tests of the store: an event loop that runs when told, a held writer, faults that come and go."""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest
from sqlalchemy import Connection, Engine, event

from dicomgate.store.database import path_of
from dicomgate.store.recorder import Recorder

NEVER = 3600.0
"""Seconds until a retry that no test waits for."""


class Loop:
    """call_soon of an event loop that runs only while a test waits, and what was told through it."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.count = 0
        self.health: list[str | None] = []
        self.answers: dict[str, bool] = {}

    def call_soon(self, call: Callable[[], None]) -> None:
        self.count += 1
        self.calls.put(call)

    def done(self, name: str) -> Callable[[bool], None]:
        def answer(durable: bool) -> None:
            assert name not in self.answers, "answered twice"
            self.answers[name] = durable

        return answer

    def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Run what comes in until something is true; fail when it does not become true in time."""
        deadline = time.monotonic() + seconds
        while not true():
            try:
                self.calls.get(timeout=max(0.0, deadline - time.monotonic()))()
            except queue.Empty:
                pytest.fail(f"not within {seconds} s; answers {self.answers}, health {self.health}")


class MakeRecorder(Protocol):
    def __call__(self, *, capacity: int = ..., retry: float = ..., clock: Callable[[], float] = ...) -> Recorder: ...


class Pragma:
    """A statement that each new connection of an engine runs; `off` ends that."""

    def __init__(self, engine: Engine, statement: str) -> None:
        self.statement = statement
        self.on = True
        event.listen(engine, "connect", self._connected)

    def off(self) -> None:
        self.on = False

    def _connected(self, connection: object, _: object) -> None:
        if self.on:
            connection.execute(self.statement)  # type: ignore[attr-defined]


def kept(engine: Engine) -> list[str | None]:
    """The associations in the order in which their records were committed."""
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT association FROM records ORDER BY sequence").scalars())


class Held:
    """Holds the writer back inside its first commit; counts commits."""

    def __init__(self, engine: Engine) -> None:
        self.inside = threading.Event()
        self.release = threading.Event()
        self.commits = 0
        event.listen(engine, "commit", self._commit)

    def _commit(self, _: Connection) -> None:
        self.commits += 1
        self.inside.set()
        assert self.release.wait(20.0)


@contextmanager
def locked(engine: Engine) -> Iterator[None]:
    """Another process's transaction, held open."""
    other = sqlite3.connect(path_of(engine), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.close()
