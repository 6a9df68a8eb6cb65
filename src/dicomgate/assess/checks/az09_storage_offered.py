"""AZ-09: how much storage is offered to a caller who has no reason to store? Negotiated, and nothing is stored."""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Offer, Proposal

STORAGE = "1.2.840.10008.5.1.4.1.1."
_LISTED = (
    "1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 104.1 104.2 104.3 104.4 11.1 11.10 11.11 11.12 11.2 11.3 11.4 11.5 11.6 11.7 "
    "11.8 11.9 12.1 12.1.1 12.2 12.2.1 128 128.1 13.1.1 13.1.2 13.1.3 13.1.4 13.1.5 130 131 14.1 14.2 2 2.1 2.2 "
    "20 3.1 30 4 4.1 4.2 4.3 4.4 481.1 481.2 481.3 481.4 481.5 481.6 481.7 481.8 481.9 6.1 6.2 6.3 66 66.1 66.2 "
    "66.3 66.4 66.5 66.6 66.7 66.8 67 68.1 68.2 7 7.1 7.2 7.3 7.4 77.1.1 77.1.1.1 77.1.2 77.1.2.1 77.1.3 77.1.4 "
    "77.1.4.1 77.1.5.1 77.1.5.2 77.1.5.3 77.1.5.4 77.1.6 78.1 78.2 78.3 78.4 78.5 78.6 78.7 78.8 79.1 80.1 81.1 "
    "82.1 88.11 88.22 88.33 88.34 88.35 88.40 88.50 88.59 88.65 88.67 88.68 88.69 88.70 88.71 9.1.1 9.1.2 9.1.3 "
    "9.2.1 9.3.1 9.4.1 9.5.1 9.6.1 90.1 "
)
SUFFIXES = tuple(_LISTED.split())
"""Storage SOP classes of PS3.4 B.5; 128 contexts are the most that fit (odd IDs up to 255)."""


@dataclass(frozen=True, slots=True)
class Seen:
    answer: Answer
    proposed: int


def probe(prober: Prober) -> Seen:
    offers = tuple(Offer(STORAGE + suffix) for suffix in SUFFIXES)
    return Seen(prober.ask(Proposal(offers, calling=prober.caller)), len(offers))


def judge(seen: Seen) -> Judgement:
    if not isinstance(seen.answer, Accepted):
        return admission(seen.answer, "", "Refused at the association", proposed=seen.proposed)
    accepted = len(seen.answer.accepted_contexts)
    if not accepted:
        return passed("No storage is offered to this caller", proposed=seen.proposed, accepted=0)
    why = f"{accepted} of {seen.proposed} kinds of objects may be stored by this caller"
    return failed(why, proposed=seen.proposed, accepted=accepted)


PROCEDURE = Procedure(
    Check(
        "AZ-09",
        "a stranger is offered storage",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        f"A-ASSOCIATE-RQ with {len(SUFFIXES)} storage SOP classes; nothing is stored",
        "any of them accepted",
        "False images can be put into real patients' records.",
        "Let only modalities store: the gate's verb store, per peer. Orthanc: DicomAlwaysAllowStore = false.",
    ),
    probe,
    judge,
)
