"""AZ-03: does a query for everybody bring somebody? Cancelled at the first response, which is only counted."""

from dicomgate.assess.checks.az02_query import find_command
from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import (
    PATIENT_NAME,
    QUERY_LEVEL,
    STUDY_INSTANCE_UID,
    STUDY_ROOT_FIND,
    Offer,
    identifier,
)

EVERYBODY = identifier({QUERY_LEVEL: "STUDY", PATIENT_NAME: "*", STUDY_INSTANCE_UID: ""})


def probe(prober: Prober) -> Asked:
    return prober.ask_one(Offer(STUDY_ROOT_FIND), find_command(STUDY_ROOT_FIND), EVERYBODY, cancel_after=1)


def judge(seen: Asked) -> Judgement:
    known = not_asked(seen, "Study Root C-FIND") or refused_operation(seen)
    replies = seen.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {"calling": seen.calling, "status": status(replies.status), "matches": replies.pending > 0}
    if replies.pending:
        return failed("A query for every patient brought matches", **facts)
    return inconclusive("The query was carried out and matched nobody: is the archive empty?", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-03",
        "a stranger may list all patients",
        (Requirement.R4,),
        Severity.CRITICAL,
        Mode.COUNT,
        "C-FIND with PatientName * and Study Instance UID as the only key to return; C-CANCEL at the first response",
        "a pending response (FF00H); what it holds is not looked at",
        "The whole patient list can be copied in minutes.",
        "Let only listed callers query, and refuse queries for everybody.",
    ),
    probe,
    judge,
)
