"""C-GET on the same association, and C-MOVE whose objects come back through the archive's own association."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove

from lab import dcmtk, studies
from lab.hospital import Hospital, Title, same_data_sets
from lab.pynetdicom_clients import association, query
from lab.pynetdicom_peers import PENDING, SUCCESS
from lab.studies import Instance

pytestmark = [pytest.mark.interop, pytest.mark.system]
ARCHIVES = ["QRSCP", "ORTHANC", "NOTEBOOK"]
GET, MOVE = StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
MOVE_DESTINATION_UNKNOWN = 0xA801


def kept_study(lab: Hospital, number: int) -> dict[str, Instance]:
    """One of the two studies that every archive holds: 0 has three CT objects, 1 an MR and an enhanced CT object."""
    study = (lab.kept[0], lab.kept[-1])[number].study_instance_uid
    return {item.sop_instance_uid: item for item in lab.kept if item.study_instance_uid == study}


def study_uid(wanted: dict[str, Instance]) -> str:
    return next(iter(wanted.values())).study_instance_uid


@pytest.mark.parametrize("archive", ARCHIVES)
@pytest.mark.parametrize("number", [0, 1])
def test_getscu(lab: Hospital, tmp_path: Path, archive: str, number: int) -> None:
    wanted = kept_study(lab, number)
    keys = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_uid(wanted)}"]
    done = dcmtk.getscu(lab.to(archive), Title.WORKSTATION, archive, keys, tmp_path, "-S")
    assert done.ok, done.output
    assert same_data_sets(wanted, tmp_path) == []
    assert len(list(tmp_path.iterdir())) == len(wanted)


@pytest.mark.parametrize("archive", ARCHIVES)
def test_pynetdicom_get(lab: Hospital, archive: str) -> None:
    wanted = kept_study(lab, 1)
    came: dict[str, bytes] = {}

    def store(event: Any) -> int:
        came[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return SUCCESS

    classes = sorted({item.sop_class_uid for item in wanted.values()})
    contexts: list[str | tuple[str, str]] = [GET, *((uid, "1.2.840.10008.1.2.1") for uid in classes)]
    identifier = query("STUDY", StudyInstanceUID=study_uid(wanted))
    with association(
        lab.to(archive), Title.WORKSTATION, archive, contexts, receives=classes, handlers=[(evt.EVT_C_STORE, store)]
    ) as made:
        responses = [status for status, _ in made.send_c_get(identifier, GET)]
    assert responses[-1].Status == SUCCESS
    assert responses[-1].NumberOfCompletedSuboperations == len(wanted)
    assert came == {uid: item.data_set() for uid, item in wanted.items()}


@pytest.mark.parametrize("archive", ARCHIVES)
def test_movescu_to_itself(lab: Hospital, tmp_path: Path, archive: str) -> None:
    wanted = kept_study(lab, 0)
    keys = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_uid(wanted)}"]
    port = ("+P", str(lab.workstation.port))
    done = dcmtk.movescu(
        lab.to(archive), Title.WORKSTATION, archive, keys, "-S", *port, destination=Title.WORKSTATION, output=tmp_path
    )
    assert done.ok, done.output
    assert "Received Final Move Response (Success)" in done.output
    assert same_data_sets(wanted, tmp_path) == []


@pytest.mark.parametrize("archive", ARCHIVES)
def test_pynetdicom_moves_to_another_peer(lab: Hospital, archive: str) -> None:
    wanted = kept_study(lab, 1)
    lab.viewer.received.clear()
    identifier = query("STUDY", StudyInstanceUID=study_uid(wanted))
    with association(lab.to(archive), Title.WORKSTATION, archive, [MOVE]) as made:
        responses = [status for status, _ in made.send_c_move(identifier, Title.VIEWER, MOVE)]
    assert responses[-1].Status == SUCCESS
    assert {status.Status for status in responses[:-1]} <= {PENDING}
    assert {uid: came.data_set for uid, came in lab.viewer.received.items()} == {
        uid: item.data_set() for uid, item in wanted.items()
    }
    assert lab.viewer.associations[-1].calling_ae_title == archive
    if lab.gate:
        back = lab.gate.await_record(
            event="operation", calling_ae_title=archive, called_ae_title=Title.VIEWER, sop_instance_uid=min(wanted)
        )
        assert (back["listener"], back["verb"], back["status"]) == ("inside", "store", "0000")
    # DCMTK and Orthanc name who asked for the move, pynetdicom names itself (PS3.7 9.1.1.1.8 leaves it open).
    originator = archive if archive == "NOTEBOOK" else Title.WORKSTATION
    assert {came.move_originator and came.move_originator[0] for came in lab.viewer.received.values()} == {originator}


def test_a_compressed_study_goes_in_and_comes_back(lab: Hospital, tmp_path: Path) -> None:
    kinds = [kind for kind in studies.KINDS if kind.name.endswith("jpeg2000")]
    sent = {item.sop_instance_uid: item for item in studies.study(tmp_path, f"there-{lab.route}", 4, kinds)}
    paths = [item.path for item in sent.values()]
    stored = dcmtk.storescu(lab.to("QRSCP"), Title.WORKSTATION, "QRSCP", paths, "-xv", "-R")
    assert stored.ok, stored.output
    back = tmp_path / "back"
    back.mkdir()
    keys = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_uid(sent)}"]
    done = dcmtk.getscu(lab.to("QRSCP"), Title.WORKSTATION, "QRSCP", keys, back, "-S", "+xv")
    assert done.ok, done.output
    assert same_data_sets(sent, back) == []
