"""Orthanc with DICOM TLS on either side of the gate, everybody with a certificate: it stores, and is stored to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import dcmtk, studies
from lab.gate import Gate, running_gate
from lab.orthanc import Modality, Orthanc, RestError, orthanc
from lab.pki import CLIENT, SERVER, Authority, Identity
from lab.process import free_address

pytestmark = [pytest.mark.interop, pytest.mark.system]

CONFIGURATION = """
[[listener]]
name = "outside"
bind = "{outside}"
networks = ["127.0.0.1"]
tls = {{ certificate = "{gate.certificate}", key = "{gate.key}", client_ca = "{ca}" }}

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"
networks = []
tls = {{ ca = "{ca}", certificate = "{gate.certificate}", key = "{gate.key}" }}

[[peer]]
name = "clinic"
ae_titles = ["CLINIC"]
networks = ["127.0.0.1"]
assurance = "device"
certificates = ["dns:clinic.lab.example"]
may = ["echo", "store"]

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["127.0.0.1"]
assurance = "device"
certificates = ["dns:ct1.lab.example"]
may = ["echo", "store"]
"""


@dataclass(frozen=True)
class Scene:
    """A clinic's Orthanc, a gate, and the archive's Orthanc."""

    clinic: Orthanc
    gate: Gate
    archive: Orthanc
    device: Identity
    ca: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Scene]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("dcmtk")
    plugin.require("orthanc")
    directory = tmp_path_factory.mktemp("tls-orthanc")
    ca = Authority(directory / "pki")
    gate = ca.issue("gate", names=["127.0.0.1"], usage=[SERVER, CLIENT])
    behind = ca.issue("archive", names=["127.0.0.1"], usage=[SERVER, CLIENT])
    clinic = ca.issue("clinic", usage=[SERVER, CLIENT])
    outside, archive = free_address(), free_address()
    configuration = CONFIGURATION.format(outside=outside, archive=archive, gate=gate, ca=ca.certificate)
    known = {"gate": Modality("ARCHIVE", outside)}
    with (
        orthanc(directory / "archive", "ARCHIVE", address=archive, shows=behind, trusts=ca.certificate) as kept,
        running_gate(directory / "gate", configuration) as running,
        orthanc(directory / "clinic", "CLINIC", modalities=known, shows=clinic, trusts=ca.certificate) as calling,
    ):
        yield Scene(calling, running, kept, ca.issue("ct1"), ca.certificate)


def test_orthanc_calls_and_orthanc_answers(scene: Scene, tmp_path: Path) -> None:
    scene.clinic.post("/modalities/gate/echo", {})
    made = studies.instance(tmp_path, studies.KINDS[0], "tls-orthanc", 1)
    scene.clinic.post("/modalities/gate/store", [scene.clinic.store(made.path)])
    assert len(scene.archive.find("Instance", SOPInstanceUID=made.sop_instance_uid)) == 1
    record = scene.gate.await_record(event="operation", verb="store", calling_ae_title="CLINIC")
    assert (record["assurance"], record["peer"], record["status"]) == ("device", "clinic", "0000")


def test_dcmtk_calls_and_orthanc_answers(scene: Scene, tmp_path: Path) -> None:
    made = studies.instance(tmp_path, studies.KINDS[0], "tls-orthanc", 2)
    shows = ("+tls", scene.device.key, scene.device.certificate, "+cf", scene.ca)
    done = dcmtk.storescu(scene.gate.address("outside"), "CT1", "ARCHIVE", [made.path], *shows)
    assert done.ok, done.output
    assert len(scene.archive.find("Instance", SOPInstanceUID=made.sop_instance_uid)) == 1


def test_nobody_passes_the_archive_by_the_gate_without_a_certificate(scene: Scene, tmp_path: Path) -> None:
    made = studies.instance(tmp_path, studies.KINDS[0], "tls-orthanc", 3)
    for place in (scene.gate.address("outside"), scene.archive.address):
        done = dcmtk.storescu(place, "CT1", "ARCHIVE", [made.path], "+tla", "-ic")
        assert not done.ok
    assert scene.archive.find("Instance", SOPInstanceUID=made.sop_instance_uid) == []


def test_another_devices_title_is_refused_to_orthanc_too(scene: Scene) -> None:
    shows = ("+tls", scene.device.key, scene.device.certificate, "+cf", scene.ca)
    done = dcmtk.echoscu(scene.gate.address("outside"), "CLINIC", "ARCHIVE", *shows)
    assert "Calling AE Title Not Recognized" in done.output
    with pytest.raises(RestError):
        scene.clinic.post("/modalities/gate/find-worklist", {})
