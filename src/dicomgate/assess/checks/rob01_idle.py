"""ROB-01: how long may a connection be held that asks for nothing, or only half?"""

import time
from dataclasses import dataclass

from dicomgate.assess.checks.reading import refused_in_tls
from dicomgate.assess.dialogue import NoAnswer
from dicomgate.assess.line import Line, LineError
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal
from dicomgate.wire.codec import encode

HALF = 40
"""Bytes of an A-ASSOCIATE-RQ that are sent at once."""


@dataclass(frozen=True, slots=True)
class Seen:
    silent: float | None
    """Seconds after which a silent connection was ended; None when it was still open at the end."""
    dripping: float | None
    connected: bool


def half_request(prober: Prober) -> tuple[bytes, bytes]:
    """The first bytes of a proper request, and the rest."""
    request = encode(Proposal().request(prober.target.called_ae_title))
    return request[:HALF], request[HALF:]


def probe(prober: Prober) -> Seen | Judgement:
    contact = prober.contact or prober.make_contact()
    if (skip := refused_in_tls(contact.answer)) is not None:
        return skip
    with prober.line() as line:
        if isinstance(line, NoAnswer):
            return Seen(None, None, connected=False)
        silent = _ended(prober, line, b"", prober.tempo.idle_seconds, prober.tempo.drip_interval)
    with prober.line() as line:
        if isinstance(line, NoAnswer):
            return Seen(silent, None, connected=False)
        first, rest = half_request(prober)
        try:
            line.send(first, time.monotonic() + prober.patience.connect)
        except LineError:
            return Seen(silent, 0.0, connected=True)
        dripping = _ended(prober, line, rest, prober.tempo.drip_seconds, prober.tempo.drip_interval)
    prober.check_health()
    return Seen(silent, dripping, connected=True)


def _ended(prober: Prober, line: Line, drops: bytes, seconds: float, interval: float) -> float | None:
    """Hold a line for so long, one byte an interval; after how many seconds the other side has ended it."""
    begun = prober.now()
    while prober.now() < begun + seconds:
        prober.heed()
        deadline = time.monotonic() + min(interval, seconds)
        try:
            line.receive(deadline)
        except LineError as error:
            if error.ending.name != "TIMED_OUT":
                return prober.now() - begun
        else:
            return prober.now() - begun  # an A-ABORT or the end: either way it does not wait any more
        drop, drops = drops[:1], drops[1:]
        try:
            line.send(drop, time.monotonic() + prober.patience.connect)
        except LineError:
            return prober.now() - begun
    return None


def judge(seen: Seen) -> Judgement:
    if not seen.connected:
        return inconclusive("No connection could be made")
    facts: dict[str, Fact] = {
        "silent_ended": seen.silent is not None,
        "dripping_ended": seen.dripping is not None,
    }
    if seen.silent is None or seen.dripping is None:
        which = " and ".join(
            name for name, ended in (("silent", seen.silent), ("dripping", seen.dripping)) if ended is None
        )
        return failed(f"A {which} connection is held for as long as it was tried", **facts)
    return passed("Silent and dripping connections are ended", **facts)


PROCEDURE = Procedure(
    Check(
        "ROB-01",
        "connections that ask for nothing are held",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.INTRUSIVE,
        "a connection on which nothing is said for 60 s; then half an A-ASSOCIATE-RQ, and one byte every 8 s for 90 s",
        "either is still open at the end",
        "A single computer can occupy every place, and no modality gets through.",
        "Put the gate in front: a request has 15 s from its first byte to its last.",
    ),
    probe,
    judge,
)
