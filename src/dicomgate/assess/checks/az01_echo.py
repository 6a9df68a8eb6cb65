"""AZ-01: does C-ECHO answer a stranger? The first contact has asked."""

from dicomgate.assess.checks.reading import status
from dicomgate.assess.dialogue import Accepted
from dicomgate.assess.model import Check, Judgement, Mode, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Contact, Prober
from dicomgate.assess.procedure import Procedure


def probe(prober: Prober) -> Contact:
    return prober.contact or prober.make_contact()


def judge(seen: Contact) -> Judgement:
    if seen.echo is None:
        if isinstance(seen.answer, Accepted):
            return passed("Verification is not offered to a stranger", answer=str(seen.answer))
        return passed("A stranger gets no association to send a C-ECHO on", answer=str(seen.answer))
    if seen.echo.status == 0:
        return failed("C-ECHO answers a stranger", status=status(seen.echo.status))
    if seen.echo.status is None:
        return inconclusive("C-ECHO was not answered", status=status(seen.echo.status))
    return passed("C-ECHO is refused", status=status(seen.echo.status))


PROCEDURE = Procedure(
    Check(
        "AZ-01",
        "C-ECHO answers a stranger",
        (),
        Severity.INFO,
        Mode.NEGOTIATION,
        "one C-ECHO-RQ",
        "status 0000H",
        "Harmless by itself; it tells a scanner that a DICOM service is alive.",
        "Nothing, unless refusals shall tell strangers nothing at all.",
    ),
    probe,
    judge,
)
