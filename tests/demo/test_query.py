"""Matching of identifiers, against the table of PS3.4 C.2.2.2."""

import pytest
from pydicom.dataset import Dataset

from dicomgate.demo.query import Level, find, level_of, matches, select
from dicomgate.demo.studies import archived_studies, uid

IMAGES = archived_studies()


def identifier(level: str, **keys: object) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def studies_matching(**keys: object) -> int:
    return len(find(IMAGES, identifier("STUDY", **keys), Level.STUDY))


@pytest.mark.parametrize(
    ("keys", "matching"),
    [
        ({}, 4),
        ({"PatientName": ""}, 4),
        ({"PatientName": "*"}, 4),
        ({"PatientName": "DEMO*"}, 3),
        ({"PatientName": "demo^bert"}, 1),
        ({"PatientName": "DEMO^????"}, 3),
        ({"PatientName": "DEMO"}, 0),
        ({"PatientName": "[DP]*"}, 0),
        ({"PatientID": "DEMO-0001"}, 2),
        ({"StudyDate": "20260301"}, 1),
        ({"StudyDate": "20260302-20260415"}, 2),
        ({"StudyDate": "-20260302"}, 2),
        ({"StudyDate": "20260415-"}, 2),
        ({"StudyDate": "20270101-"}, 0),
        ({"StudyTime": "1000-1030"}, 4),
        ({"StudyTime": "1031-"}, 0),
        ({"ModalitiesInStudy": "CT"}, 2),
        ({"ModalitiesInStudy": ["CT", "MR"]}, 4),
        ({"StudyInstanceUID": [uid("DEMO-0001", "CT", "20260301", "study"), "1.2.3"]}, 1),
        ({"NumberOfStudyRelatedInstances": "3"}, 1),
        ({"PatientID": "DEMO-0001", "ModalitiesInStudy": "MR"}, 1),
        ({"BodyPartExamined": "HAND"}, 4),
    ],
)
def test_matching(keys: dict[str, object], matching: int) -> None:
    assert studies_matching(**keys) == matching


@pytest.mark.parametrize(("level", "entities"), [("PATIENT", 3), ("STUDY", 4), ("SERIES", 4), ("IMAGE", 11)])
def test_each_level_has_its_own_entities(level: str, entities: int) -> None:
    assert len(find(IMAGES, identifier(level), Level(level))) == entities


def test_a_response_holds_what_was_asked_and_the_unique_key() -> None:
    asked = identifier("STUDY", PatientName="DEMO^ANNA", ModalitiesInStudy="CT", NumberOfStudyRelatedInstances="")
    (response,) = find(IMAGES, asked, Level.STUDY)
    assert response.QueryRetrieveLevel == "STUDY"
    assert response.PatientName == "DEMO^ANNA"
    assert response.NumberOfStudyRelatedInstances == 4
    assert response.StudyInstanceUID == uid("DEMO-0001", "CT", "20260301", "study")
    assert "SOPInstanceUID" not in response


def test_keys_below_the_level_are_not_matched() -> None:
    assert studies_matching(SOPInstanceUID="1.2.3") == 4


@pytest.mark.parametrize(
    ("text", "highest", "level"),
    [
        ("STUDY", Level.STUDY, Level.STUDY),
        ("IMAGE", Level.STUDY, Level.IMAGE),
        ("PATIENT", Level.PATIENT, Level.PATIENT),
        ("PATIENT", Level.STUDY, None),
        ("WARD", Level.PATIENT, None),
        ("", Level.PATIENT, None),
    ],
)
def test_level(text: str, highest: Level, level: Level | None) -> None:
    assert level_of(identifier(text), highest) is level


def test_retrieval_takes_unique_keys_only_and_never_means_everything() -> None:
    study = uid("DEMO-0001", "CT", "20260301", "study")
    series = uid("DEMO-0001", "CT", "20260301", "series")
    assert len(select(IMAGES, identifier("STUDY", StudyInstanceUID=study), Level.STUDY)) == 4
    assert (
        len(select(IMAGES, identifier("SERIES", StudyInstanceUID=study, SeriesInstanceUID=series), Level.SERIES)) == 4
    )
    assert select(IMAGES, identifier("SERIES", StudyInstanceUID="1.2", SeriesInstanceUID=series), Level.SERIES) == []
    assert select(IMAGES, identifier("STUDY"), Level.STUDY) == []


def test_wildcards_do_not_reach_into_uids_and_dates() -> None:
    assert not matches("UI", ["1.*"], ["1.2"])
    assert not matches("DA", ["2026*"], ["20260301"])
    assert matches("LO", ["a.c*"], ["a.cd"])
    assert not matches("LO", ["a.c*"], ["abcd"])
