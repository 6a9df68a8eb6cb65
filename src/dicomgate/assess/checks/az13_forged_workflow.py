"""AZ-13: are workflow messages taken from a stranger? A step and an object that exist nowhere."""

from dataclasses import dataclass

from dicomgate.assess.checks.reading import not_asked, refused_operation, status
from dicomgate.assess.model import (
    Check,
    Fact,
    Judgement,
    Mode,
    Outcome,
    Requirement,
    Severity,
    failed,
    inconclusive,
    passed,
)
from dicomgate.assess.prober import Asked, Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import (
    CALLING,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    SECONDARY_CAPTURE,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    STUDY_INSTANCE_UID,
    TEST_PATIENT,
    Offer,
    fresh_uid,
    identifier,
    item,
)
from dicomgate.wire.codes import CommandField, status_class
from dicomgate.wire.command import Command


@dataclass(frozen=True, slots=True)
class Seen:
    step: Asked
    """N-CREATE of a performed procedure step."""
    commitment: Asked
    """N-ACTION for an object that was never sent."""


def _step(study: str) -> bytes:
    """The attributes of an IN PROGRESS step that PS3.4 table F.7.2-1 asks for."""
    return identifier(
        {
            0x00080060: "OT",
            0x00100010: TEST_PATIENT,
            0x00100020: TEST_PATIENT,
            0x00100030: "",
            0x00100040: "O",
            0x00200010: "",
            0x00400241: CALLING,
            0x00400242: "",
            0x00400243: "",
            0x00400244: "20260101",
            0x00400245: "000000",
            0x00400250: "",
            0x00400251: "",
            0x00400252: "IN PROGRESS",
            0x00400253: "DGASSESS",
            0x00400254: "",
            0x00400255: "",
            0x00400270: item({0x00080050: "", STUDY_INSTANCE_UID: study, 0x00321060: "", 0x00400007: ""}),
            0x00400340: b"",
        }
    )


def probe(prober: Prober) -> Seen:
    create = Command(
        CommandField.N_CREATE_RQ,
        True,
        affected_sop_class_uid=MODALITY_PERFORMED_PROCEDURE_STEP,
        affected_sop_instance_uid=fresh_uid(),
    )
    step = prober.ask_one(Offer(MODALITY_PERFORMED_PROCEDURE_STEP), create, _step(fresh_uid()))
    action = Command(
        CommandField.N_ACTION_RQ,
        True,
        requested_sop_class_uid=STORAGE_COMMITMENT,
        requested_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
        action_type_id=1,
    )
    reference = item({0x00081150: SECONDARY_CAPTURE, 0x00081155: fresh_uid()})
    request = identifier({0x00081195: fresh_uid(), 0x00081199: reference})
    return Seen(step, prober.ask_one(Offer(STORAGE_COMMITMENT), action, request))


def judge(seen: Seen) -> Judgement:
    both = (("procedure step", seen.step), ("storage commitment", seen.commitment))
    taken = [name for name, asked in both if _taken(asked)]
    facts: dict[str, Fact] = {name.replace(" ", "_"): _status(asked) for name, asked in both}
    if taken:
        return failed(f"A stranger's {' and '.join(taken)} was taken", **facts)
    for name, asked in both:
        known = not_asked(asked, name) or refused_operation(asked)
        if known is None:
            return inconclusive(f"The {name} was neither taken nor refused", **facts)
        if known.outcome is not Outcome.PASS:
            return known
    return passed("Neither a procedure step nor a storage commitment is taken from a stranger", **facts)


def _taken(asked: Asked) -> bool:
    number = None if asked.replies is None else asked.replies.status
    return number is not None and status_class(number) in ("success", "warning")


def _status(asked: Asked) -> str:
    return "not offered" if asked.replies is None else status(asked.replies.status)


PROCEDURE = Procedure(
    Check(
        "AZ-13",
        "a stranger may forge workflow messages",
        (Requirement.R4,),
        Severity.HIGH,
        Mode.LAB,
        "MPPS N-CREATE of a step that nobody performs, and a storage commitment request for an object never sent",
        "a success or warning status for either",
        "Examinations appear as done, or images as safely stored, that never were.",
        "Let only modalities send them: the gate's verbs mpps and commit, per peer.",
    ),
    probe,
    judge,
)
