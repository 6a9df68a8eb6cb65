"""The tutorial of TLS for one modality, run: its own commands and its own file, on free ports."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from cryptography import x509

from docs.pages import blocks
from lab import dcmtk
from lab.gate import run_dicomgate, running_gate
from lab.process import free_address

pytestmark = [pytest.mark.interop, pytest.mark.system]
PAGE = "tls-in-five-minutes.md"


def said(language: str) -> list[str]:
    return [block.text for block in blocks(language) if block.page.name == PAGE]


def test_the_page_does_what_it_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("dcmtk")
    authority = tmp_path / "pki"
    for line in said("sh")[0].splitlines():
        _, pki, *words = shlex.split(line)
        done = run_dicomgate(pki, *(str(authority) if word == "pki" else word for word in words))
        assert done.returncode == 0, done.stderr
    for name, certificate in (("gate", "gate.north.example"), ("ct1", "ct1.north.example")):
        (found,) = _issued(authority, certificate)
        shutil.copy(found / "chain.pem", tmp_path / f"{name}.crt")
        shutil.copy(found / "key.pem", tmp_path / f"{name}.key")
    shutil.copy(authority / "ca.pem", tmp_path / "ca.crt")
    archive = free_address()
    (file,) = said("toml")
    file = file.replace("127.0.0.1:2762", "127.0.0.1:0").replace("127.0.0.1:11112", str(archive))
    with dcmtk.storescp(tmp_path / "archive", "ARCHIVE", address=archive), running_gate(tmp_path, file) as gate:
        place = gate.address("outside")
        shows = ("+tls", tmp_path / "ct1.key", tmp_path / "ct1.crt", "+cf", tmp_path / "ca.crt")
        done = dcmtk.echoscu(place, "CT1", "ARCHIVE", *shows)
        assert done.ok, done.output
        assert gate.await_record(event="operation", verb="echo")["assurance"] == "device"
        assert not dcmtk.echoscu(place, "CT1", "ARCHIVE").ok
        gate.await_record(reason="plaintext DICOM on a TLS listener")
        assert not dcmtk.echoscu(place, "CT1", "ARCHIVE", "+tla", "+cf", tmp_path / "ca.crt").ok
        other = dcmtk.echoscu(place, "CT9", "ARCHIVE", *shows)
        assert "Calling AE Title Not Recognized" in other.output


def _issued(authority: Path, name: str) -> list[Path]:
    """The folder of the certificate that bears this name."""
    found = []
    for folder in (authority / "issued").iterdir():
        leaf = x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if name in names.get_values_for_type(x509.DNSName):
            found.append(folder)
    return found
