"""ROB-02: do a few half requests lock everybody else out? The only check that holds several connections at once."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from dicomgate.assess.checks.reading import refused_in_tls, saw
from dicomgate.assess.checks.rob01_idle import half_request
from dicomgate.assess.dialogue import Answer, NoAnswer, Rejected
from dicomgate.assess.line import LineError
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure

HELD = 5


@dataclass(frozen=True, slots=True)
class Seen:
    before: Answer
    during: Answer
    held: int


def probe(prober: Prober) -> Seen | Judgement:
    contact = prober.contact or prober.make_contact()
    if (skip := refused_in_tls(contact.answer)) is not None:
        return skip
    held = 0
    with ExitStack() as lines:
        for _ in range(HELD):
            line = lines.enter_context(prober.line())
            if not isinstance(line, NoAnswer):
                try:
                    line.send(half_request(prober)[0], time.monotonic() + prober.patience.connect)
                except LineError:
                    continue  # ended at once: it holds no place
                held += 1
        during = prober.health()
    prober.check_health()
    return Seen(contact.answer, during, held)


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {"held": seen.held, "before": str(seen.before), "during": str(seen.during)}
    if str(seen.during) == str(seen.before):
        return passed(f"With {seen.held} half requests open it answers as before", **facts)
    if isinstance(seen.during, NoAnswer) or (isinstance(seen.during, Rejected) and seen.during.rejection.transient):
        return failed(f"With {seen.held} half requests open the target {saw(seen.during)}", **facts)
    return inconclusive(f"With {seen.held} half requests open it answers otherwise: {seen.during}", **facts)


PROCEDURE = Procedure(
    Check(
        "ROB-02",
        "a few half requests lock everybody out",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.INTRUSIVE,
        f"{HELD} half A-ASSOCIATE-RQ at the same time, then the first request once more",
        "rejected as busy (2/3/2), or no answer, where there was one before",
        "A handful of connections from one computer stop the department.",
        "Put the gate in front: half-open connections are counted per address.",
    ),
    probe,
    judge,
)
