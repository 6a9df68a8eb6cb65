"""AZ-11: may a stranger store? One synthetic image of 4 by 4 pixels; its UID is in the report, for removal."""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import Check, Fact, Judgement, Mode, Requirement, Severity, failed, inconclusive
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import SECONDARY_CAPTURE, TEST_PATIENT, Offer, fresh_uid, secondary_capture
from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command


@dataclass(frozen=True, slots=True)
class Seen:
    asked: Asked
    study: str
    instance: str


def store_command(instance: str) -> Command:
    return Command(
        CommandField.C_STORE_RQ,
        True,
        affected_sop_class_uid=SECONDARY_CAPTURE,
        priority=0,
        affected_sop_instance_uid=instance,
    )


def probe(prober: Prober) -> Seen:
    study, instance = fresh_uid(), fresh_uid()
    image = secondary_capture(study, fresh_uid(), instance, bytes(range(16)))
    return Seen(prober.ask_one(Offer(SECONDARY_CAPTURE), store_command(instance), image), study, instance)


def judge(seen: Seen) -> Judgement:
    known = not_asked(seen.asked, "Secondary Capture storage") or refused_operation(seen.asked)
    replies = seen.asked.replies
    if known is not None or replies is None:
        return known or inconclusive("No request was sent")
    facts: dict[str, Fact] = {
        "calling": seen.asked.calling,
        "status": status(replies.status),
        "study_instance_uid": seen.study,
        "sop_instance_uid": seen.instance,
    }
    if replies.status is None:
        return inconclusive(f"It ended early ({replies.cut_off or replies.ended}); look for the object", **facts)
    return failed(f"A synthetic image was stored; remove it (patient {TEST_PATIENT})", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-11",
        "a stranger may store",
        (Requirement.R1, Requirement.R4),
        Severity.CRITICAL,
        Mode.INTRUSIVE,
        f"C-STORE of one synthetic 4 by 4 Secondary Capture of patient {TEST_PATIENT} under new UIDs",
        "status 0000H or a warning",
        "False images can be put into real patients' records, and treatment follows images.",
        "Let only modalities store: the gate's verb store, per peer. Orthanc: DicomAlwaysAllowStore = false.",
    ),
    probe,
    judge,
)
