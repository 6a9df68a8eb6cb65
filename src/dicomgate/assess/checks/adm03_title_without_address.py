"""ADM-03: is a known device's AE title enough, from an address that is not the device's?"""

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, skipped
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal


def probe(prober: Prober) -> Answer | Judgement:
    if prober.inputs.known_calling is None:
        return skipped(SkipReason.INPUT, "No title of a device was named: give --known-calling TITLE")
    return prober.ask(Proposal(calling=prober.inputs.known_calling))


def judge(seen: Answer) -> Judgement:
    return admission(
        seen,
        "A device's AE title is accepted from an address that is not the device's",
        "A device's AE title is refused from another address",
    )


PROCEDURE = Procedure[Answer](
    Check(
        "ADM-03",
        "a device's AE title is accepted from any address",
        (Requirement.R2, Requirement.R3),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ with a calling title that the user names, from the assessor's own address",
        "A-ASSOCIATE-AC",
        "Titles stand in manuals and on device labels; typing one is not proof of being the device.",
        "Bind each title to its address (Orthanc: DicomCheckModalityHost), and to a certificate behind the gate.",
    ),
    probe,
    judge,
)
