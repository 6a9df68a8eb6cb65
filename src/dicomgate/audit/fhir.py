"""A DICOM audit message in; the same as a FHIR R4 AuditEvent (IHE ITI-20, FHIR feed) out, ready for JSON."""

from collections.abc import Sequence

from dicomgate.audit.dicom_message import SOURCE_TYPE, AuditMessage, Coded, Object, Participant
from dicomgate.audit.plain import LONGEST, REPLACEMENT, SENTENCE, plain
from dicomgate.audit.record import iso_time

DCM = "http://dicom.nema.org/resources/ontology/DCM"
_SYSTEMS = {"DCM": DCM, "RFC-3881": "urn:ietf:rfc:3881"}
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
Resource = dict[str, object]


def audit_event(message: AuditMessage) -> Resource:
    """One resource."""
    resource: Resource = {
        "resourceType": "AuditEvent",
        "type": _coding(message.event),
        "action": message.action.value,
        "recorded": iso_time(message.time),
        "outcome": str(int(message.outcome)),
        "agent": [_agent(participant) for participant in message.participants],
        "source": {
            "observer": _named(message.source),
            "type": [{"system": f"{_TERMINOLOGY}security-source-type", "code": SOURCE_TYPE}],
        },
    }
    if message.type is not None:
        resource["subtype"] = [_coding(message.type)]
    if message.description is not None:
        resource["outcomeDesc"] = _text(message.description, SENTENCE)
    if message.objects:
        resource["entity"] = [_entity(thing) for thing in message.objects]
    return resource


def batch(resources: Sequence[Resource]) -> Resource:
    """A batch Bundle: each entry is created by itself, and answered by itself."""
    create = {"method": "POST", "url": "AuditEvent"}
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"resource": resource, "request": create} for resource in resources],
    }


def _agent(participant: Participant) -> Resource:
    agent: Resource = {"who": _named(participant.user_id), "requestor": participant.requestor}
    if participant.role is not None:
        agent["type"] = {"coding": [_coding(participant.role)]}
    if participant.alternative_user_id is not None:
        agent["altId"] = _text(participant.alternative_user_id)
    if participant.address is not None:
        agent["network"] = {"address": _text(participant.address), "type": str(participant.address_type)}
    return agent


def _entity(thing: Object) -> Resource:
    entity: Resource = {
        "what": {"identifier": {"type": {"coding": [_coding(thing.id_type)]}, "value": _text(thing.id)}},
        "type": {"system": f"{_TERMINOLOGY}audit-entity-type", "code": str(int(thing.type))},
        "role": {"system": f"{_TERMINOLOGY}object-role", "code": str(int(thing.role))},
        "name": _text(thing.name),
    }
    if thing.details:
        entity["detail"] = [{"type": _text(name), "valueString": _text(text, SENTENCE)} for name, text in thing.details]
    return entity


def _named(name: str) -> Resource:
    return {"identifier": {"value": _text(name)}, "display": _text(name)}


def _coding(value: Coded) -> Resource:
    return {"system": _SYSTEMS[value.system], "code": value.code, "display": value.text}


def _text(value: str, longest: int = LONGEST) -> str:
    """A FHIR string is never blank (FHIR R4 2.24.0.1)."""
    text = plain(value, longest)
    return text if text.strip() else REPLACEMENT
