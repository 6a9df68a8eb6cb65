"""IDN-03: is a user who does not exist confirmed? The probe is shared with IDN-02 and IDN-06."""

from dicomgate.assess.checks.made_up_passcode import Seen, probe
from dicomgate.assess.checks.reading import admission, vouched
from dicomgate.assess.dialogue import Accepted
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity, failed, passed
from dicomgate.assess.procedure import Procedure


def judge(seen: Seen) -> Judgement:
    if vouched(seen.made_up):
        return failed("A made-up user with a made-up passcode is confirmed", answer=str(seen.made_up))
    if isinstance(seen.made_up, Accepted):
        return passed("A made-up user is not confirmed", answer=str(seen.made_up))
    return admission(seen.made_up, "", "A made-up user is refused")


PROCEDURE = Procedure(
    Check(
        "IDN-03",
        "a made-up user is confirmed",
        (Requirement.R1,),
        Severity.CRITICAL,
        Mode.NEGOTIATION,
        "A-ASSOCIATE-RQ with a made-up user and passcode (58H type 2), response requested",
        "A-ASSOCIATE-AC with a response (59H)",
        "The archive vouches for people it has never checked; its audit trail names whoever the caller likes.",
        "Switch the false check off, and let the gate verify identities.",
    ),
    probe,
    judge,
)
