"""JSON lines under the names of the Elastic Common Schema: complete, one line, and nothing forged."""

from __future__ import annotations

import json

from hypothesis import given

from audit.samples import HOSTILE, ONE_OF_EACH, STORED, any_record, record, spoiled
from dicomgate.audit.ecs import CATEGORIES, line
from dicomgate.audit.record import Event, Outcome, Record

KNOWN_CATEGORIES = {
    "process",
    "configuration",
    "network",
    "authentication",
    "iam",
    "database",
    "intrusion_detection",
    "file",
}
KNOWN_TYPES = {
    "access",
    "start",
    "end",
    "change",
    "error",
    "denied",
    "connection",
    "allowed",
    "protocol",
    "info",
    "admin",
    "deletion",
}


def test_every_event_has_its_line() -> None:
    assert set(CATEGORIES) == set(Event)
    assert {category for category, _ in CATEGORIES.values()} <= KNOWN_CATEGORIES
    assert {kind for _, kind in CATEGORIES.values()} <= KNOWN_TYPES


def test_a_store() -> None:
    assert json.loads(line(STORED, 17, "north")) == {
        "@timestamp": "2026-11-18T11:06:40.250Z",
        "ecs": {"version": "8.11.0"},
        "event": {
            "kind": "event",
            "category": ["network"],
            "type": ["protocol"],
            "action": "operation",
            "outcome": "success",
            "module": "dicomgate",
            "dataset": "dicomgate.audit",
            "sequence": 17,
            "duration": 1_500_000_000,
        },
        "observer": {"name": "north", "product": "dicomgate", "type": "proxy"},
        "dicomgate": {
            "outcome": "success",
            "listener": "outside",
            "peer": "ct-1",
            "archive": "main",
            "assurance": "address",
            "detail": {"sender": "requestor", "responses": 1},
        },
        "source": {"ip": "10.1.2.31", "port": 40000},
        "network": {"protocol": "dicom", "bytes": 524288},
        "dicom": {
            "association": "6b02-1",
            "calling_ae_title": "CT1",
            "called_ae_title": "ARCHIVE",
            "verb": "store",
            "command": "C_STORE_RQ",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
            "sop_instance_uid": "1.2.3.4",
            "status": "0000",
        },
    }


def test_what_monitor_mode_let_pass_is_an_alert_and_a_success() -> None:
    found = json.loads(line(record(Event.OPERATION, Outcome.WOULD_REFUSE), 1, "north"))
    assert found["event"] | {"kind": "alert", "outcome": "success"} == found["event"]
    assert found["dicomgate"]["outcome"] == "would_refuse"


def test_no_field_is_lost() -> None:
    for each in map(spoiled, ONE_OF_EACH):
        written = line(each, 1, "north")
        texts = sum(value is not None for value in (getattr(each, n) for n in ("user", "rule", "reason", "status")))
        assert written.count("forged") >= texts


@given(any_record)
def test_whatever_a_record_holds_it_is_one_line_of_json(each: Record) -> None:
    written = line(each, 1, "north")
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written)["event"]["action"] == each.event.value
    assert HOSTILE[:5] not in written
