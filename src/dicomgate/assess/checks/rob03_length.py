"""ROB-03: is a length believed that cannot be true?"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import refused_in_tls, saw
from dicomgate.assess.dialogue import Aborted, Answer, Dialogue, NoAnswer, Rejected
from dicomgate.assess.line import Ending
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure

LIE = bytes.fromhex("01007fffffff") + b"\0\1\0\0\0\0"
"""An A-ASSOCIATE-RQ that announces 2 GiB, and 6 bytes of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    answer: Answer


def probe(prober: Prober) -> Seen | Judgement:
    contact = prober.contact or prober.make_contact()
    if (skip := refused_in_tls(contact.answer)) is not None:
        return skip
    with prober.line() as line:
        if isinstance(line, NoAnswer):
            return Seen(line)
        answer = Dialogue(line, prober.patience).send_raw(LIE)
    prober.check_health()
    return Seen(answer)


def judge(seen: Seen) -> Judgement:
    match seen.answer:
        case NoAnswer(connected=False):
            return inconclusive("No connection could be made", answer=str(seen.answer))
        case Aborted() | Rejected() | NoAnswer(ending=Ending.CLOSED | Ending.RESET | Ending.TLS_REFUSED):
            return passed(f"At a length of 2 GiB the target {saw(seen.answer)}", answer=str(seen.answer))
        case NoAnswer(ending=Ending.TIMED_OUT):
            return failed("It waits for 2 GiB of an association request", answer=str(seen.answer))
        case _:
            return inconclusive(f"At a length of 2 GiB the target {saw(seen.answer)}", answer=str(seen.answer))


PROCEDURE = Procedure(
    Check(
        "ROB-03",
        "lengths that cannot be true are believed",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.INTRUSIVE,
        "an A-ASSOCIATE-RQ header that announces 7FFFFFFFH bytes, and 6 bytes of it",
        "no A-ABORT and no end of the connection in 10 s",
        "Two gigabytes for each connection: memory runs out, and with it the archive.",
        "Put the gate in front: the longest association request is 1 MiB, judged before a byte is kept.",
    ),
    probe,
    judge,
)
