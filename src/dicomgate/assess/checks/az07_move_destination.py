"""AZ-07: is the destination of a C-MOVE checked? Asks for a destination of random characters."""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import (
    QUERY_LEVEL,
    STUDY_INSTANCE_UID,
    STUDY_ROOT_MOVE,
    Offer,
    fresh_uid,
    identifier,
    random_title,
)
from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command


@dataclass(frozen=True, slots=True)
class Seen:
    asked: Asked
    planted: bool


def move(prober: Prober, destination: str, study: str) -> Asked:
    """One C-MOVE of one study."""
    command = Command(
        CommandField.C_MOVE_RQ, True, affected_sop_class_uid=STUDY_ROOT_MOVE, priority=0, move_destination=destination
    )
    query = identifier({QUERY_LEVEL: "STUDY", STUDY_INSTANCE_UID: study})
    return prober.ask_one(Offer(STUDY_ROOT_MOVE), command, query)


def probe(prober: Prober) -> Seen:
    study = prober.inputs.planted_study
    return Seen(move(prober, random_title(), study or fresh_uid()), study is not None)


def judge(seen: Seen) -> Judgement:
    known = not_asked(seen.asked, "Study Root C-MOVE") or refused_operation(seen.asked)
    replies = seen.asked.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {
        "calling": seen.asked.calling,
        "status": status(replies.status),
        "planted": seen.planted,
        "completed": replies.completed or 0,
    }
    if replies.ended is not None or replies.cut_off:
        return inconclusive(f"It ended early: {replies.cut_off or replies.ended}", **facts)
    if replies.completed or seen.planted:
        return failed("A C-MOVE to a destination that does not exist is not refused", **facts)
    return inconclusive("Answered without looking at the destination, or since nothing matched: plant a study", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-07",
        "move destinations are not checked",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.QUERY,
        "C-MOVE of the planted study (or of a UID made for this question) to a destination of random characters",
        "any other answer than a failure such as A801H or 0124H; without a planted study that is only inconclusive",
        "Images can be sent to whom the caller likes.",
        "List the destinations: the gate's move_to, per peer.",
    ),
    probe,
    judge,
)
