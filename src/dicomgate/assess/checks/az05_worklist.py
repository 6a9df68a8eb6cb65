"""AZ-05: may a stranger read the worklist? The query names a station that does not exist."""

from dicomgate.assess.checks.az02_query import find_command
from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import MODALITY_WORKLIST, Offer, identifier, item, random_title

_SCHEDULED_PROCEDURE_STEP_SEQUENCE, _SCHEDULED_STATION_AE_TITLE = 0x00400100, 0x00400001


def probe(prober: Prober) -> Asked:
    step = item({_SCHEDULED_STATION_AE_TITLE: random_title()})
    query = identifier({_SCHEDULED_PROCEDURE_STEP_SEQUENCE: step})
    return prober.ask_one(Offer(MODALITY_WORKLIST), find_command(MODALITY_WORKLIST), query)


def judge(seen: Asked) -> Judgement:
    known = not_asked(seen, "The modality worklist") or refused_operation(seen)
    replies = seen.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {"calling": seen.calling, "status": status(replies.status), "pending": replies.pending}
    return failed("The worklist answers a stranger", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-05",
        "a stranger may read the worklist",
        (Requirement.R3,),
        Severity.HIGH,
        Mode.QUERY,
        "modality worklist C-FIND for a station title of random characters",
        "status 0000H",
        "Today's patients, with names and planned examinations, are open to anybody.",
        "Let only modalities ask for the worklist: the gate's verb worklist, per peer.",
    ),
    probe,
    judge,
)
