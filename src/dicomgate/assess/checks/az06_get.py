"""AZ-06: may a stranger retrieve with C-GET? The request names a study that does not exist, or the planted one."""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.dialogue import Accepted
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive, passed
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import (
    QUERY_LEVEL,
    SECONDARY_CAPTURE,
    STUDY_INSTANCE_UID,
    STUDY_ROOT_GET,
    Offer,
    Proposal,
    fresh_uid,
    identifier,
)
from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command

_CT, _MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
OFFERS = (Offer(STUDY_ROOT_GET), *(Offer(uid, scp_role=True) for uid in (SECONDARY_CAPTURE, _CT, _MR)))


@dataclass(frozen=True, slots=True)
class Seen:
    asked: Asked
    planted: bool


def probe(prober: Prober) -> Seen:
    study = prober.inputs.planted_study or fresh_uid()
    query = identifier({QUERY_LEVEL: "STUDY", STUDY_INSTANCE_UID: study})
    command = Command(CommandField.C_GET_RQ, True, affected_sop_class_uid=STUDY_ROOT_GET, priority=0)
    calling, planted = prober.caller, prober.inputs.planted_study is not None
    with prober.association(Proposal(OFFERS, calling=calling)) as (answer, dialogue):
        if dialogue is None or not isinstance(answer, Accepted) or 1 not in answer.accepted_contexts:
            return Seen(Asked(calling, answer, offered=False, replies=None), planted)
        return Seen(Asked(calling, answer, offered=True, replies=dialogue.ask(1, command, query)), planted)


def judge(seen: Seen) -> Judgement:
    known = not_asked(seen.asked, "Study Root C-GET") or refused_operation(seen.asked)
    replies = seen.asked.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {
        "calling": seen.asked.calling,
        "status": status(replies.status),
        "objects": replies.sub_operations,
        "planted": seen.planted,
    }
    if replies.sub_operations:
        return failed("C-GET sent objects to this caller", **facts)
    if replies.ended is not None or replies.cut_off:
        return inconclusive(f"It ended early: {replies.cut_off or replies.ended}", **facts)
    if replies.status == 0xFE00:
        return passed("The target cancelled the request", **facts)
    return failed("C-GET was carried out; it matched nothing", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-06",
        "a stranger may retrieve with C-GET",
        (Requirement.R1, Requirement.R4),
        Severity.HIGH,
        Mode.QUERY,
        "C-GET for one Study Instance UID made for this question (or the planted study's); objects are refused",
        "status 0000H or a warning, or an object on its way; not a failure such as 0124H",
        "Whoever can name or find a study can copy it.",
        "Let only listed callers retrieve: the gate's verb get, per peer. Orthanc: DicomAlwaysAllowGet = false.",
    ),
    probe,
    judge,
)
