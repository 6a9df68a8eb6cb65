"""What the desk tells besides answers: things that somebody should hear of once, when they begin and when they end."""

from dataclasses import dataclass
from enum import StrEnum

from dicomgate.facts import Origin
from dicomgate.identity.emergency import Grant


class Scope(StrEnum):
    """What is locked out; see guard.py."""

    USER_AND_ADDRESS = "user_and_address"
    ADDRESS = "address"
    USER = "user"
    """This user, from every address where the user was not verified before."""


@dataclass(frozen=True, slots=True)
class LockedOut:
    """A lockout has begun. `user` is the name as claimed; None when only the address counts. `origin` made it full."""

    scope: Scope
    user: str | None
    origin: Origin
    failures: int
    seconds: float


@dataclass(frozen=True, slots=True)
class VerifierBroke:
    """A bug. `what` is the exception's type and place."""

    verifier: str
    what: str


@dataclass(frozen=True, slots=True)
class VerifierStuck:
    """All its threads are past the deadline. Until one comes back the verifier counts as unavailable."""

    verifier: str
    threads: int


@dataclass(frozen=True, slots=True)
class VerifierBack:
    verifier: str


@dataclass(frozen=True, slots=True)
class EmergencyInForce:
    """Found in force: granted just now, or before the gate started."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class EmergencyOver:
    grant: Grant


Notice = LockedOut | VerifierBroke | VerifierStuck | VerifierBack | EmergencyInForce | EmergencyOver


def broke(verifier: str, bug: BaseException) -> VerifierBroke:
    """Not the exception's text: a UnicodeDecodeError, for one, holds the bytes that it failed at."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
    return VerifierBroke(verifier, f"{type(bug).__name__} at {where}")
