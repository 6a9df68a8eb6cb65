"""Real DICOM programs with exactly the lines that `pki issue` prints: mutual TLS, and who is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicomgate.pki.commands import Report
from dicomgate.pki.words import KeyKind
from lab import dcmtk, orthanc
from lab.process import Address, Process, free_address, running
from lab.studies import KINDS, instance
from pki.conftest import required
from pki.scene import Site, site

pytestmark = pytest.mark.interop
PLACES = {"PEER": "PACS", "HOST": "127.0.0.1"}


def line(report: Report, program: str, **places: str) -> list[str]:
    """The printed line of a DCMTK program, as a shell would take it apart, with the other side put in."""
    (found,) = (text for text in report.lines if text.startswith(program + " +tls"))
    path, *rest = shlex.split(found)
    return [str(dcmtk.BIN / path), *({**PLACES, **places}.get(word, word) for word in rest)]


@contextmanager
def storescp(report: Report, directory: Path, *more: str | Path) -> Iterator[tuple[Address, Process]]:
    address = free_address()
    *arguments, port = line(report, "storescp")
    assert port == "2762"
    command = [*arguments, "-v", *map(str, more), str(address.port)]
    with running("storescp", command, directory, ready=lambda process: process.listens(address.port)) as process:
        yield address, process


def call(report: Report, program: str, to: Address, **places: str) -> dcmtk.Outcome:
    path, *rest = line(report, program, PORT=str(to.port), **places)
    return dcmtk.client(Path(path).name, "-v", *rest)


@pytest.fixture(autouse=True)
def programs() -> None:
    for program in ("echoscu", "storescu", "storescp"):
        required(program, "DCMTK is not installed: as root, apt-get install --no-install-recommends dcmtk")


@pytest.mark.parametrize("kind", KeyKind)
def test_dcmtk_echoes_and_stores(tmp_path: Path, kind: KeyKind) -> None:
    it = site(tmp_path / "a folder with $signs")
    device = it.issue("ct-1", "CT 1", kind=kind)
    pacs = it.issue("pacs", "PACS", "localhost", "127.0.0.1", kind=kind)
    file = instance(tmp_path / "studies", KINDS[1], "TLS").path
    with storescp(pacs, tmp_path / "received") as (address, process):
        echoed = call(device, "echoscu", address)
        stored = call(device, "storescu", address, **{"FILE.dcm": str(file)})
        assert echoed.ok, echoed.output + process.tail()
        assert stored.ok, stored.output + process.tail()
    assert [path for path in (tmp_path / "received").iterdir() if path.name.startswith(("CT", "US", "MR", "SC"))]


def test_dcmtk_refuses_a_stranger_and_somebody_without_a_certificate(north: Site, tmp_path: Path) -> None:
    pacs = north.issue("pacs", "PACS", "localhost", "127.0.0.1")
    stranger = site(tmp_path / "other").issue()
    with storescp(pacs, tmp_path / "received") as (address, _):
        assert not call(stranger, "echoscu", address).ok
        assert not dcmtk.client("echoscu", "+tla", "-ic", address.host, str(address.port)).ok
        assert not dcmtk.client("echoscu", address.host, str(address.port)).ok
        assert call(north.issue(), "echoscu", address).ok


def test_dcmtk_refuses_who_is_revoked(north: Site, tmp_path: Path) -> None:
    pacs = north.issue("pacs", "PACS", "localhost", "127.0.0.1")
    device, other = north.issue(), north.issue("ct-2", "CT2", "ct2.north.example")
    north.revoke("ct-1")
    lists = ["+crl", north.folder / "crl.pem", "+cra"]
    with storescp(pacs, tmp_path / "received", *lists) as (address, process):
        assert not call(device, "echoscu", address).ok
        passed = call(other, "echoscu", address)
        assert passed.ok, passed.output + process.tail()


def test_orthanc_in_both_roles(north: Site, tmp_path: Path) -> None:
    required("Orthanc", "Orthanc is not installed: as root, apt-get install --no-install-recommends orthanc")
    device = north.issue()
    printed = north.issue("pacs", "PACS", "localhost", "127.0.0.1").lines
    start = printed.index("{")
    tls = json.loads("\n".join(printed[start : printed.index("}") + 1]))
    dicom, http = free_address(), free_address()
    directory = tmp_path / "orthanc"
    directory.mkdir()
    with storescp(device, tmp_path / "received") as (address, _):
        known = {"AET": "CT1", "Host": address.host, "Port": address.port, "UseDicomTls": True}
        settings = {
            **tls,
            "StorageDirectory": str(directory),
            "IndexDirectory": str(directory),
            "Plugins": [],
            "HttpPort": http.port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": "PACS",
            "DicomPort": dicom.port,
            "DicomModalities": {"ct": known},
        }
        (directory / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")

        def ready(process: Process) -> bool:
            return process.listens(dicom.port) and process.listens(http.port)

        with running(
            "orthanc", [orthanc.PROGRAM, directory / "orthanc.json"], directory, ready=ready, grace=0.2
        ) as process:
            called = call(device, "echoscu", dicom)
            assert called.ok, called.output + process.tail()
            assert not call(site(tmp_path / "other").issue(), "echoscu", dicom).ok
            orthanc.Orthanc("PACS", dicom, http, process).post("/modalities/ct/echo", {})
