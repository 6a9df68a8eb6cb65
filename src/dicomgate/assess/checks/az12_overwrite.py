"""AZ-12: can a stored image be replaced? The assessor's own object twice, then C-GET of that object alone.

Whether the second copy is served is seen by its pixels: 16 bytes of chance that stream past and are only compared.
"""

import secrets
from dataclasses import dataclass

from dicomgate.assess.checks.az11_write import store_command
from dicomgate.assess.checks.reading import not_asked, status
from dicomgate.assess.dialogue import Accepted, Replies
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
    secondary_capture,
)
from dicomgate.wire.codes import CommandField, status_class
from dicomgate.wire.command import Command

_SERIES_INSTANCE_UID, _SOP_INSTANCE_UID = 0x0020000E, 0x00080018


@dataclass(frozen=True, slots=True)
class Seen:
    first: Asked
    second: Replies | None = None
    got: Replies | None = None
    """C-GET; `marker_seen` says that the second copy came."""
    instance: str = ""


def probe(prober: Prober) -> Seen:
    study, series, instance = fresh_uid(), fresh_uid(), fresh_uid()
    pixels = secrets.token_bytes(16)
    calling = prober.caller
    offers = (Offer(SECONDARY_CAPTURE, scp_role=True), Offer(STUDY_ROOT_GET))
    with prober.association(Proposal(offers, calling=calling)) as (answer, dialogue):
        if dialogue is None or not isinstance(answer, Accepted) or 1 not in answer.accepted_contexts:
            return Seen(Asked(calling, answer, offered=False, replies=None))
        first = dialogue.ask(1, store_command(instance), secondary_capture(study, series, instance, bytes(16)))
        asked = Asked(calling, answer, offered=True, replies=first)
        if first.status != 0:
            return Seen(asked, instance=instance)
        second = dialogue.ask(1, store_command(instance), secondary_capture(study, series, instance, pixels))
        if second.ended is not None or 3 not in answer.accepted_contexts:
            return Seen(asked, second, instance=instance)
        query = {
            QUERY_LEVEL: "IMAGE",
            STUDY_INSTANCE_UID: study,
            _SERIES_INSTANCE_UID: series,
            _SOP_INSTANCE_UID: instance,
        }
        command = Command(CommandField.C_GET_RQ, True, affected_sop_class_uid=STUDY_ROOT_GET, priority=0)
        return Seen(asked, second, dialogue.ask(3, command, identifier(dict(query)), marker=pixels), instance)


def judge(seen: Seen) -> Judgement:
    if (known := not_asked(seen.first, "Secondary Capture storage")) is not None:
        return known
    stored = None if seen.first.replies is None else seen.first.replies.status
    facts: dict[str, Fact] = {"first": status(stored), "sop_instance_uid": seen.instance}
    if stored != 0:
        if stored is not None and status_class(stored) == "failure":
            return passed("Storing is refused, so nothing can be replaced", **facts)
        return inconclusive("The first copy was not stored", **facts)
    second = None if seen.second is None else seen.second.status
    facts["second"] = status(second)
    if second is not None and status_class(second) == "failure":
        return passed("A second copy under the same UID is refused", **facts)
    if seen.got is None or not seen.got.sub_operations:
        return inconclusive("The object could not be retrieved to see which copy is served", **facts)
    if seen.got.marker_seen:
        return failed("The second copy has replaced the first", **facts)
    return passed("The first copy is still served", **facts)


PROCEDURE = Procedure(
    Check(
        "AZ-12",
        "stored images can be replaced",
        (Requirement.R4, Requirement.R8),
        Severity.CRITICAL,
        Mode.LAB,
        "two C-STORE of the assessor's own object with different pixels, then C-GET of that object",
        "the second copy is served",
        "An image can be changed after the fact, and nobody notices: a tumour added, or removed.",
        "Refuse a known SOP Instance UID with other contents (Orthanc: OverwriteInstances = false), and alert on it.",
    ),
    probe,
    judge,
)
