"""AZ-10: are formats offered to a stranger that carry documents, private data or compressed streams?"""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Accepted, Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, passed
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, SECONDARY_CAPTURE, Offer, Proposal

_PLAIN = (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN)
FORMATS = {
    "encapsulated PDF": Offer("1.2.840.10008.5.1.4.1.1.104.1", _PLAIN),
    "encapsulated CDA": Offer("1.2.840.10008.5.1.4.1.1.104.2", _PLAIN),
    "encapsulated STL": Offer("1.2.840.10008.5.1.4.1.1.104.3", _PLAIN),
    "raw data": Offer("1.2.840.10008.5.1.4.1.1.66", _PLAIN),
    "private class": Offer("1.2.276.0.7230010.3.1.0.1", _PLAIN),
    "deflated": Offer(SECONDARY_CAPTURE, ("1.2.840.10008.1.2.1.99",)),
    "JPEG 2000": Offer("1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2.4.90",)),
}
"""What risky formats are called here, and what proposes them."""


@dataclass(frozen=True, slots=True)
class Seen:
    answer: Answer


def probe(prober: Prober) -> Seen:
    return Seen(prober.ask(Proposal(tuple(FORMATS.values()), calling=prober.caller)))


def judge(seen: Seen) -> Judgement:
    if not isinstance(seen.answer, Accepted):
        return admission(seen.answer, "", "Refused at the association")
    accepted = [name for position, name in enumerate(FORMATS) if 2 * position + 1 in seen.answer.accepted_contexts]
    if accepted:
        return failed(f"A stranger may store: {', '.join(accepted)}", formats=", ".join(accepted))
    return passed("None of the risky formats is offered to this caller", proposed=len(FORMATS))


PROCEDURE = Procedure(
    Check(
        "AZ-10",
        "risky formats are offered to a stranger",
        (Requirement.R4,),
        Severity.MEDIUM,
        Mode.NEGOTIATION,
        f"A-ASSOCIATE-RQ with contexts for {', '.join(FORMATS)}; nothing is stored",
        "any of them accepted",
        "Documents can carry programs, and decoders of compressed streams are where most flaws are found.",
        "Allow each device its own SOP classes and transfer syntaxes: sop_classes and transfer_syntaxes of the peer.",
    ),
    probe,
    judge,
)
