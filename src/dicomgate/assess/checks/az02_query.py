"""AZ-02: may a stranger query? The query names one study that does not exist, so no patient value moves."""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import QUERY_LEVEL, STUDY_INSTANCE_UID, STUDY_ROOT_FIND, Offer, fresh_uid, identifier
from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command


@dataclass(frozen=True, slots=True)
class Seen:
    asked: Asked
    planted: bool
    """The study that was asked for is in the archive."""


def find_command(sop_class_uid: str) -> Command:
    return Command(CommandField.C_FIND_RQ, True, affected_sop_class_uid=sop_class_uid, priority=0)


def probe(prober: Prober) -> Seen:
    study = prober.inputs.planted_study or fresh_uid()
    query = identifier({QUERY_LEVEL: "STUDY", STUDY_INSTANCE_UID: study})
    asked = prober.ask_one(Offer(STUDY_ROOT_FIND), find_command(STUDY_ROOT_FIND), query)
    return Seen(asked, prober.inputs.planted_study is not None)


def judge(seen: Seen) -> Judgement:
    known = not_asked(seen.asked, "Study Root C-FIND") or refused_operation(seen.asked)
    replies = seen.asked.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {
        "calling": seen.asked.calling,
        "status": status(replies.status),
        "pending": replies.pending,
        "planted": seen.planted,
    }
    if seen.planted and not replies.pending:
        return inconclusive("The query was answered, but the planted study was not found", **facts)
    if seen.planted:
        return failed("The query found the planted study: this caller may look for any patient", **facts)
    if replies.pending:
        return failed("A query for a study that does not exist brought matches", **facts)
    return failed("The query was carried out; it matched nothing, as it was meant to", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-02",
        "a stranger may query",
        (Requirement.R1, Requirement.R3, Requirement.R4),
        Severity.CRITICAL,
        Mode.QUERY,
        "C-FIND at STUDY level for one Study Instance UID made for this question (or the planted study's)",
        "status 0000H: the query was carried out. With a planted study, one pending response proves it",
        "Anybody who reaches the port can search for patients, their names, birth dates and examinations.",
        "Let only listed callers query: the gate's verb find, per peer. Orthanc: DicomAlwaysAllowFind = false.",
    ),
    probe,
    judge,
)
