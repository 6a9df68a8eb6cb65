"""AZ-08: may a stranger have a study sent to somebody else? Moves the planted study to a title that the user names."""

from dicomgate.assess.checks.az07_move_destination import move
from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    skipped,
)
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure


def probe(prober: Prober) -> Asked | Judgement:
    study, destination = prober.inputs.planted_study, prober.inputs.move_to
    if study is None or destination is None:
        return skipped(SkipReason.INPUT, "Give --planted-study UID and --move-to TITLE")
    return move(prober, destination, study)


def judge(seen: Asked) -> Judgement:
    known = not_asked(seen, "Study Root C-MOVE") or refused_operation(seen)
    replies = seen.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {
        "calling": seen.calling,
        "status": status(replies.status),
        "completed": replies.completed or 0,
    }
    if replies.completed:
        return failed("The planted study was sent to a third party", **facts)
    return inconclusive("No completed sub-operation was reported: does the destination accept the study?", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-08",
        "a stranger may send studies to others",
        (Requirement.R4,),
        Severity.MEDIUM,
        Mode.INTRUSIVE,
        "C-MOVE of the planted study to another AE title that the user names",
        "completed sub-operations",
        "A copy leaves the archive at the word of somebody who never receives it himself.",
        'Let each caller move to itself only: the gate\'s move_to = ["self"].',
    ),
    probe,
    judge,
)
