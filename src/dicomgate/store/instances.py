"""Which version of a SOP instance was stored. Memories go in with the records they come from; questions are answered
by a thread of their own, so that neither the event loop nor the writer of records waits for them."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from dicomgate.audit.instance import Instance, Known, Memory, Version
from dicomgate.store.database import because

QUESTIONS = 10_000
"""Questions that may wait; more are answered at once with "cannot be asked"."""
_FIRST = (
    "INSERT OR IGNORE INTO instances (archive, sop_instance_uid, transfer_syntax, sha256, sequence, time) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_REPLACE = _FIRST.replace("OR IGNORE", "OR REPLACE")
_KNOWN = "SELECT transfer_syntax, sha256 FROM instances WHERE archive = ? AND sop_instance_uid = ?"


def remember(connection: Connection, memories: Sequence[tuple[int, Memory]]) -> None:
    """Keep memories, each with the number of its record, in the caller's transaction.

    The first version of an instance stays, until a correction replaces it.
    """
    for number, memory in memories:
        version = memory.version
        values = (
            memory.instance.archive,
            memory.instance.sop_instance_uid,
            version.transfer_syntax,
            bytes.fromhex(version.sha256),
            number,
            memory.time,
        )
        connection.exec_driver_sql(_REPLACE if memory.replaces else _FIRST, values)


class StoredInstances:
    """The Recollection of a store: one reader thread, its own connection.

    `ask` is for one thread, that of the event loop, where every `done` is called through `call_soon` (asyncio:
    `loop.call_soon_threadsafe`). Answers are what was committed before the question was read.
    """

    def __init__(
        self, engine: Engine, call_soon: Callable[[Callable[[], None]], object], *, questions: int = QUESTIONS
    ) -> None:
        self._engine = engine
        self._call_soon = call_soon
        self._most = questions
        self._changed = threading.Condition(threading.Lock())
        self._questions: deque[tuple[Instance, Callable[[Known], None]]] = deque()
        self._closing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._answer_until_closed, name="dicomgate-instances")
        self._thread.start()

    def ask(self, instance: Instance, done: Callable[[Known], None]) -> None:
        """What is on disk about an instance; see Recollection."""
        with self._changed:
            if len(self._questions) < self._most and not self._closing:
                self._questions.append((instance, done))
                self._changed.notify()
                return
        self._call_soon(partial(done, "too many questions wait for the store"))

    def close(self, timeout: float) -> None:
        """End the thread; what still waits is not answered."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _answer_until_closed(self) -> None:
        while (questions := self._next()) is not None:
            for instance, done in questions:
                # RuntimeError: the event loop is closed, and with it every association that asked.
                with suppress(RuntimeError):
                    self._call_soon(partial(done, self._known(instance)))
        self._disconnect()

    def _next(self) -> list[tuple[Instance, Callable[[Known], None]]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._questions or self._closing)
            if self._closing:
                return None
            questions = list(self._questions)
            self._questions.clear()
            return questions

    def _known(self, instance: Instance) -> Known:
        try:
            return self._read(instance)
        except DBAPIError as problem:
            self._disconnect()  # so that the next question opens the file anew
            return because(problem)
        except Exception as problem:  # whatever it is: a C-STORE waits for an answer
            self._disconnect()
            return type(problem).__name__

    def _read(self, instance: Instance) -> Version | None:
        if self._connection is None:
            self._connection = self._engine.connect()
        with self._connection.begin():
            row = self._connection.exec_driver_sql(_KNOWN, (instance.archive, instance.sop_instance_uid)).one_or_none()
        return None if row is None else Version(row[0], row[1].hex())

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):  # it is given up because it does not work
                connection.close()
