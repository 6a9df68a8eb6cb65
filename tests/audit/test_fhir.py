"""AuditEvent resources keep to FHIR R4 and say the same as the DICOM message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from audit.samples import MOVED, ONE_OF_EACH, any_record, spoiled
from dicomgate.audit.fhir import DCM, audit_event, batch
from dicomgate.audit.mapping import messages_of
from dicomgate.audit.record import Record

VALIDATOR = Draft202012Validator(json.loads(Path(__file__).with_name("audit_event.json").read_text(encoding="utf-8")))


def problems(resource: object) -> list[str]:
    """Of the resource as it travels: JSON in ASCII."""
    received = json.loads(json.dumps(resource).encode("ascii"))
    return [error.message for error in VALIDATOR.iter_errors(received)]


@pytest.mark.parametrize("each", [*ONE_OF_EACH, *map(spoiled, ONE_OF_EACH)], ids=lambda each: each.event.value)
def test_every_resource_is_valid(each: Record) -> None:
    for message in messages_of(each, "north"):
        assert problems(audit_event(message)) == []


@given(any_record)
def test_whatever_a_record_holds_its_resources_are_valid(each: Record) -> None:
    for message in messages_of(each, "north"):
        assert problems(audit_event(message)) == []


def test_it_says_the_same_as_the_message() -> None:
    _, message = messages_of(MOVED, "north")
    found = json.loads(json.dumps(audit_event(message)))
    assert found["type"] == {"system": DCM, "code": "110104", "display": "DICOM Instances Transferred"}
    assert (found["action"], found["outcome"], found["recorded"]) == ("R", "0", "2026-11-18T11:06:40.250Z")
    assert [(agent["who"]["display"], agent["requestor"]) for agent in found["agent"]] == [
        ("main", False),
        ("VIEWER", False),
        ("alice", True),
        ("ct-1", False),
    ]
    assert found["agent"][3]["network"] == {"address": "10.1.2.31", "type": "2"}
    assert found["source"]["observer"]["display"] == "north"
    assert [entity["what"]["identifier"]["value"] for entity in found["entity"]] == ["unknown", "unknown"]


def test_a_batch_creates_each_by_itself() -> None:
    resources = [audit_event(message) for message in messages_of(MOVED, "north")]
    bundle = json.loads(json.dumps(batch(resources)))
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "batch")
    assert [entry["request"] for entry in bundle["entry"]] == [{"method": "POST", "url": "AuditEvent"}] * 2
    assert [entry["resource"] for entry in bundle["entry"]] == json.loads(json.dumps(resources))
