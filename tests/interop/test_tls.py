"""TLS with real programs on either side: DCMTK and pynetdicom call, storescp receives, OpenSSL's own client looks."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from lab import dcmtk, studies
from lab.dcmtk import BIN
from lab.gate import Gate, running_gate
from lab.pki import CLIENT, SERVER, Authority, Identity
from lab.process import Address, free_address, running

pytestmark = [pytest.mark.interop, pytest.mark.system]

CONFIGURATION = """
[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]
tls = {{ certificate = "{gate.certificate}", key = "{gate.key}", client_ca = "{ca}" }}

[[archive]]
name = "files"
ae_title = "FILES"
address = "127.0.0.1:{files.port}"
networks = []
tls = {{ ca = "{ca}", certificate = "{gate.certificate}", key = "{gate.key}" }}

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
    """A gate with TLS on both sides, and storescp behind it."""

    gate: Gate
    ca: Authority
    device: Identity
    received: Path

    @property
    def address(self) -> Address:
        return self.gate.address("outside")

    def shows(self, identity: Identity) -> tuple[str | Path, ...]:
        """Options of DCMTK's clients."""
        return ("+tls", identity.key, identity.certificate, "+cf", self.ca.certificate)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Scene]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("dcmtk")
    directory = tmp_path_factory.mktemp("tls")
    ca = Authority(directory / "pki")
    gate = ca.issue("gate", names=["127.0.0.1"], usage=[SERVER, CLIENT])
    archive = ca.issue("archive", names=["127.0.0.1"], usage=[SERVER])
    files, received = free_address(), directory / "received"
    received.mkdir()
    # It demands a certificate of whoever calls, the gate's in this case.
    command: list[str | Path] = [BIN / "storescp", "-v", "+B", "+xa", "-dhl", "-aet", "FILES", "-od", received]
    command += ["+tls", archive.key, archive.certificate, "+cf", ca.certificate, str(files.port)]
    with (
        running("storescp", command, directory / "files", ready=lambda process: process.listens(files.port)),
        running_gate(directory / "gate", CONFIGURATION.format(gate=gate, ca=ca.certificate, files=files)) as started,
    ):
        yield Scene(started, ca, ca.issue("ct1"), received)


def test_echoscu(scene: Scene) -> None:
    done = dcmtk.echoscu(scene.address, "CT1", "FILES", *scene.shows(scene.device))
    assert done.ok, done.output
    admitted = scene.gate.await_record(event="association_admitted")
    assert admitted["assurance"] == "device"
    assert admitted["detail"]["tls_version"] in ("TLSv1.2", "TLSv1.3")
    assert admitted["detail"]["certificate_sha256"] == scene.device.facts.sha256


@pytest.mark.parametrize("profile", ["--profile-bcp195-nd", "--profile-bcp195"])
def test_profiles_of_dcmtk(scene: Scene, profile: str) -> None:
    done = dcmtk.echoscu(scene.address, "CT1", "FILES", *scene.shows(scene.device), profile)
    assert done.ok, done.output


def test_storescu(scene: Scene, tmp_path: Path) -> None:
    sent = [studies.instance(tmp_path, studies.KINDS[0], "tls", number, rows=512) for number in range(1, 41)]
    paths = [each.path for each in sent]
    done = dcmtk.storescu(scene.address, "CT1", "FILES", paths, *scene.shows(scene.device))
    assert done.ok, done.output
    arrived = studies.files_by_sop_instance(scene.received, [each.sop_instance_uid for each in sent])
    for each in sent:
        assert studies.data_set_of(arrived[each.sop_instance_uid]) == studies.data_set_of(each.path)


def test_another_device(scene: Scene) -> None:
    done = dcmtk.echoscu(scene.address, "CT1", "FILES", *scene.shows(scene.ca.issue("ct2")))
    assert not done.ok
    assert "Calling AE Title Not Recognized" in done.output
    assert scene.gate.await_record(event="association_refused")["rule"] == "peer[ct-1].certificates"


def test_another_authority(scene: Scene, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "other").issue("ct1")
    assert not dcmtk.echoscu(scene.address, "CT1", "FILES", *scene.shows(stranger)).ok
    refused = scene.gate.await_record(rule="listener[outside].tls")
    assert refused["reason"] == "certificate refused: unable to get local issuer certificate"


def test_no_tls(scene: Scene) -> None:
    assert not dcmtk.echoscu(scene.address, "CT1", "FILES").ok
    scene.gate.await_record(rule="listener[outside].tls", reason="plaintext DICOM on a TLS listener")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_pynetdicom(scene: Scene, version: ssl.TLSVersion) -> None:
    context = scene.device.context(scene.ca.certificate, protocols=())
    context.minimum_version = context.maximum_version = version
    entity = AE("CT1")
    entity.add_requested_context(Verification)
    made = entity.associate(
        scene.address.host, scene.address.port, ae_title="FILES", tls_args=(context, scene.address.host)
    )
    try:
        assert made.is_established
        assert [made.send_c_echo().Status for _ in range(5)] == [0] * 5
        made.release()
    finally:
        entity.shutdown()


@pytest.mark.parametrize(("offered", "selected"), [("dicom", "ALPN protocol: dicom"), (None, "No ALPN negotiated")])
def test_s_client(scene: Scene, offered: str | None, selected: str) -> None:
    options = ["-alpn", offered] if offered else []
    done = subprocess.run(
        [
            "openssl", "s_client", "-connect", str(scene.address), "-CAfile", scene.ca.certificate,
            "-cert", scene.device.certificate, "-key", scene.device.key, "-verify_return_error", *options,
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert "Verify return code: 0 (ok)" in done.stdout
    assert selected in done.stdout
    assert "Compression: NONE" in done.stdout
