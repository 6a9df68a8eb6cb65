"""AZ-04: does anything stop a query for everybody? Cancelled at 500 responses, which are only counted."""

from dicomgate.assess.checks.az02_query import find_command
from dicomgate.assess.checks.az03_harvest import EVERYBODY
from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import STUDY_ROOT_FIND, Offer

MANY = 500


def probe(prober: Prober) -> Asked:
    return prober.ask_one(Offer(STUDY_ROOT_FIND), find_command(STUDY_ROOT_FIND), EVERYBODY, cancel_after=MANY)


def judge(seen: Asked) -> Judgement:
    known = not_asked(seen, "Study Root C-FIND") or refused_operation(seen)
    replies = seen.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {
        "calling": seen.calling,
        "responses": replies.pending,
        "status": status(replies.status),
        "cancel_honoured": replies.status == 0xFE00,
    }
    if replies.pending >= MANY:
        return failed(f"{MANY} matches and more came without a stop", **facts)
    if replies.ended is not None or replies.cut_off:
        return inconclusive(f"It ended early: {replies.cut_off or replies.ended}", **facts)
    return inconclusive(f"Fewer than {MANY} matches came: the archive is too small to tell", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-04",
        "queries have no upper limit",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.COUNT,
        f"the query of AZ-03; C-CANCEL at {MANY} responses",
        f"{MANY} pending responses or more",
        "One question copies the list of everybody who was ever examined.",
        "Cap the number of matches for each caller.",
    ),
    probe,
    judge,
)
