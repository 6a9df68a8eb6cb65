"""The log for whoever watches the gate: one JSON line a fact, to stderr, written by a thread of its own.

A terminal or pipe that nobody reads must not stop an image: lines wait in a bounded queue, and what does not
fit is counted and said. Holds no patient data: it is made of records and of words of the gate.
"""

import json
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import TextIO

from dicomgate.audit.record import SHOWN, Event, Outcome, Record

_QUEUE = 10_000
_GATHER = 0.05
"""Seconds between two writes: one wake-up for many lines instead of one each."""
_QUIET = frozenset({Event.ASSOCIATION_REQUESTED, Event.ASSOCIATION_ADMITTED, Event.OPERATION})
"""Routine that the audit trail keeps and the log leaves out, unless it went wrong."""


class Journal:
    """Log lines as JSON objects: `time`, `level`, `event`, then what belongs to it."""

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._verbose = verbose
        self._lines: deque[dict[str, object]] = deque()
        self._dropped = 0
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_until_closed, name="journal", daemon=True)
        self._thread.start()

    def record(self, record: Record) -> None:
        """Log a record, when it is worth a line."""
        if record.event in _QUIET and record.outcome is Outcome.SUCCESS and not self._verbose:
            return
        routine = record.outcome is Outcome.SUCCESS and record.event is not Event.FINDING
        level = "info" if routine else "warning"
        values = {name: value for name in SHOWN[3:] if (value := getattr(record, name)) not in (None, "")}
        values["detail"] = dict(record.detail)
        self.say(level, record.event.value, outcome=record.outcome.value, **values)

    def say(self, level: str, event: str, **values: object) -> None:
        """Log something of the gate's own."""
        line: dict[str, object] = {"time": datetime.now(UTC), "level": level, "event": event, **values}
        with self._wake:
            if len(self._lines) >= _QUEUE:
                self._dropped += 1
                return
            self._lines.append(line)
            if len(self._lines) == 1:
                self._wake.notify()

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits and stop; a stream that takes nothing is given up after `timeout` seconds."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout)

    def _write_until_closed(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._lines or self._closing)
                self._wake.wait_for(lambda: self._closing, _GATHER)
                lines, self._lines = self._lines, deque()
                dropped, self._dropped = self._dropped, 0
                closing = self._closing
            text = "".join(map(_line, lines))
            if dropped:
                lost = {"time": datetime.now(UTC), "level": "warning", "event": "log_lines_lost", "count": dropped}
                text += _line(lost)
            try:
                self._stream.write(text)
                self._stream.flush()
            except ValueError:
                return  # the stream is closed, and nobody can be told so; the records are elsewhere
            except OSError:
                with self._wake:
                    self._dropped += dropped + len(lines)  # a full disk: said once there is room again
            if closing:
                return


def _line(values: dict[str, object]) -> str:
    when = values["time"]
    if isinstance(when, datetime):
        values["time"] = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(values, default=str) + "\n"
