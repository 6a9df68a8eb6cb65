"""ADM-08: is an application context accepted that DICOM does not define? The engine's first question is the probe."""

from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity
from dicomgate.assess.prober import Prober, undefined
from dicomgate.assess.procedure import Procedure


def undefined_answer(prober: Prober) -> Answer:
    """The answer to a request whose application context and second abstract syntax nobody has defined."""
    return prober.ask(prober.keep("undefined", undefined))


def judge(seen: Answer) -> Judgement:
    return admission(
        seen, "An undefined application context is accepted", "An undefined application context is refused"
    )


PROCEDURE = Procedure[Answer](
    Check(
        "ADM-08",
        "an undefined application context is accepted",
        (Requirement.R4,),
        Severity.LOW,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ with the application context 2.25.1",
        "A-ASSOCIATE-AC instead of rejected 1/1/2",
        "Not dangerous by itself: it shows that requests are not looked at closely.",
        "Nothing on the archive; the gate refuses it and always sends the right one on.",
    ),
    undefined_answer,
    judge,
)
