"""What the reports say closes a finding in Orthanc and DCMTK, pasted into them: they start, and it is closed.

Every remedy that is marked as tested is run here, with the site's names in place of those that have to be changed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dicomgate.assess.advice import Basis, Remedy, remedies
from dicomgate.assess.model import State, TargetReport
from interop.test_assess import assess, found
from lab import dcmtk
from lab.orthanc import PROGRAM, orthanc
from lab.pki import SERVER, Authority
from lab.process import LOOPBACK, free_address, running

pytestmark = [pytest.mark.interop, pytest.mark.system]

DOOR = {"ADM-01", "ADM-02", "AZ-01", "AZ-04", "AZ-10", "AZ-12", "ADM-04"}
"""The first checks of Orthanc's remedies that are pasted together; TLS has a run of its own."""
NEEDS_GATE = {"ADM-04", "ADM-05", "ROB-01", "ROB-02", "ROB-04"}
"""What these servers' own settings do not close, as their remedies say."""
SERVERS = """
NetworkTCPPort = {port}
MaxPDUSize = 131072
MaxAssociations = 16
VendorTable BEGIN
VendorTable END
"""
NARROW = """
[[TransferSyntaxes]]
[Uncompressed]
TransferSyntax1 = LittleEndianImplicit
[[PresentationContexts]]
[Echo]
PresentationContext1 = VerificationSOPClass\\Uncompressed
[[Profiles]]
[Incoming]
PresentationContexts = Echo
[Outgoing]
PresentationContexts = Echo
"""


def marked(product: str, file: str) -> list[Remedy]:
    """As tested, in files of this ending."""
    chosen = [remedy for remedy in remedies() if remedy.product == product and remedy.file.endswith(file)]
    return [remedy for remedy in chosen if remedy.basis is Basis.TESTED]


def settings(chosen: Iterable[Remedy]) -> dict[str, Any]:
    """Blocks of JSON, pasted into one file."""
    return {key: value for remedy in chosen for key, value in json.loads(remedy.block).items()}


def is_closed(report: TargetReport, checks: Iterable[str]) -> None:
    assert report.state is State.ASSESSED, report.why
    outcomes = found(report)
    still = {check: outcomes[check] for check in checks if outcomes[check].startswith("fail")}
    assert still.keys() <= NEEDS_GATE, still


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    for component in ("dcmtk", "orthanc"):
        plugin.require(component)


def test_orthanc_knows_every_key() -> None:
    """It starts with keys that it does not know, too; its program holds those that it reads."""
    program = PROGRAM.read_bytes()
    assert [key for key in settings(marked("orthanc", ".json")) if key.encode() not in program] == []


def test_orthancs_list_of_devices_closes_the_door(tmp_path: Path) -> None:
    chosen = [remedy for remedy in marked("orthanc", ".json") if remedy.checks[0] in DOOR]
    pasted = settings(chosen) | {"DicomAet": "LAB-ARCHIVE"}
    with orthanc(tmp_path / "orthanc", as_delivered=True, also=pasted) as server:
        report = assess(server.address, "LAB-ARCHIVE")
    is_closed(report, [check for remedy in chosen for check in remedy.checks])


def test_orthanc_with_tls(tmp_path: Path) -> None:
    chosen = [remedy for remedy in marked("orthanc", ".json") if remedy.checks[0] not in DOOR]
    ca = Authority(tmp_path / "pki")
    server = ca.issue("orthanc", names=["localhost", LOOPBACK], usage=[SERVER])
    pasted = settings(chosen) | {
        "DicomTlsCertificate": str(server.certificate),
        "DicomTlsPrivateKey": str(server.key),
        "DicomTlsTrustedCertificates": str(ca.certificate),
    }
    with orthanc(tmp_path / "orthanc", as_delivered=True, also=pasted) as running_server:
        report = assess(running_server.address, running_server.ae_title)
    assert report.tls
    is_closed(report, [check for remedy in chosen for check in remedy.checks])


def pasted(directory: Path, port: int) -> None:
    """The files that the commands of DCMTK's remedies name."""
    directory.mkdir()
    (directory / "database").mkdir()
    tables = [remedy.block for remedy in marked("dcmtk", ".cfg") if "AETable" in remedy.block]
    text = "\n".join([SERVERS.format(port=port), *tables]).replace("/var/lib/dcmtk/db/ARCHIVE", "database")
    (directory / "dcmqrscp.cfg").write_text(text, "utf-8")
    (directory / "narrow.cfg").write_text(NARROW, "utf-8")
    ca = Authority(directory / "pki")
    server = ca.issue("server", names=["localhost", LOOPBACK], usage=[SERVER])
    for name, file in (("server.key", server.key), ("server.crt", server.certificate), ("ca.pem", ca.certificate)):
        (directory / name).write_bytes(file.read_bytes())


def command(words: Sequence[str], port: int) -> list[str]:
    """As it stands there, on a free port."""
    rest = [word for word in words[1:] if word != "2762"]
    return [str(dcmtk.BIN / words[0]), *rest, str(port)]


@pytest.mark.parametrize("remedy", marked("dcmtk", "shell"), ids=lambda remedy: remedy.checks[0])
def test_dcmtks_commands_start_and_close_it(remedy: Remedy, tmp_path: Path) -> None:
    address, directory = free_address(), tmp_path / "dcmtk"
    pasted(directory, address.port)
    words = command(shlex.split(remedy.block), address.port)
    with running("dcmtk", words, directory, ready=lambda process: process.listens(address.port)):
        report = assess(address, "ARCHIVE")
    lists = [check for table in marked("dcmtk", ".cfg") for check in table.checks]
    is_closed(report, [*remedy.checks, *(lists if "dcmqrscp.cfg" in remedy.block else ())])
