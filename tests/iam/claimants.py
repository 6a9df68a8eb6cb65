"""Who comes to the desk, and who stands behind it: claims of every kind, verifiers that say what they are told to."""

import queue
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address

from dicomgate.facts import Origin
from dicomgate.iam.desk import Desk
from dicomgate.iam.guard import Guard
from dicomgate.iam.notices import Notice
from dicomgate.iam.settings import DeskLimits, GuardLimits
from dicomgate.identity.claims import Claims, Credential, JsonWebToken, Passcode, Username
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Refuted, Unavailable, Verification, Verified, Verifier
from dicomgate.wire.codes import IdentityType


def claims(credential: Credential, address: str = "10.1.3.7") -> Claims:
    kinds = {
        Username: IdentityType.USERNAME,
        Passcode: IdentityType.USERNAME_AND_PASSCODE,
        JsonWebToken: IdentityType.JWT,
    }
    origin = Origin("outside", ip_address(address), 40000)
    return Claims(credential, kinds[type(credential)], origin, "READER1", "ARCHIVE")


def login(name: str = "alice", passcode: bytes = b"open sesame", address: str = "10.1.3.7") -> Claims:
    return claims(Passcode(name, passcode), address)


def verified(name: str = "alice", verifier: str = "staff", **fields: object) -> Verified:
    return Verified(Principal(name, verifier, IdentityType.USERNAME_AND_PASSCODE, **fields))  # type: ignore[arg-type]


class Says:
    """A verifier that answers from a function or a value, and counts how often it was asked."""

    def __init__(
        self,
        answer: Verification | Callable[[Claims], Verification],
        name: str = "staff",
        types: frozenset[IdentityType] = frozenset(IdentityType),
    ) -> None:
        self.name = name
        self.identity_types = types
        self.asked: list[Claims] = []
        self.closed = 0
        self.threads: set[str] = set()
        self._answer = answer

    def verify(self, claims: Claims, now: float) -> Verification:
        self.asked.append(claims)
        self.threads.add(threading.current_thread().name)
        return self._answer(claims) if callable(self._answer) else self._answer

    def close(self) -> None:
        self.closed += 1


class Hangs(Says):
    """A verifier that answers only when it is let."""

    def __init__(self, answer: Verification, name: str = "slow") -> None:
        super().__init__(self._wait, name)
        self.go = threading.Event()
        self._then = answer

    def _wait(self, claims: Claims) -> Verification:
        assert self.go.wait(30)
        return self._then


class Counter:
    """A desk, its event loop, and what came out of it. `answers` are in the order they came, with their claims."""

    def __init__(
        self,
        *verifiers: Verifier,
        threads: int = 2,
        limits: DeskLimits | None = None,
        guard: GuardLimits | None = None,
        amend: Callable[[Verified, Claims, float], Verified | Unavailable] | None = None,
    ) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.notices: list[Notice] = []
        self.answers: list[tuple[Claims, Verification]] = []
        self.guard = Guard(guard or GuardLimits(delay=0.001, longest_delay=0.002))
        self.desk = Desk(
            [(verifier, threads) for verifier in verifiers],
            self.guard,
            amend or (lambda verified, claims, now: verified),
            self.calls.put,
            self.notices.append,
            limits or DeskLimits(deadline=20.0),
        )

    def submit(self, what: Claims, *names: str) -> None:
        thread = threading.current_thread()

        def done(answer: Verification) -> None:
            assert threading.current_thread() is thread, "answered on a worker's thread"
            self.answers.append((what, answer))

        self.desk.submit(what, names or None, done)

    def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Run the event loop until something is true."""
        deadline = time.monotonic() + seconds
        while not true():
            try:
                self.calls.get(timeout=max(0.0, min(0.01, deadline - time.monotonic())))()
            except queue.Empty:
                assert time.monotonic() < deadline, f"answers {self.answers}, notices {self.notices}"

    def ask(self, what: Claims, *names: str) -> Verification:
        before = len(self.answers)
        self.submit(what, *names)
        self.until(lambda: len(self.answers) > before)
        return self.answers[-1][1]

    def causes(self) -> list[str]:
        return [answer.cause for _, answer in self.answers if isinstance(answer, Refuted)]
