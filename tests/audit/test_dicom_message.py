"""The XML of audit messages keeps to the schema of PS3.15 A.5.1, whatever the records hold."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from lxml import etree

from audit.samples import HOSTILE, ONE_OF_EACH, STORED, any_record, spoiled
from dicomgate.audit.dicom_message import xml
from dicomgate.audit.mapping import messages_of
from dicomgate.audit.plain import REPLACEMENT
from dicomgate.audit.record import Record

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).with_name("audit_message.rng")))
PARSER = etree.XMLParser(resolve_entities=False, no_network=True)
RECEIVERS_TAKE = 32768
"""Octets that every receiver takes (PS3.15 A.6)."""


def parsed(text: str) -> etree._Element:
    root = etree.fromstring(text.encode(), PARSER)
    SCHEMA.assertValid(root)
    return root


@pytest.mark.parametrize("each", [*ONE_OF_EACH, *map(spoiled, ONE_OF_EACH)], ids=lambda each: each.event.value)
def test_every_message_is_valid(each: Record) -> None:
    for message in messages_of(each, "north"):
        parsed(xml(message))


@given(any_record)
def test_whatever_a_record_holds_its_messages_are_valid(each: Record) -> None:
    for message in messages_of(each, "north"):
        text = xml(message)
        parsed(text)
        assert len(text.encode()) < RECEIVERS_TAKE
        assert text.isprintable() or not set(text) & set("\r\n\t\x00\x1b\u2028\u202e"), "one line, no controls"


def test_the_schema_is_one() -> None:
    (message,) = messages_of(STORED, "north")
    good = xml(message)
    for wrong in (
        good.replace('EventActionCode="R"', 'EventActionCode="X"'),
        good.replace('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'),
        good.replace(".250Z", ".250"),
        good.replace("<ParticipantObjectName>unknown</ParticipantObjectName>", ""),
        good.replace('csd-code="110104"', 'code="110104"'),
        good.replace("AuditSourceIdentification", "AuditSource"),
    ):
        assert wrong != good
        assert not SCHEMA.validate(etree.fromstring(wrong.encode(), PARSER))


def test_values_arrive_as_they_were_except_for_what_could_do_harm() -> None:
    (message,) = messages_of(spoiled(STORED), "north")
    root = parsed(xml(message))
    name = root.find("ActiveParticipant").get("UserID")
    assert name.count(REPLACEMENT) == sum(letter in "\r\n\x00\x1b\u202e\ud800\uffff\u2028" for letter in HOSTILE)
    assert '</UserID>"&' in name
    assert "<!--" in name


def test_details_are_base64() -> None:
    (message,) = messages_of(STORED, "north")
    found = {each.get("type"): each.get("value") for each in parsed(xml(message)).iter("ParticipantObjectDetail")}
    assert b64decode(found["association"]) == b"6b02-1"
    assert b64decode(found["bytes"]) == b"524288"


def test_the_instance_stands_in_the_study() -> None:
    (message,) = messages_of(STORED, "north")
    (sop_class,) = parsed(xml(message)).iter("SOPClass")
    assert dict(sop_class.attrib) == {"UID": "1.2.840.10008.5.1.4.1.1.2", "NumberOfInstances": "1"}
    assert [each.get("UID") for each in sop_class] == ["1.2.3.4"]


def test_addresses_have_their_type() -> None:
    root = parsed(xml(messages_of(STORED, "north")[0]))
    assert root.find("ActiveParticipant").get("NetworkAccessPointTypeCode") == "2"
    assert root.find("AuditSourceIdentification").get("AuditSourceID") == "north"
