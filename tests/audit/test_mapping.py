"""Each event becomes the messages that PS3.15 A.5.3 asks for: their codes, actions, participants and objects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.samples import KNOWN, MOVED, ONE_OF_EACH, SOUGHT, STORED, any_record, operation, record
from dicomgate.audit.dicom_message import Action, AuditMessage, EventId, EventType, IdType, Indicator, Role
from dicomgate.audit.mapping import MESSAGES, UNKNOWN, messages_of
from dicomgate.audit.patient import PatientId
from dicomgate.audit.record import Event, Outcome, Record


def told(each: Record) -> list[tuple[str, str | None, str, int]]:
    """Event, type, action, outcome of every message."""
    found = messages_of(each, "north")
    return [(m.event.text, m.type.text if m.type else None, m.action.value, int(m.outcome)) for m in found]


def test_every_event_has_its_line() -> None:
    assert set(MESSAGES) == set(Event)
    assert {each.event for each in ONE_OF_EACH} == set(Event), "and its sample"


@pytest.mark.parametrize(
    ("event", "name"), [(Event.SINK_FAILED, "sink"), (Event.SINK_RECOVERED, "sink"), (Event.CHANNEL_DOWN, "channel")]
)
def test_an_alert_names_the_sink_or_channel(event: Event, name: str) -> None:
    """Two that fail at one address in the same millisecond would be told in the same words."""
    (alert,) = messages_of(record(event, Outcome.FAILURE, reason="timed out", detail={name: "north-2"}), "gate")
    assert (name, "north-2") in alert.objects[0].details


@pytest.mark.parametrize(
    ("event", "outcome", "wanted"),
    [
        (Event.GATE_STARTED, Outcome.SUCCESS, ("Application Activity", "Application Start", "E", 0)),
        (Event.GATE_STOPPED, Outcome.SUCCESS, ("Application Activity", "Application Stop", "E", 0)),
        (Event.CONFIGURATION_LOADED, Outcome.SUCCESS, ("Security Alert", "Security Configuration", "E", 0)),
        (Event.CONFIGURATION_REFUSED, Outcome.FAILURE, ("Security Alert", "Security Configuration", "E", 8)),
        (Event.CONNECTION_REFUSED, Outcome.REFUSED, ("Security Alert", "Node Authentication", "E", 4)),
        (Event.IDENTITY_VERIFIED, Outcome.SUCCESS, ("User Authentication", "Login", "E", 0)),
        (Event.IDENTITY_REFUSED, Outcome.REFUSED, ("User Authentication", "Login", "E", 4)),
        (Event.IDENTITY_REFUSED, Outcome.FAILURE, ("User Authentication", "Login", "E", 8)),
        (Event.ASSOCIATION_ADMITTED, Outcome.SUCCESS, ("Network Entry", "Attach", "E", 0)),
        (Event.ASSOCIATION_REFUSED, Outcome.REFUSED, ("Security Alert", "Node Authentication", "E", 4)),
        (Event.ASSOCIATION_ENDED, Outcome.SUCCESS, ("Network Entry", "Detach", "E", 0)),
        (Event.OPERATION_REFUSED, Outcome.REFUSED, ("Security Alert", "Use of Restricted Function", "E", 4)),
        (Event.INSTANCE_CHANGED, Outcome.REFUSED, ("Security Alert", "Use of Restricted Function", "E", 4)),
        (Event.AUDIT_LOG_USED, Outcome.SUCCESS, ("Audit Log Used", None, "R", 0)),
        (Event.RECORDS_LOST, Outcome.FAILURE, ("Security Alert", "Audit Recording Stopped", "E", 8)),
        (Event.USER_CHANGED, Outcome.SUCCESS, ("Security Alert", "User Security Attributes Changed", "E", 0)),
        (Event.USER_LOCKED_OUT, Outcome.REFUSED, ("Security Alert", "User Security Attributes Changed", "E", 4)),
        (Event.EMERGENCY_STARTED, Outcome.SUCCESS, ("Security Alert", "Emergency Override Started", "E", 0)),
        (Event.EMERGENCY_USED, Outcome.SUCCESS, ("Security Alert", "Use of Restricted Function", "E", 0)),
        (Event.EMERGENCY_ENDED, Outcome.SUCCESS, ("Security Alert", "Emergency Override Stopped", "E", 0)),
        (Event.RECORDS_PRUNED, Outcome.SUCCESS, ("Security Alert", "Security Configuration", "E", 0)),
        (Event.CHECKPOINT_CONFLICT, Outcome.FAILURE, ("Security Alert", "Object Security Attributes Changed", "E", 8)),
        (Event.PSEUDONYM_KEY_ROTATED, Outcome.SUCCESS, ("Security Alert", "Security Configuration", "E", 0)),
        (Event.SEGMENT_CHANGED, Outcome.SUCCESS, ("Security Alert", "Network Configuration", "E", 0)),
        (Event.SEGMENT_VERIFIED, Outcome.FAILURE, ("Security Alert", "Network Configuration", "E", 8)),
        (Event.CHANNEL_UP, Outcome.SUCCESS, ("Security Alert", "Network Configuration", "E", 0)),
        (Event.CHANNEL_DOWN, Outcome.FAILURE, ("Security Alert", "Network Configuration", "E", 8)),
        (Event.SINK_FAILED, Outcome.FAILURE, ("Security Alert", "Audit Recording Stopped", "E", 8)),
        (Event.SINK_RECOVERED, Outcome.SUCCESS, ("Security Alert", "Audit Recording Started", "E", 0)),
        (Event.FINDING, Outcome.REFUSED, ("Security Alert", "Use of Restricted Function", "E", 4)),
        (Event.BAN_PLACED, Outcome.SUCCESS, ("Security Alert", "Security Configuration", "E", 0)),
        (Event.BAN_LIFTED, Outcome.SUCCESS, ("Security Alert", "Security Configuration", "E", 0)),
        (Event.DETECTION_DEGRADED, Outcome.FAILURE, ("Security Alert", "Security Configuration", "E", 8)),
    ],
)
def test_one_message(event: Event, outcome: Outcome, wanted: tuple[str, str, str, int]) -> None:
    assert told(record(event, outcome, address="10.1.2.31")) == [wanted]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("C_ECHO_RQ", []),
        ("C_FIND_RQ", [("Query", None, "E", 0)]),
        ("C_STORE_RQ", [("DICOM Instances Transferred", None, "R", 0)]),
        ("C_GET_RQ", [("Begin Transferring DICOM Instances", None, "E", 0)]),
        (
            "C_MOVE_RQ",
            [("Begin Transferring DICOM Instances", None, "E", 0), ("DICOM Instances Transferred", None, "R", 0)],
        ),
        ("N_CREATE_RQ", [("DICOM Instances Accessed", None, "C", 0)]),
        ("N_SET_RQ", [("DICOM Instances Accessed", None, "U", 0)]),
        ("N_DELETE_RQ", [("DICOM Instances Accessed", None, "D", 0)]),
        ("N_GET_RQ", [("DICOM Instances Accessed", None, "R", 0)]),
    ],
)
def test_operations(command: str, wanted: list[tuple[str, str | None, str, int]]) -> None:
    assert told(operation(command)) == wanted


def test_a_request_is_told_by_what_became_of_it() -> None:
    assert told(record(Event.ASSOCIATION_REQUESTED)) == []


def test_what_monitor_mode_let_pass_went_well_and_is_an_alert() -> None:
    alert = ("Security Alert", "Use of Restricted Function", "E", 12)
    assert told(operation("C_FIND_RQ", Outcome.WOULD_REFUSE)) == [("Query", None, "E", 0), alert]
    assert told(operation("C_ECHO_RQ", Outcome.WOULD_REFUSE)) == [alert]
    admitted = record(Event.ASSOCIATION_ADMITTED, Outcome.WOULD_REFUSE, address="10.1.2.31")
    assert told(admitted)[0] == ("Network Entry", "Attach", "E", 0)
    assert told(admitted)[1] == ("Security Alert", "Node Authentication", "E", 12)


def test_mixed_results_of_a_move_are_two_messages() -> None:
    mixed = MOVED._replace(detail={"completed_sub_operations": 5, "failed_sub_operations": 2})
    begun, good, bad = messages_of(mixed, "north")
    assert (begun.time, good.time) == (mixed.time - 1.5, mixed.time), "the beginning is dated back"
    assert (good.outcome, bad.outcome) == (Indicator.SUCCESS, Indicator.SERIOUS_FAILURE)
    assert (good.description, bad.description) == (None, "2 sub-operations failed")


def people(message: AuditMessage) -> dict[str, tuple[str | None, bool, str | None, str | None]]:
    return {
        p.user_id: (p.role.text if p.role else None, p.requestor, p.alternative_user_id, p.address)
        for p in message.participants
    }


def test_a_store_goes_from_its_sender_to_the_other_side() -> None:
    (message,) = messages_of(STORED, "north")
    assert people(message) == {
        "ct-1": ("Source Role ID", True, "AETITLES=CT1", "10.1.2.31"),
        "main": ("Destination Role ID", False, "AETITLES=ARCHIVE", None),
    }
    (message,) = messages_of(STORED._replace(detail={"sender": "acceptor"}), "north")
    assert {name: who[0] for name, who in people(message).items()} == {
        "main": "Source Role ID",
        "ct-1": "Destination Role ID",
    }


def test_an_archive_that_calls_back_is_the_source() -> None:
    (message,) = messages_of(STORED._replace(detail={"sender": "requestor", "direction": "to_peer"}), "north")
    assert people(message)["main"] == ("Source Role ID", True, "AETITLES=CT1", "10.1.2.31")


def test_a_known_user_is_the_requestor_and_not_the_device() -> None:
    begun, ended = messages_of(MOVED, "north")
    for message in (begun, ended):
        assert people(message) == {
            "main": ("Source Role ID", False, "AETITLES=ARCHIVE", None),
            "VIEWER": ("Destination Role ID", False, "AETITLES=VIEWER", None),
            "alice": (None, True, None, "10.1.2.31"),
            "ct-1": (None, False, "AETITLES=CT1", "10.1.2.31"),
        }


def test_studies_and_patients_are_unknown_and_instances_are_not() -> None:
    (message,) = messages_of(STORED, "north")
    study, patient = message.objects
    assert (study.id_type, study.id, study.sop_instance_uid) == (IdType.STUDY_INSTANCE_UID, UNKNOWN, "1.2.3.4")
    assert (patient.id_type, patient.id) == (IdType.PATIENT_NUMBER, UNKNOWN)


def test_a_known_study_is_named_and_its_patient_only_to_whom_it_is_told() -> None:
    (message,) = messages_of(KNOWN, "north")
    study, patient = message.objects
    assert (study.id, study.name, study.sop_instance_uid) == ("1.2.3", "1.2.3", "1.2.3.4")
    assert ("series_instance_uid", "1.2.3.1") in study.details
    assert (patient.id, patient.details) == (UNKNOWN, (("pseudonym", KNOWN.patient),))
    (message,) = messages_of(KNOWN, "north", PatientId("4711", "NORTH"))
    _, patient = message.objects
    assert (patient.id, patient.name) == ("4711", UNKNOWN)
    assert patient.details == (("issuer_of_patient_id", "NORTH"),), "no pseudonym beside the patient"
    assert "4711" not in repr(message), "a failing assertion or a traceback would print it"


def test_a_query_names_what_it_seeks() -> None:
    (message,) = messages_of(SOUGHT, "north", PatientId("4711"))
    assert [each.id for each in message.objects] == ["1.2.840.10008.5.1.4.1.1.2", "1.2.3", "4711"]
    assert ("query_level", "STUDY") in message.objects[0].details


def test_the_class_of_a_retrieve_is_none_of_its_study() -> None:
    begun, ended = messages_of(MOVED._replace(study_instance_uid="1.2.3"), "north")
    for message in (begun, ended):
        assert (message.objects[0].id, message.objects[0].sop_class_uid) == ("1.2.3", None)


def test_who_reads_the_trail_is_told() -> None:
    used = record(Event.AUDIT_LOG_USED, detail={"action": "search", "operator": "root (sudo by alice)"})
    (message,) = messages_of(used, "klinik süd")
    assert people(message) == {"root (sudo by alice)": (None, True, None, None)}
    (log,) = message.objects
    assert (log.id_type, log.id, log.name) == (IdType.URI, "dicomgate:klinik%20s%C3%BCd", "Security Audit Log")


def test_an_alert_says_what_and_why() -> None:
    refused = next(each for each in ONE_OF_EACH if each.event is Event.OPERATION_REFUSED)
    (message,) = messages_of(refused, "north")
    (resource,) = message.objects
    assert (resource.id, resource.id_type) == ("main", IdType.NODE_ID)
    assert resource.details[0] == ("Alert Description", "peer[ct-1].may: store is not allowed")
    assert ("refusal_id", "7K2MPQRS") in resource.details
    assert message.description == "store is not allowed; status 0124 (refusal 7K2MPQRS)"


def test_an_ae_title_cannot_pass_for_two() -> None:
    (message,) = messages_of(STORED._replace(calling_ae_title="EVIL;ARCHIVE"), "north")
    assert message.participants[0].alternative_user_id == "AETITLES=EVIL?ARCHIVE"


def conforms(message: AuditMessage) -> None:
    """What the tables of A.5.3 ask of each kind of message beyond the schema."""
    roles = [p.role for p in message.participants]
    ids = [thing.id_type for thing in message.objects]
    assert sum(p.requestor for p in message.participants) <= 1
    assert ids.count(IdType.PATIENT_NUMBER) <= 1, "one patient only"
    match message.event:
        case EventId.APPLICATION_ACTIVITY:
            assert message.type in (EventType.APPLICATION_START, EventType.APPLICATION_STOP)
            assert roles == [Role.APPLICATION]
            assert not message.objects
        case EventId.AUDIT_LOG_USED:
            assert message.action is Action.READ
            assert len(message.participants) == 1
            assert ids == [IdType.URI]
        case EventId.BEGIN_TRANSFERRING | EventId.INSTANCES_TRANSFERRED:
            assert roles.count(Role.SOURCE) == roles.count(Role.DESTINATION) == 1
            assert ids == [IdType.STUDY_INSTANCE_UID, IdType.PATIENT_NUMBER]
            begin = message.event is EventId.BEGIN_TRANSFERRING
            assert message.action is (Action.EXECUTE if begin else Action.READ)
        case EventId.INSTANCES_ACCESSED:
            assert message.action is not Action.EXECUTE
            assert 1 <= len(message.participants) <= 2
            assert ids == [IdType.STUDY_INSTANCE_UID, IdType.PATIENT_NUMBER]
        case EventId.NETWORK_ENTRY:
            assert message.type in (EventType.ATTACH, EventType.DETACH)
            assert [p.requestor for p in message.participants] == [False]
            assert not message.objects
        case EventId.QUERY:
            assert roles.count(Role.SOURCE) == roles.count(Role.DESTINATION) == 1
            assert ids[0] is IdType.SOP_CLASS_UID
            assert set(ids[1:]) <= {IdType.STUDY_INSTANCE_UID, IdType.PATIENT_NUMBER}
        case EventId.SECURITY_ALERT:
            assert message.type is not None
            assert not any(p.requestor for p in message.participants)
            assert all(thing.details[0][0] == "Alert Description" for thing in message.objects)
        case EventId.USER_AUTHENTICATION:
            assert message.type is EventType.LOGIN
            assert message.participants[0].requestor
            assert message.participants[0].address
        case other:
            pytest.fail(f"no rule for {other}")


@pytest.mark.parametrize("each", ONE_OF_EACH, ids=lambda each: f"{each.event}-{each.command}")
def test_samples_conform(each: Record) -> None:
    for patient in (None, PatientId("4711")):
        for message in messages_of(each, "north", patient):
            conforms(message)


@given(any_record, st.none() | st.builds(PatientId, st.text(max_size=80), st.text(max_size=80)))
def test_whatever_a_record_holds_its_messages_conform(each: Record, patient: PatientId | None) -> None:
    for message in messages_of(each, "north", patient):
        conforms(message)
