"""Records, or checkpoints, from the store to one outlet: in order, each at least once, through days of outage.

The store itself is the spool. In: a Source and news that something was committed. Out: batches for an Outlet,
and two kinds of report: the sink has failed or recovered, and a record had to be passed over.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from dicomgate.audit.record import Record
from dicomgate.audit.sink import SignedCheckpoint, Source, SourceError

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Numbered = tuple[int, Record]
Report = Callable[[str, str | None], None]
"""Told, on the spool's thread, with the name of the sink: why it has failed, or None when it delivers again."""
PassedOver = Callable[[str, int, str], None]
"""Told with the name of the sink, the sequence of a record that it will never deliver, and why."""

BATCH = 200
MOST_UNSETTLED = 5000
"""Records that may be sent again after a connection is lost; then the outlet has to make sure of them."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
STEADY = 60.0
"""Seconds without a failure, after which the next one begins with the first pause again."""

_GATHER = 0.5
"""Seconds between two looks at the store: one look for many commits."""
_LOOK = 30.0
"""Seconds after which the store is looked at without news: commands such as `dicomgate user` write to it, too."""
_CHECK = 1.0
"""Seconds between two looks at a connection on which something is not yet sure."""
_KEEP = 2.0
"""Seconds between two writes of the cursor, each of which takes the store's lock."""

_ILLEGIBLE = "the record can no longer be made out in the store"


class DeliveryError(Exception):
    """Nothing more can be delivered now: where, and why, in words for a record."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a batch: sent up to this sequence (the rest is asked for again), except for those refused."""

    upto: int
    refused: Sequence[tuple[int, str]] = ()
    """Records that will never be taken, each with the reason."""


class Outlet(Protocol[T_contra]):
    """Where one sink sends. Every method is called on the spool's thread, may block, and raises DeliveryError.

    After an error the outlet is closed, and what was not sure is sent again.
    """

    patience: float
    """Seconds after which what was sent is made sure of, while nothing else asks for it."""
    overlap: float
    """Seconds for which even what is sure is sent again after a failure: a receiver may die with it in its memory."""

    def send(self, records: Sequence[tuple[int, T_contra]]) -> Sent:
        """Send in order, opening the connection if need be. At least one record comes in."""
        ...

    def settle(self) -> None:
        """Make sure that everything sent has been received."""
        ...

    def check(self) -> None:
        """Raise when what was sent since the last `settle` is already known to be lost."""
        ...

    def close(self) -> None:
        """Let go of the connection or file, whatever its state; `send` opens it again. Raises nothing."""
        ...


class Spool(Generic[T]):
    """One sink: a thread of its own, and a cursor in the store that only moves over what is surely delivered.

    A sink that the store has never seen begins with the oldest record (`replay`), or behind `newcomer` (a sequence;
    None: whatever is newest when the thread starts). With `after`, another spool of the same name, the thread first
    waits for that one's end. It holds no more than one batch of records.
    """

    def __init__(
        self,
        name: str,
        source: Source[T],
        outlet: Outlet[T],
        report: Report,
        passed_over: PassedOver,
        *,
        replay: bool = False,
        newcomer: int | None = None,
        after: "Spool[Record] | Spool[SignedCheckpoint] | None" = None,
        first_pause: float = FIRST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.failing: str | None = None
        self.failures = 0
        self.passed_over = 0
        self.cursor = 0
        """Up to here everything is surely delivered, and would not be sent again."""
        self._source = source
        self._outlet = outlet
        self._report = report
        self._report_passed_over = passed_over
        self._replay = replay
        self._newcomer = newcomer
        self._after = after
        self._first_pause = first_pause
        self._clock = clock
        self._begun = False
        self._position = 0  # sent up to here
        self._unsettled_since: float | None = None
        self._sure: deque[tuple[float, int]] = deque()  # since when, up to where; the cursor follows `overlap` later
        self._kept = (0.0, 0)  # the cursor in the store: when, where
        self._pause = 0.0
        self._good_since: float | None = None
        self._changed = threading.Condition()
        self._news = False
        self._ending = False
        self._thread = threading.Thread(target=self._work, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be new records. From any thread; does not block."""
        if self._news:
            return  # it will look before long: a wake-up with every commit costs more than the look
        with self._changed:
            self._news = True
            self._changed.notify()

    def end(self) -> None:
        """Deliver what is in the store at once and stop; a sink that fails is given one try. Does not block."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def needed(self) -> int:
        """The first record that it may still read from the store, also after a restart."""
        return self._kept[1] + 1

    def behind(self) -> int:
        """How many records the cursor is behind the newest one, about. Asks the store: raises SourceError."""
        return max(0, self._source.newest() - self.cursor) if self._begun else 0

    # -- the thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        if self._after is not None:
            self._after.join()
            self._after = None
        try:
            while self._turn():
                pass
        finally:
            self._outlet.close()

    def _turn(self) -> bool:
        """One look at the store and what follows from it; False at the end."""
        ending = self._ending
        try:
            more = self._deliver(ending)
        except (DeliveryError, SourceError) as problem:
            self._failed(str(problem))
        except Exception as bug:  # whatever it is: a sink whose thread died would be silent for ever
            self._failed(f"internal error: {type(bug).__name__}")
        else:
            if more:
                return True
            return not ending and self._wait_for_news()
        return not ending and self._wait_out()

    def _deliver(self, ending: bool) -> bool:
        """Send the next batch; whether there is more to send already."""
        if not self._begun:
            self._begin()
        batch = self._source.read(self._position, BATCH)
        if batch:
            self._unsettled_since = self._unsettled_since or self._clock()
            self._position = self._send(batch)
        if self._unsettled_since is not None:
            if self._must_settle(self._unsettled_since, ending and not batch):
                self._outlet.settle()
                self._settled()
            else:
                self._outlet.check()
        self._move_cursor(ending and not batch)
        # A short batch was all there was; what came meanwhile is news.
        return bool(batch) and (ending or len(batch) == BATCH or self._position < batch[-1][0])

    def _send(self, batch: Sequence[tuple[int, T | None]]) -> int:
        """Up to where."""
        whole = [(number, record) for number, record in batch if record is not None]
        sent = self._outlet.send(whole) if whole else Sent(batch[-1][0])
        upto = batch[-1][0] if whole and sent.upto == whole[-1][0] else sent.upto
        lost = [(number, _ILLEGIBLE) for number, record in batch if record is None and number <= upto]
        for number, why in (*lost, *sent.refused):
            self.passed_over += 1
            self._report_passed_over(self.name, number, why)
        return upto

    def _begin(self) -> None:
        cursor = self._source.cursor(self.name)
        if cursor is None:
            newest = self._source.newest() if self._newcomer is None else self._newcomer
            cursor = 0 if self._replay else newest
            self._source.keep(self.name, cursor)
        self.cursor = self._position = cursor
        self._kept = (self._clock(), cursor)
        self._begun = True

    def _must_settle(self, since: float, last: bool) -> bool:
        return (
            last
            or self.failing is not None  # only what is sure proves that it has recovered
            or self._clock() - since >= self._outlet.patience
            or self._position - self.cursor >= MOST_UNSETTLED
        )

    def _settled(self) -> None:
        now = self._clock()
        self._unsettled_since = None
        self._sure.append((now, self._position))
        if self.failing is not None:
            self.failing = None
            self._good_since = now
            self._report(self.name, None)

    def _move_cursor(self, last: bool) -> None:
        now = self._clock()
        while self._sure and (last or now - self._sure[0][0] >= self._outlet.overlap):
            self.cursor = self._sure.popleft()[1]
        when, where = self._kept
        if self.cursor != where and (last or now - when >= _KEEP):
            self._source.keep(self.name, self.cursor)
            self._kept = (now, self.cursor)

    def _failed(self, reason: str) -> None:
        self._outlet.close()
        self._position = self.cursor
        self._unsettled_since = None
        self._sure.clear()
        self.failures += 1
        if self._good_since is not None and self._clock() - self._good_since >= STEADY:
            self._pause = 0.0
        self._good_since = None
        self._pause = min(max(self._pause * 2, self._first_pause), LONGEST_PAUSE)
        told, self.failing = self.failing is not None, reason
        if not told:
            self._report(self.name, reason)

    def _wait_for_news(self) -> bool:
        """Until there is something to look at; always True."""
        waiting = [_LOOK]
        if self._unsettled_since is not None:
            waiting.append(_CHECK)
        if self._sure or self.cursor != self._kept[1]:
            waiting.append(_KEEP)
        with self._changed:
            self._changed.wait_for(lambda: self._news or self._ending, min(waiting))
            self._changed.wait_for(lambda: self._ending, _GATHER)
            self._news = False
        return True

    def _wait_out(self) -> bool:
        """The pause after a failure. The end cuts it short, for a last try; always True."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending, self._pause)
        return True
