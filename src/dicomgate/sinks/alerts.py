"""Findings to people: mail, webhook, chat, pager, through apprise. Grouped, rate-limited, on a thread of its own.

In: records; only findings of a certain severity are taken. Out: messages. A receiver that hangs or fails delays
messages to that sink and nothing else. The addresses are secrets: no message and no error repeats them.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dicomgate.audit.record import Event, Outcome, Record, iso_time
from dicomgate.detect.model import Severity

WAITING = 1000
"""Findings that may wait for their message."""
LINES = 20
"""Findings told one by one in a message; the rest is counted."""
AGAIN = 30.0
"""Seconds until a message that could not be delivered is tried again; findings that come meanwhile join it."""
_AT_ONCE = 1.0
"""Seconds that a critical finding waits for others."""
_HOUR = 3600.0

Send = Callable[[str, str], bool]
"""Title and body; True when every receiver took it."""
Troubled = Callable[[str, str | None], None]
"""Name of the sink, and why its messages cannot be delivered; None when they can again."""


class AlertsError(Exception):
    """The receivers cannot be used: which file or variable, and why. Holds no address."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """One `[[sink]]` of kind `alert`. One of `urls_file` and `urls_env` is set."""

    name: str
    gate: str = ""
    urls_file: Path | None = None
    urls_env: str | None = None
    minimum: Severity = Severity.MEDIUM
    group: float = 30.0
    most_per_hour: int = 30


def receivers(settings: AlertSettings) -> list[str]:
    """The addresses, one a line; empty lines and those that begin with # are left out. AlertsError."""
    if settings.urls_file is not None:
        place = f"urls_file of sink {settings.name} ({settings.urls_file})"
        try:
            text = settings.urls_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise AlertsError(f"{place}: cannot be read: {why}") from None
    else:
        place = f"urls_env of sink {settings.name} ({settings.urls_env})"
        text = os.environ.get(settings.urls_env or "", "")
    lines = [line.strip() for line in text.splitlines()]
    urls = [line for line in lines if line and not line.startswith("#")]
    if not urls:
        raise AlertsError(f"{place}: expected one address a line, found none")
    return urls


def sender(settings: AlertSettings) -> Send:
    """A sender through apprise. AlertsError names the line that is no address apprise knows, not what it holds."""
    from apprise import Apprise  # noqa: PLC0415 - hundreds of services, for those who use them

    logging.getLogger("apprise").disabled = True  # its lines hold addresses
    everyone = Apprise()
    for number, url in enumerate(receivers(settings), start=1):
        if not everyone.add(url):
            raise AlertsError(f"sink {settings.name}: address {number} is none that apprise knows")

    def send(title: str, body: str) -> bool:
        return bool(everyone.notify(body=body, title=title))

    return send


class Alerts:
    """`send` may block and raise; it is called on the thread of this sink only."""

    def __init__(
        self,
        settings: AlertSettings,
        send: Send,
        troubled: Troubled,
        *,
        again: float = AGAIN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._send = send
        self._troubled = troubled
        self._again = again
        self._clock = clock
        self._waiting: deque[Record] = deque()
        self._dropped = 0
        self._due = float("inf")
        self._sent: deque[float] = deque()
        self._failing = False
        self._closing = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"dicomgate-alerts-{settings.name}", daemon=True)
        self._thread.start()

    def offer(self, records: Sequence[Record]) -> None:
        """Take the findings among them that are worth a message."""
        for record in records:
            if record.event is Event.FINDING and _severity(record).rank >= self.settings.minimum.rank:
                self._take(record)

    def use(self, settings: AlertSettings, send: Send) -> None:
        """Other settings, other receivers. What waits goes to the new ones, at once if the old ones did not take it."""
        with self._wake:
            self.settings = settings
            self._send = send
            if self._failing:
                self._due = self._clock()
            self._wake.notify()

    def end(self) -> None:
        """Send what waits, once, and be done. Does not block."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    @property
    def ended(self) -> bool:
        """end() was called, and all is done."""
        return not self._thread.is_alive()

    def close(self, timeout: float = 5.0) -> None:
        """As end(); a receiver that hangs is given up after `timeout` seconds."""
        self.end()
        self._thread.join(timeout)

    def _take(self, record: Record) -> None:
        critical = _severity(record) is Severity.CRITICAL
        with self._wake:
            if len(self._waiting) >= WAITING:
                self._dropped += 1
                return
            self._waiting.append(record)
            wait = min(_AT_ONCE, self.settings.group) if critical else self.settings.group
            if not self._failing:
                self._due = min(self._due, self._clock() + wait)
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._closing and (wait := self._due - self._clock()) > 0:
                    self._wake.wait(None if wait == float("inf") else wait)
                closing = self._closing
                if not closing and (held := self._held_back()) > 0:
                    self._due = self._clock() + held
                    continue
                send = self._send
                records, self._waiting = self._waiting, deque()
                dropped, self._dropped = self._dropped, 0
                self._due = float("inf")
            if records:
                self._deliver(send, records, dropped)
            if closing:
                return

    def _held_back(self) -> float:
        """Seconds until the next message may leave."""
        now = self._clock()
        while self._sent and self._sent[0] <= now - _HOUR:
            self._sent.popleft()
        return self._sent[0] + _HOUR - now if len(self._sent) >= self.settings.most_per_hour else 0.0

    def _deliver(self, send: Send, records: deque[Record], dropped: int) -> None:
        title, body = message(self.settings.gate, list(records), dropped)
        try:
            delivered, why = send(title, body), "a receiver did not take it"
        except Exception as problem:  # apprise has a plugin for each of a hundred services
            delivered, why = False, type(problem).__name__
        self._sent.append(self._clock())
        recovered = self._failing and delivered
        with self._wake:
            self._failing = not delivered
            if not delivered:
                kept = [*records, *self._waiting]
                self._dropped += dropped + max(0, len(kept) - WAITING)
                self._waiting = deque(kept[-WAITING:])
                # Others may have taken their place meanwhile.
                self._due = self._clock() + (self._again if send is self._send else 0.0)
            elif self._waiting:
                self._due = min(self._due, self._clock() + self.settings.group)
        if recovered or not delivered:
            self._troubled(self.settings.name, None if delivered else why)


def message(gate: str, records: Sequence[Record], dropped: int) -> tuple[str, str]:
    """Title and body for people: the worst first, equal ones counted, no more than LINES of them."""
    worst = max(records, key=lambda record: _severity(record).rank)
    count = len(records) + dropped
    title = f"dicomgate {gate}: {_severity(worst).value}: {worst.reason or worst.rule}"
    if count > 1:
        title = f"{title} (and {count - 1} more)"
    groups: dict[tuple[str | None, object], list[Record]] = {}
    for record in records:
        groups.setdefault((record.rule, record.detail.get("subject")), []).append(record)
    ordered = sorted(groups.values(), key=lambda group: -max(_severity(record).rank for record in group))
    lines = [_line(group) for group in ordered[:LINES]]
    told = sum(len(group) for group in ordered[:LINES])
    if count > told:
        lines.append(f"and {count - told} more, see dicomgate audit search --event finding")
    return title, "\n".join(lines)


def _line(group: list[Record]) -> str:
    last = group[-1]
    done = str(last.detail.get("answer", ""))
    if last.outcome is Outcome.WOULD_REFUSE:
        done = f"{done}; would {last.detail.get('simulated')}"
    elif last.refusal_id:
        done = f"{done} {last.refusal_id}"
    times = f" ({len(group)} times)" if len(group) > 1 else ""
    return f"{iso_time(last.time)} {_severity(last).value} {last.rule} {last.reason}{times} [{done}]"


def _severity(record: Record) -> Severity:
    try:
        return Severity(str(record.detail.get("severity")))
    except ValueError:
        return Severity.LOW
