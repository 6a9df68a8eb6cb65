"""C-FIND: several matches, none, cancelled ones, and the modality worklist."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pynetdicom.sop_class import ModalityWorklistInformationFind, StudyRootQueryRetrieveInformationModelFind

from lab import dcmtk
from lab.hospital import WORKLIST_ITEMS, Hospital, Title, names_in
from lab.pynetdicom_clients import association, query
from lab.pynetdicom_peers import CANCEL, ENDLESS, MANY, PENDING, SUCCESS

pytestmark = [pytest.mark.interop, pytest.mark.system]
ARCHIVES = ["QRSCP", "ORTHANC", "NOTEBOOK"]
WORKLISTS = ["WORKLIST", "NOTEBOOK"]
FIND = StudyRootQueryRetrieveInformationModelFind
ENOUGH = 3
"""Matches after which the cancelling clients have seen enough."""


@pytest.mark.parametrize("archive", ARCHIVES)
def test_findscu(lab: Hospital, tmp_path: Path, archive: str) -> None:
    studies = sorted({item.study_instance_uid for item in lab.kept})
    keys = ["QueryRetrieveLevel=STUDY", "StudyInstanceUID=" + "\\".join(studies), "PatientName"]
    done = dcmtk.findscu(lab.to(archive), Title.WORKSTATION, archive, keys, "-S", output=tmp_path)
    assert "Received Final Find Response (Success)" in done.output
    assert sorted(str(dcmread(path).StudyInstanceUID) for path in tmp_path.glob("rsp*.dcm")) == studies


@pytest.mark.parametrize("archive", ARCHIVES)
def test_pynetdicom(lab: Hospital, archive: str) -> None:
    study = lab.kept[0].study_instance_uid
    identifier = query("IMAGE", StudyInstanceUID=study, SeriesInstanceUID="", SOPInstanceUID="")
    if archive == "QRSCP":
        identifier.SeriesInstanceUID = lab.kept[0].series_instance_uid  # it insists on the hierarchy
    with association(lab.to(archive), Title.WORKSTATION, archive, [FIND]) as made:
        responses = list(made.send_c_find(identifier, FIND))
        nothing = list(made.send_c_find(query("STUDY", StudyInstanceUID="1.2.3.4"), FIND))
    assert [status.Status for status, _ in responses] == [PENDING] * 3 + [SUCCESS]
    found = {str(match.SOPInstanceUID) for _, match in responses[:-1]}
    assert found == {item.sop_instance_uid for item in lab.kept if item.study_instance_uid == study}
    assert [status.Status for status, _ in nothing] == [SUCCESS]


@pytest.mark.parametrize("archive", WORKLISTS)
def test_findscu_modality_worklist(lab: Hospital, tmp_path: Path, archive: str) -> None:
    keys = ["PatientName", "PatientID", "ScheduledProcedureStepSequence[0].Modality=CT"]
    done = dcmtk.findscu(lab.to(archive), Title.MODALITY, archive, keys, "-W", output=tmp_path)
    assert "Received Final Find Response (Success)" in done.output
    assert names_in(tmp_path) == [f"SYNTHETIC^WORKLIST{number:02d}" for number in range(1, WORKLIST_ITEMS, 2)]


@pytest.mark.parametrize("archive", WORKLISTS)
def test_pynetdicom_modality_worklist(lab: Hospital, archive: str) -> None:
    identifier = query(None, PatientName="", AccessionNumber="")
    identifier.ScheduledProcedureStepSequence = [query(None, Modality="", ScheduledStationAETitle=Title.MODALITY)]
    with association(lab.to(archive), Title.MODALITY, archive, [ModalityWorklistInformationFind]) as made:
        responses = list(made.send_c_find(identifier, ModalityWorklistInformationFind))
    assert [status.Status for status, _ in responses] == [PENDING] * WORKLIST_ITEMS + [SUCCESS]


def test_findscu_cancels(lab: Hospital) -> None:
    keys = ["QueryRetrieveLevel=STUDY", f"PatientName={ENDLESS}"]
    done = dcmtk.findscu(lab.to("NOTEBOOK"), Title.WORKSTATION, "NOTEBOOK", keys, "-S", "--cancel", str(ENOUGH))
    assert "Received Final Find Response (Cancel" in done.output, done.output[-2000:]
    assert was_cancelled(lab)


def test_pynetdicom_cancels(lab: Hospital) -> None:
    message_id = 7
    with association(lab.to("NOTEBOOK"), Title.WORKSTATION, "NOTEBOOK", [FIND]) as made:
        statuses = []
        for status, _ in made.send_c_find(query("STUDY", PatientName=ENDLESS), FIND, msg_id=message_id):
            statuses.append(status.Status)
            if len(statuses) == ENOUGH:
                made.send_c_cancel(message_id, query_model=FIND)
        assert set(statuses[:-1]) == {PENDING}
        assert statuses[-1] == CANCEL
        # The association is as good as before.
        studies = {item.study_instance_uid for item in lab.kept}
        again = list(made.send_c_find(query("STUDY", StudyInstanceUID=""), FIND))
        assert {str(match.StudyInstanceUID) for _, match in again[:-1]} == studies
    assert was_cancelled(lab)


def was_cancelled(lab: Hospital) -> bool:
    """Whether the archive heard of it, and in time: it yields far more matches than anyone waits for."""
    queries = [operation for operation in lab.notebook.operations("C-FIND") if operation.cancelled]
    return bool(queries) and ENOUGH <= queries[-1].responses < MANY
