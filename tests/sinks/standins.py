"""Stand-ins for the tests of sinks: a store in memory, a repository that behaves as told, a clock of its own."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import SignedCheckpoint, SourceError
from lab.process import wait_until

SECONDS = 20.0


def record(name: str, event: Event = Event.OPERATION, **fields: object) -> Record:
    values: dict[str, object] = {"command": "C_STORE_RQ", "sop_class_uid": "1.2", "sop_instance_uid": name, **fields}
    return Record(1000.0, event, Outcome.SUCCESS, **values)  # type: ignore[arg-type]


T = TypeVar("T")


class Kept(Generic[T]):
    """A Source in memory. `broken` makes every question fail."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, T | None]] = []
        self.cursors: dict[str, int] = {}
        self.broken: str | None = None
        self.reads = 0

    def read(self, after: int, limit: int) -> Sequence[tuple[int, T | None]]:
        self._check()
        self.reads += 1
        return [row for row in self.rows if row[0] > after][:limit]

    def newest(self) -> int:
        self._check()
        return self.rows[-1][0] if self.rows else 0

    def cursor(self, sink: str) -> int | None:
        self._check()
        return self.cursors.get(sink)

    def keep(self, sink: str, sequence: int) -> None:
        self._check()
        self.cursors[sink] = sequence

    def _check(self) -> None:
        if self.broken is not None:
            raise SourceError(self.broken)


class Source(Kept[Record]):
    """Records."""

    def add(self, *names: str) -> None:
        for name in names:
            self.rows.append((self.newest() + 1, record(name)))


class Notes(Kept[SignedCheckpoint]):
    """Checkpoints, each of ten records more than the one before."""

    def add(self, count: int) -> None:
        for _ in range(count):
            size = self.newest() + 10
            self.rows.append((size, SignedCheckpoint(1000.0, note(size))))


def note(size: int) -> str:
    """In form only: nobody has signed it."""
    return f"north\n{size}\n{'A' * 43}=\n\n\u2014 north {'A' * 90}+/=\n"


@dataclass
class Told:
    """What a spool reports."""

    reports: list[tuple[str, str | None]] = field(default_factory=list)
    passed_over: list[tuple[int, str]] = field(default_factory=list)

    def report(self, sink: str, reason: str | None) -> None:
        self.reports.append((sink, reason))

    def passed(self, sink: str, sequence: int, reason: str) -> None:
        self.passed_over.append((sequence, reason))


def until(true: Callable[[], bool], what: str = "it") -> None:
    wait_until(true, SECONDS, what)


class Receiver:
    """A syslog receiver (RFC 5425) on a port of its own, in a thread: `messages` in the order of their arrival.

    `behaviour` holds for connections from then on: `good`; `hang`: read nothing; `deaf`: read, and never end;
    `cut`: after 100 bytes a reset; `drop`: read one message, then end without being asked.
    """

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.behaviour = "good"
        self.messages: list[bytes] = []
        self.connections = 0
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._closing = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gone: nobody listens any more, and open connections are reset."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        for thread in self._threads:
            thread.join(SECONDS)

    def reset(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                reset(connection)
        self._open.clear()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            self._behave(connection)

    def _behave(self, connection: socket.socket) -> None:
        behaviour = self.behaviour
        if behaviour == "hang":
            while not self._closing and self.behaviour == "hang":
                select.select([], [], [], 0.02)
            reset(connection)
            return
        if behaviour == "cut":
            connection.recv(100)
            reset(connection)
            return
        for message in frames(connection):
            self.messages.append(message)
            if behaviour == "drop":
                break
        if behaviour == "deaf":
            while not self._closing and self.behaviour == "deaf":
                select.select([], [], [], 0.02)
        if isinstance(connection, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                connection.settimeout(2)
                connection.unwrap()
        connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def frames(connection: socket.socket) -> Iterator[bytes]:
    """SYSLOG-MSGs by octet counting, until the end of the stream."""
    held = b""
    while True:
        length, space, rest = held.partition(b" ")
        if space and len(rest) >= int(length):
            yield rest[: int(length)]
            held = rest[int(length) :]
            continue
        chunk = connection.recv(65536)
        if not chunk:
            assert not held, f"ended inside a message: {held[:60]!r}"
            return
        held += chunk
