"""Where the gate takes claims: never blocks, asks the verifiers on their threads, answers once on the event loop.

How a claim gets its answer:

- The verifiers that take its type are asked in the order of the file. NOT_MINE and UNKNOWN_USER lead to the next one.
  So does Unavailable, but it is remembered: a user whom the others do not know may be known to the one that is down.
- A refusal waits until a time after the claim has passed that grows with each failure. It hides which verifier
  refused, how long that took, and therefore whether there is such a user.
- After `deadline` the answer is Unavailable, whatever the verifier is doing; what it says later counts for nothing.
- A bug in a verifier, or here, is told and answered with Unavailable. Nothing but a Verified lets anybody in.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from dicomgate.iam.guard import Guard
from dicomgate.iam.lane import Lane
from dicomgate.iam.notices import Notice, broke
from dicomgate.iam.settings import DeskLimits
from dicomgate.iam.timer import Timer
from dicomgate.identity.claims import Claims
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified, Verifier

Done = Callable[[Verification], None]
Amend = Callable[[Verified, Claims, float], Verified | Unavailable]
"""What becomes of a verified user before the gate hears of it: emergency roles."""

_NOBODY = Refuted(Cause.NOT_MINE, "no verifier takes this type of identity")
_PASSED_ON = (Cause.NOT_MINE, Cause.UNKNOWN_USER)


@dataclass(eq=False, slots=True)
class _Job:
    """A claim on its way. `claims` is None once it is answered: no passcode is held longer than that."""

    claims: Claims | None
    route: list[Lane["_Job"]]
    done: Done
    since: float
    lane: Lane["_Job"] | None = None
    unavailable: Unavailable | None = None
    refuted: Refuted = field(default=_NOBODY)


class Desk:
    """The IdentityDesk. `verifiers` come with the number of threads for each.

    `call_soon` brings a call to the event loop (asyncio: `loop.call_soon_threadsafe`); answers and notices take
    that way. `clock` tells seconds since 1970. Verifiers are closed by the desk.
    """

    def __init__(
        self,
        verifiers: Sequence[tuple[Verifier, int]],
        guard: Guard,
        amend: Amend,
        call_soon: Callable[[Callable[[], None]], object],
        notice: Callable[[Notice], None],
        limits: DeskLimits,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._guard = guard
        self._amend = amend
        self._call_soon = call_soon
        self._notice = notice
        self._limits = limits
        self._clock = clock
        self._timer = Timer()
        self._lock = threading.Lock()
        # Under _lock:
        self._open: set[_Job] = set()
        self._held = 0
        self._closing = False
        self._lanes = self._lanes_of(verifiers)

    def submit(self, claims: Claims, verifiers: tuple[str, ...] | None, done: Done) -> None:
        """See IdentityDesk."""
        now = time.monotonic()
        with self._lock:
            route = [
                lane
                for lane in self._lanes
                if claims.identity_type in lane.verifier.identity_types
                and (verifiers is None or lane.verifier.name in verifiers)
            ]
            job = _Job(claims, route, done, now)
            refusal = self._no_room()
            if refusal is None:
                self._open.add(job)
        if refusal is not None:
            self._post(partial(done, refusal))
            return
        self._timer.at(now + self._limits.deadline, partial(self._late, job))
        self._advance(job)

    def change(self, verifiers: Sequence[tuple[Verifier, int]], amend: Amend, limits: DeskLimits) -> None:
        """From now on these. Claims that were taken before are still answered by those from before."""
        with self._lock:
            retired, self._lanes = self._lanes, self._lanes_of(verifiers)
            self._amend, self._limits = amend, limits
        for lane in retired:
            lane.retire()

    def close(self, timeout: float = 2.0) -> None:
        """Answer whatever is open with Unavailable, and end the threads; wait `timeout` seconds for those that hang."""
        with self._lock:
            self._closing = True
            left = list(self._open)
        for job in left:
            self._conclude(job, Unavailable("the gate ends"))
        self._timer.close()
        for lane in self._lanes:
            lane.retire()
        until = time.monotonic() + timeout
        for lane in self._lanes:
            lane.join(until)

    def _lanes_of(self, verifiers: Sequence[tuple[Verifier, int]]) -> list[Lane[_Job]]:
        return [Lane(verifier, size, self._ask, self._answered, self.tell) for verifier, size in verifiers]

    def _no_room(self) -> Unavailable | None:
        if self._closing:
            return Unavailable("the gate ends")
        full = len(self._open) >= self._limits.queue
        return Unavailable(f"{self._limits.queue} claims wait already") if full else None

    # -- on the event loop or any thread

    def _advance(self, job: _Job) -> None:
        """To the next verifier, or to the end."""
        while job.route:
            lane = job.lane = job.route.pop(0)
            if lane.put(job):
                return
            job.unavailable = job.unavailable or Unavailable(f"verifier[{lane.verifier.name}] does not answer")
        # A refusal does not stand while somebody who might know the user could not be asked.
        self._conclude(job, job.unavailable or job.refuted)

    def _conclude(self, job: _Job, answer: Verification) -> None:
        claims = self._take_off(job)
        if claims is None:
            return
        wait = 0.0
        try:
            if isinstance(answer, Verified):
                answer = self._amend(answer, claims, self._clock())
            if isinstance(answer, Verified):
                self._guard.succeeded(claims)
            if isinstance(answer, Refuted) and job.lane is not None:
                wait, began = self._guard.failed(claims, answer.cause)
                for lockout in began:
                    self.tell(lockout)
        except BaseException as bug:  # see _ask
            answer = self._broken("desk", bug)
        self._hand_over(job, answer, wait)

    def _take_off(self, job: _Job) -> Claims | None:
        with self._lock:
            claims, job.claims = job.claims, None
            self._open.discard(job)
            return claims

    def _hand_over(self, job: _Job, answer: Verification, wait: float) -> None:
        due = job.since + min(wait, self._limits.deadline / 2)
        tell = partial(self._post, partial(job.done, answer))
        with self._lock:
            # Each of these is a connection that the gate counts; beyond that they are not worth memory.
            hold = due > time.monotonic() and self._held < self._limits.queue
            self._held += hold
        if hold:
            self._timer.at(due, partial(self._release, tell))
        else:
            tell()

    # -- on a thread of a lane

    def _ask(self, verifier: Verifier, job: _Job) -> Verification:
        claims = job.claims
        if claims is None:
            return Unavailable("too late")
        try:
            answer = self._guard.locked(claims) or verifier.verify(claims, self._clock())
            if not isinstance(answer, Verified | Refuted | Unavailable):
                raise TypeError("not a Verification")
        except BaseException as bug:  # a panic in a compiled library is no Exception, and must not end the thread
            return self._broken(verifier.name, bug)
        return answer

    def _answered(self, job: _Job, answer: Verification) -> None:
        if job.claims is None:
            return  # too late
        match answer:
            case Verified():
                self._conclude(job, answer)
            case Refuted(cause) if cause not in _PASSED_ON:
                self._conclude(job, answer)
            case Refuted(cause):
                if cause is Cause.UNKNOWN_USER or job.refuted is _NOBODY:
                    job.refuted = answer  # that a verifier does not know the user tells more than that it is not asked
                self._advance(job)
            case Unavailable():
                job.unavailable = job.unavailable or answer
                self._advance(job)
            case _:
                assert_never(answer)

    # -- on the timer's thread

    def _late(self, job: _Job) -> None:
        lane = job.lane
        if job.claims is None or lane is None:
            return
        self._conclude(job, Unavailable(f"no answer within {self._limits.deadline:g} s"))
        for stranded in lane.give_up(job):
            stranded.unavailable = stranded.unavailable or Unavailable(
                f"verifier[{lane.verifier.name}] does not answer"
            )
            self._advance(stranded)

    def _release(self, tell: Callable[[], None]) -> None:
        with self._lock:
            self._held -= 1
        tell()

    # -- what goes out

    def _broken(self, where: str, bug: BaseException) -> Unavailable:
        self.tell(broke(where, bug))
        return Unavailable("a bug in dicomgate; its log says where")

    def tell(self, notice: Notice) -> None:
        """Bring a notice to the event loop; from any thread."""
        self._post(partial(self._notice, notice))

    def _post(self, call: Callable[[], None]) -> None:
        # RuntimeError: the event loop is closed, and with it everything that waits for an answer.
        with suppress(RuntimeError):
            self._call_soon(call)
