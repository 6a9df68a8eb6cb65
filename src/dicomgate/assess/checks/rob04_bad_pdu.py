"""ROB-04: are malformed requests refused, and does the target live on?"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import refused_in_tls
from dicomgate.assess.dialogue import Accepted, Answer, Dialogue, NoAnswer
from dicomgate.assess.line import Ending
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal
from dicomgate.wire.codec import encode

_CONTEXT_ID = 74 + 4 + 21 + 4
"""Where the first presentation context's ID stands: header and titles, item 10H, header of item 20H."""
_CONTEXT = 74 + 4 + 21


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[tuple[str, Answer], ...]


def malformed(called_ae_title: str) -> dict[str, bytes]:
    """What is wrong, and the bytes: each is a proper request but for that."""
    request = encode(Proposal().request(called_ae_title))
    size = 4 + int.from_bytes(request[_CONTEXT + 2 : _CONTEXT + 4], "big")
    context, after = request[_CONTEXT : _CONTEXT + size], request[_CONTEXT + size :]
    even = request[:_CONTEXT_ID] + b"\2" + request[_CONTEXT_ID + 1 :]
    return {
        "PDU type 99H": b"\x99\0\0\0\0\4\0\0\0\0",
        "an even context ID": even,
        "a context ID twice": _with_length(request[:_CONTEXT] + context * 2 + after),
        "300 contexts": _with_length(
            request[:_CONTEXT]
            + b"".join(context[:4] + bytes([2 * n % 256 | 1]) + context[5:] for n in range(300))
            + after
        ),
    }


def _with_length(pdu: bytes) -> bytes:
    return pdu[:2] + (len(pdu) - 6).to_bytes(4, "big") + pdu[6:]


def probe(prober: Prober) -> Seen | Judgement:
    contact = prober.contact or prober.make_contact()
    if (skip := refused_in_tls(contact.answer)) is not None:
        return skip
    answers: list[tuple[str, Answer]] = []
    for what, data in malformed(prober.target.called_ae_title).items():
        with prober.line() as line:
            if isinstance(line, NoAnswer):
                answers.append((what, line))
                continue
            dialogue = Dialogue(line, prober.patience)
            answers.append((what, dialogue.send_raw(data)))
            dialogue.release()
    prober.check_health()
    return Seen(tuple(answers))


def judge(seen: Seen) -> Judgement:
    accepted = [what for what, answer in seen.answers if isinstance(answer, Accepted)]
    waiting = [
        what
        for what, answer in seen.answers
        if isinstance(answer, NoAnswer) and answer.connected and answer.ending is Ending.TIMED_OUT
    ]
    if accepted or waiting:
        listed = ", ".join((*accepted, *waiting))
        return failed(f"Not refused: {listed}", accepted=", ".join(accepted), waiting=", ".join(waiting))
    if any(isinstance(answer, NoAnswer) and not answer.connected for _, answer in seen.answers):
        return inconclusive("Not every connection could be made", tried=len(seen.answers))
    return passed("Malformed requests are refused, and it answers afterwards as before", tried=len(seen.answers))


PROCEDURE = Procedure(
    Check(
        "ROB-04",
        "malformed requests are not refused",
        (Requirement.R4,),
        Severity.MEDIUM,
        Mode.INTRUSIVE,
        "PDU type 99H; an even context ID; the same context ID twice; 300 contexts; then the first request again",
        "an A-ASSOCIATE-AC or silence instead of an A-ABORT, a rejection or the end of the connection",
        "Programs that take what the standard forbids are where attackers find flaws.",
        "Put the gate in front: the archive only ever sees requests that the gate has built.",
    ),
    probe,
    judge,
)
