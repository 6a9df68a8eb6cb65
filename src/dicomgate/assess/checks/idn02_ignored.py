"""IDN-02: is a user identity ignored? The probe is shared with IDN-03 and IDN-06."""

from dicomgate.assess.checks.made_up_passcode import Seen, probe
from dicomgate.assess.checks.reading import admission, vouched
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, SkipReason, skipped
from dicomgate.assess.procedure import Procedure


def judge(seen: Seen) -> Judgement:
    if vouched(seen.made_up):
        return skipped(SkipReason.NOT_APPLICABLE, "The made-up user was not ignored but confirmed (IDN-03)")
    return admission(
        seen.made_up,
        "A user who does not exist is let in: the identity is ignored",
        "A user who does not exist is refused",
    )


PROCEDURE = Procedure(
    Check(
        "IDN-02",
        "user identities are ignored",
        (Requirement.R1,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ with a made-up user and passcode (58H type 2), response requested",
        "A-ASSOCIATE-AC without a response (59H)",
        "Workstations ask people for a password and the archive does not look at it.",
        "Let the gate verify identities against the hospital's directory; it never passes them on to the archive.",
    ),
    probe,
    judge,
)
