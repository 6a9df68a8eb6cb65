"""Orthanc as the one who calls: echo, store, query and retrieve, told over its REST interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import studies
from lab.hospital import Hospital, same_data_sets
from lab.process import wait_until
from lab.studies import EXPLICIT

pytestmark = [pytest.mark.interop, pytest.mark.system]
ARCHIVES = ["QRSCP", "NOTEBOOK"]


@pytest.mark.parametrize("archive", [*ARCHIVES, "STORESCP", "ORTHANC"])
def test_echo(lab: Hospital, archive: str) -> None:
    assert lab.clinic.post(f"/modalities/{archive}/echo", {}) == {}


def test_store(lab: Hospital, tmp_path: Path) -> None:
    sent = {item.sop_instance_uid: item for item in studies.study(tmp_path, f"clinic-{lab.route}", 4, EXPLICIT)}
    identifiers = [lab.clinic.store(item.path) for item in sent.values()]
    answer = lab.clinic.post("/modalities/QRSCP/store", {"Resources": identifiers, "Synchronous": True})
    assert answer["InstancesCount"] == len(sent)
    assert answer["FailedInstancesCount"] == 0
    assert same_data_sets(sent, lab.archive.directory) == []


@pytest.mark.parametrize("archive", ARCHIVES)
def test_query_and_retrieve(lab: Hospital, archive: str) -> None:
    study = lab.kept[0].study_instance_uid
    wanted = {item.sop_instance_uid: item for item in lab.kept if item.study_instance_uid == study}
    query = lab.clinic.post(f"/modalities/{archive}/query", {"Level": "Study", "Query": {"StudyInstanceUID": study}})
    path = f"/queries/{query['ID']}"
    assert lab.clinic.get(f"{path}/answers") == ["0"]
    # Without a TargetAet the archive sends to whoever asks, which is this Orthanc.
    lab.clinic.post(f"{path}/retrieve", {"Synchronous": True})
    check_arrived(lab, set(wanted))


@pytest.mark.parametrize("archive", ARCHIVES)
def test_move(lab: Hospital, archive: str) -> None:
    study = lab.kept[-1].study_instance_uid
    wanted = {item.sop_instance_uid for item in lab.kept if item.study_instance_uid == study}
    resources = [{"StudyInstanceUID": study}]
    lab.clinic.post(f"/modalities/{archive}/move", {"Level": "Study", "Resources": resources, "Synchronous": True})
    check_arrived(lab, wanted)


def check_arrived(lab: Hospital, wanted: set[str]) -> None:
    """Every instance is in the clinic's own database, byte for byte; then it is taken out for the next test."""
    by_uid = {item.sop_instance_uid: item for item in lab.kept}

    def there() -> bool:
        return all(lab.clinic.find("Instance", SOPInstanceUID=uid) for uid in wanted)

    wait_until(there, 10, "the retrieved instances in the clinic's Orthanc")
    for uid in wanted:
        (identifier,) = lab.clinic.find("Instance", SOPInstanceUID=uid)
        file = lab.clinic.get_bytes(f"/instances/{identifier}/file")
        assert file.endswith(by_uid[uid].data_set())
        lab.clinic.delete(f"/instances/{identifier}")
