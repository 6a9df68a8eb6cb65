"""IDN-06: are passcodes taken in clear? The probe is shared with IDN-02 and IDN-03."""

from dicomgate.assess.checks.made_up_passcode import Seen, probe
from dicomgate.assess.checks.reading import refused_identity, saw
from dicomgate.assess.dialogue import Accepted
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.procedure import Procedure


def judge(seen: Seen) -> Judgement:
    facts: dict[str, Fact] = {"without_identity": str(seen.without), "with_passcode": str(seen.made_up)}
    if seen.tls:
        return passed("DICOM is spoken over TLS only", **facts)
    if isinstance(seen.made_up, Accepted):
        return failed("A passcode in clear is taken without objection", **facts)
    if refused_identity(seen.without) and str(seen.made_up) == str(seen.without):
        why = "An identity is asked for in clear; whether the passcode or the transport was refused is not said"
        return inconclusive(why, **facts)
    return inconclusive(f"With a passcode in clear the target {saw(seen.made_up)}, which proves neither", **facts)


PROCEDURE = Procedure(
    Check(
        "IDN-06",
        "passcodes travel in clear",
        (Requirement.R1, Requirement.R6),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "a made-up passcode (58H type 2) on a port without TLS",
        "A-ASSOCIATE-AC: nothing stops a workstation from sending real passcodes this way",
        "Whoever can listen on the network learns passwords that often open other systems, too.",
        "Offer DICOM over TLS only (2762), and refuse identities elsewhere, as the gate does.",
    ),
    probe,
    judge,
)
