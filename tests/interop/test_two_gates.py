"""The tutorial of two gates, run: its own configuration files, with addresses of this machine put in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.pages import blocks
from lab import dcmtk, studies
from lab.gate import Gate, running_gate
from lab.hospital import same_data_sets
from lab.orthanc import Modality, Orthanc, orthanc
from lab.pki import CLIENT, SERVER, Authority
from lab.process import Address, free_address

pytestmark = [pytest.mark.interop, pytest.mark.system]


@dataclass(frozen=True)
class Scene:
    """A reader in front of the site gate, Orthanc behind the main gate."""

    site: Gate
    main: Gate
    archive: Orthanc
    reader: Address
    received: Path
    pki: Authority

    @property
    def to(self) -> Address:
        return self.site.address("devices")


def _files(directory: Path, ca: Authority, name: str, host: str) -> None:
    made = ca.issue(name, names=[host], usage=[SERVER, CLIENT])
    directory.mkdir()
    (directory / "ca.crt").write_bytes(ca.certificate.read_bytes())
    for path in (made.certificate, made.key):
        (directory / path.name).write_bytes(path.read_bytes())
        (directory / path.name).chmod(0o600)


def _here(text: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        assert place in text
        text = text.replace(place, here)
    return text


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Scene]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("dcmtk")
    plugin.require("orthanc")
    main_file, site_file = (block.text for block in blocks("toml") if block.page.name == "two-gates.md")
    directory = tmp_path_factory.mktemp("two-gates")
    ca = Authority(directory / "pki")
    _files(directory / "main", ca, "main-gate", "main.north.example")
    _files(directory / "site", ca, "site-gate", "site.north.example")
    archive, archive_side, from_main, reader = (free_address() for _ in range(4))
    known = {"reader1": Modality("READER1", archive_side)}
    main_file = _here(
        main_file,
        {
            "10.9.1.5:2762": "127.0.0.1:0",
            "10.9.1.5:11105": str(archive_side),
            "10.9.1.20:11112": str(archive),
            "10.9.1.20": "127.0.0.1",
            "198.51.100.7:2763": str(from_main),
            "198.51.100.7": "127.0.0.1",
        },
    )
    with (
        orthanc(directory / "orthanc", "ARCHIVE", address=archive, modalities=known) as behind,
        dcmtk.storescp(directory / "reader", "READER1", address=reader) as receiver,
        running_gate(directory / "main", main_file) as main,
    ):
        site_file = _here(
            site_file,
            {
                "10.1.1.5:104": "127.0.0.1:0",
                "10.1.1.5:2763": str(from_main),
                "203.0.113.10:2762": str(main.address("outside")),
                "203.0.113.10": "127.0.0.1",
                "10.1.0.0/16": "127.0.0.1",
                "10.1.3.7:11112": str(reader),
                "10.1.3.7": "127.0.0.1",
            },
        )
        with running_gate(directory / "site", site_file) as site:
            yield Scene(site, main, behind, reader, receiver.directory, ca)


def test_a_plain_device_is_proven_on_the_way(scene: Scene) -> None:
    done = dcmtk.echoscu(scene.to, "READER1", "ARCHIVE")
    assert done.ok, done.output
    assert scene.site.await_record(event="operation", verb="echo")["assurance"] == "address"
    far = scene.main.await_record(event="operation", verb="echo")
    assert (far["assurance"], far["peer"]) == ("device", "reader-1")
    admitted = scene.main.await_record(event="association_admitted")
    assert admitted["detail"]["tls_version"] == "TLSv1.3"


def test_objects_come_back_through_both_gates(scene: Scene, tmp_path: Path) -> None:
    made = [studies.instance(tmp_path, kind, "two-gates", number) for number, kind in enumerate(studies.KINDS[:2], 1)]
    stored = dcmtk.storescu(scene.to, "READER1", "ARCHIVE", [each.path for each in made])
    assert stored.ok, stored.output
    output = tmp_path / "moved"
    output.mkdir()
    for study in {each.study_instance_uid for each in made}:
        keys = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"]
        moved = dcmtk.movescu(scene.to, "READER1", "ARCHIVE", keys, "-S", destination="READER1", output=output)
        assert moved.ok, moved.output
    assert same_data_sets({each.sop_instance_uid: each for each in made}, scene.received) == []
    back = scene.site.await_record(event="association_admitted", listener="from-main")
    assert back["detail"]["direction"] == "to_peer"
    assert back["detail"]["certificate_sha256"]


def test_another_certificate_reaches_neither_side(scene: Scene) -> None:
    stranger = scene.pki.issue("stranger", usage=[CLIENT])
    shows = ("+tls", stranger.key, stranger.certificate, "+cf", scene.pki.certificate)
    forward = dcmtk.echoscu(scene.main.address("outside"), "READER1", "ARCHIVE", *shows)
    assert "Calling AE Title Not Recognized" in forward.output
    assert scene.main.await_record(event="association_refused")["rule"] == "peer[reader-1].certificates"
    back = dcmtk.echoscu(scene.site.address("from-main"), "ARCHIVE", "READER1", *shows)
    assert "Calling AE Title Not Recognized" in back.output
    refused = scene.site.await_record(event="association_refused", listener="from-main")
    assert refused["rule"] == "archive[main].certificates"


def test_nothing_passes_in_clear_between_the_gates(scene: Scene) -> None:
    for place in (scene.main.address("outside"), scene.site.address("from-main")):
        assert not dcmtk.echoscu(place, "READER1", "ARCHIVE").ok
    scene.main.await_record(rule="listener[outside].tls", reason="plaintext DICOM on a TLS listener")
    scene.site.await_record(rule="listener[from-main].tls", reason="plaintext DICOM on a TLS listener")
