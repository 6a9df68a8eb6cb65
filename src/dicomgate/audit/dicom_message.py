"""A DICOM audit message as a value, and its XML (PS3.15 A.5.1).

audit/mapping.py makes the value from a record; audit/fhir.py writes the same value as a FHIR resource.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import lru_cache
from ipaddress import ip_address

from dicomgate.audit.plain import LONGEST, SENTENCE, plain
from dicomgate.audit.record import iso_time


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded value; `text` is the code's meaning (PS3.16)."""

    code: str
    text: str
    system: str = "DCM"

    def __hash__(self) -> int:
        """It is looked up by with every message."""
        return hash(self.code)


class EventId:
    """CID 400."""

    APPLICATION_ACTIVITY = Coded("110100", "Application Activity")
    AUDIT_LOG_USED = Coded("110101", "Audit Log Used")
    BEGIN_TRANSFERRING = Coded("110102", "Begin Transferring DICOM Instances")
    INSTANCES_ACCESSED = Coded("110103", "DICOM Instances Accessed")
    INSTANCES_TRANSFERRED = Coded("110104", "DICOM Instances Transferred")
    NETWORK_ENTRY = Coded("110108", "Network Entry")
    QUERY = Coded("110112", "Query")
    SECURITY_ALERT = Coded("110113", "Security Alert")
    USER_AUTHENTICATION = Coded("110114", "User Authentication")


class EventType:
    """CID 401 and, for security alerts, CID 403."""

    APPLICATION_START = Coded("110120", "Application Start")
    APPLICATION_STOP = Coded("110121", "Application Stop")
    LOGIN = Coded("110122", "Login")
    ATTACH = Coded("110124", "Attach")
    DETACH = Coded("110125", "Detach")
    NODE_AUTHENTICATION = Coded("110126", "Node Authentication")
    EMERGENCY_OVERRIDE_STARTED = Coded("110127", "Emergency Override Started")
    NETWORK_CONFIGURATION = Coded("110128", "Network Configuration")
    SECURITY_CONFIGURATION = Coded("110129", "Security Configuration")
    USE_OF_RESTRICTED_FUNCTION = Coded("110132", "Use of Restricted Function")
    AUDIT_RECORDING_STOPPED = Coded("110133", "Audit Recording Stopped")
    AUDIT_RECORDING_STARTED = Coded("110134", "Audit Recording Started")
    OBJECT_SECURITY_ATTRIBUTES_CHANGED = Coded("110135", "Object Security Attributes Changed")
    USER_SECURITY_ATTRIBUTES_CHANGED = Coded("110137", "User Security Attributes Changed")
    EMERGENCY_OVERRIDE_STOPPED = Coded("110138", "Emergency Override Stopped")


class Role:
    """CID 402: what a participant does."""

    APPLICATION = Coded("110150", "Application")
    DESTINATION = Coded("110152", "Destination Role ID")
    SOURCE = Coded("110153", "Source Role ID")


class IdType:
    """What the ID of a participating object is."""

    PATIENT_NUMBER = Coded("2", "Patient Number", "RFC-3881")
    URI = Coded("12", "URI", "RFC-3881")
    STUDY_INSTANCE_UID = Coded("110180", "Study Instance UID")
    SOP_CLASS_UID = Coded("110181", "SOP Class UID")
    NODE_ID = Coded("110182", "Node ID")


class Action(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Indicator(IntEnum):
    """EventOutcomeIndicator. Of an alert, minor and serious say that the mitigation worked, major that it may not."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class ObjectType(IntEnum):
    """ParticipantObjectTypeCode."""

    PERSON = 1
    SYSTEM_OBJECT = 2


class ObjectRole(IntEnum):
    """ParticipantObjectTypeCodeRole."""

    PATIENT = 1
    REPORT = 3
    SECURITY_RESOURCE = 13


SOURCE_TYPE = "4"
"""AuditSourceTypeCode: an application server."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Who took part: a person, a node or a process. `address` is the network access point, an IP address or a name."""

    user_id: str
    requestor: bool = False
    role: Coded | None = None
    ae_title: str | None = None
    address: str | None = None

    @property
    def alternative_user_id(self) -> str | None:
        """PS3.15 A.5.2.2. Semicolons separate titles there, and a title of the wire may hold one."""
        return None if self.ae_title is None else f"AETITLES={self.ae_title.replace(';', '?')}"

    @property
    def address_type(self) -> int:
        """NetworkAccessPointTypeCode: 2 an IP address, 1 a name."""
        try:
            ip_address(self.address or "")
        except ValueError:
            return 1
        return 2


@dataclass(frozen=True, slots=True)
class Object:
    """What it was about. `details` are names and texts; `sop_instance_uid` is an instance of `sop_class_uid`.

    A patient in the clear stands here and nowhere else; so it does not show itself.
    """

    id: str = field(repr=False)
    id_type: Coded
    type: ObjectType
    role: ObjectRole
    name: str = field(repr=False)
    details: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class AuditMessage:
    """One event. `time` is seconds since 1970, `source` the name of the gate that saw it."""

    time: float
    source: str
    event: Coded
    action: Action
    outcome: Indicator
    participants: tuple[Participant, ...]
    objects: tuple[Object, ...] = ()
    type: Coded | None = None
    description: str | None = None


def xml(message: AuditMessage) -> str:
    """The message as an XML 1.0 document in one line. Whatever the values hold, it is well-formed."""
    description, kind = message.description, message.type
    return "".join(
        [
            f'<?xml version="1.0" encoding="UTF-8"?><AuditMessage>'
            f'<EventIdentification EventActionCode="{message.action}" EventDateTime="{iso_time(message.time)}"'
            f' EventOutcomeIndicator="{int(message.outcome)}">{_coded("EventID", message.event)}',
            _coded("EventTypeCode", kind) if kind else "",
            _element("EventOutcomeDescription", {}, _escaped(description, SENTENCE)) if description else "",
            "</EventIdentification>",
            *map(_participant, message.participants),
            _source(message.source),
            *map(_object, message.objects),
            "</AuditMessage>",
        ]
    )


@lru_cache(maxsize=256)
def _participant(participant: Participant) -> str:
    """The same devices and users come again and again."""
    return _element(
        "ActiveParticipant",
        {
            "UserID": participant.user_id,
            "AlternativeUserID": participant.alternative_user_id,
            "UserIsRequestor": "true" if participant.requestor else "false",
            "NetworkAccessPointID": participant.address,
            "NetworkAccessPointTypeCode": participant.address_type if participant.address else None,
        },
        _coded("RoleIDCode", participant.role) if participant.role else "",
    )


@lru_cache(maxsize=16)
def _source(name: str) -> str:
    return _element(
        "AuditSourceIdentification",
        {"AuditSourceID": name},
        _element("AuditSourceTypeCode", {"csd-code": SOURCE_TYPE}),
    )


def _object(thing: Object) -> str:
    described = ""
    if thing.sop_class_uid and thing.id_type is IdType.STUDY_INSTANCE_UID:
        described = _sop_class(thing.sop_class_uid, thing.sop_instance_uid)
    name = _escaped(thing.name)
    detail = _detail if thing.type is ObjectType.PERSON else _remembered  # of a patient, nothing stays behind
    return "".join(
        [
            f'<ParticipantObjectIdentification ParticipantObjectID="{_escaped(thing.id)}"'
            f' ParticipantObjectTypeCode="{int(thing.type)}" ParticipantObjectTypeCodeRole="{int(thing.role)}">',
            _coded("ParticipantObjectIDTypeCode", thing.id_type),
            f"<ParticipantObjectName>{name}</ParticipantObjectName>" if name else "<ParticipantObjectName/>",
            *[detail(name, text) for name, text in thing.details],
            described,
            "</ParticipantObjectIdentification>",
        ]
    )


def _sop_class(class_uid: str, instance_uid: str | None) -> str:
    counted = f' NumberOfInstances="1"><Instance UID="{_escaped(instance_uid)}"/></SOPClass>' if instance_uid else "/>"
    described = f'<SOPClass UID="{_escaped(class_uid)}"{counted}'
    return f"<ParticipantObjectDescription>{described}</ParticipantObjectDescription>"


@lru_cache(maxsize=256)
def _coded(name: str, value: Coded) -> str:
    return _element(name, {"csd-code": value.code, "codeSystemName": value.system, "originalText": value.text})


def _element(name: str, attributes: dict[str, object], *content: str) -> str:
    """`content` is XML already; an attribute that is None is left out."""
    shown = "".join(f' {key}="{_escaped(value)}"' for key, value in attributes.items() if value is not None)
    inside = "".join(content)
    return f"<{name}{shown}>{inside}</{name}>" if inside else f"<{name}{shown}/>"


_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}
"""The ampersand first: the others bring new ones."""


def _escaped(value: object, longest: int = LONGEST) -> str:
    text = plain(value, longest)
    for sign, entity in _MARKUP.items():
        if sign in text:
            text = text.replace(sign, entity)
    return text


def _detail(name: str, text: str) -> str:
    longest = SENTENCE if name == "Alert Description" else LONGEST
    value = b64encode(plain(text, longest).encode()).decode("ascii")
    return f'<ParticipantObjectDetail type="{_escaped(name)}" value="{value}"/>'


_remembered = lru_cache(maxsize=512)(_detail)
