"""Whatever the moment a run ends, the authority is in the old or in the new state, and knows all it has signed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dicomgate.pki.authority import load
from dicomgate.pki.problem import PkiError
from pki.scene import Site, site

PROGRAM = Path(__file__).with_name("stop_at_each_step.py")
BROKEN_PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
LEAST_STEPS = {"init": 30, "issue": 30, "issue-p12": 40, "renew": 30, "renew-same-key": 30, "revoke": 5, "crl": 5}


@pytest.mark.parametrize("how", ["kill", "fail"])
@pytest.mark.parametrize("change", LEAST_STEPS)
def test_any_moment(change: str, how: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[1])}
    ended = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, tmp_path, change, how],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["wrong"] == []
    assert found["steps"] >= LEAST_STEPS[change]


def test_an_interrupted_issue_is_finished_and_told(north: Site, tmp_path: Path) -> None:
    north.issue()
    folder = north.current().folder
    (folder / "pending").write_bytes(b"with key store\n")
    (folder / "chain.pem").unlink()
    north.device("ct-1", "").parent.joinpath("ct-1").unlink()
    notes = north.issue("ct-2", "CT2", "ct2.north.example").notes
    assert any("of an interrupted run is complete now" in note for note in notes)
    assert any("PKCS#12 files are missing" in note and "--same-key" in note for note in notes)
    assert north.current().folder == folder
    assert (folder / "chain.pem").exists()


def test_a_certificate_that_went_missing_is_no_interruption(north: Site) -> None:
    north.issue()
    (north.current().folder / "certificate.pem").unlink()
    key = next((north.folder / "issued").glob("*/key.pem"))
    with pytest.raises(PkiError, match="signed once"):
        north.issue("ct-2", "CT2", "ct2.north.example")
    assert key.exists()


@pytest.mark.parametrize("name", ["root.pem", "issuing.pem", "crl.pem", "issuing.key.pem", "issued", "devices"])
def test_an_authority_with_a_missing_part_says_which(north: Site, name: str) -> None:
    path = north.folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(PkiError, match=name):
        north.issue()


@pytest.mark.parametrize("name", ["root.pem", "issuing.pem", "crl.pem", "issuing.key.pem"])
@pytest.mark.parametrize("content", [b"", b"nonsense", BROKEN_PEM])
def test_a_broken_part_says_so(north: Site, name: str, content: bytes) -> None:
    (north.folder / name).write_bytes(content)
    with pytest.raises(PkiError, match=name):
        north.issue()


def test_what_another_authority_signed_is_not_believed(north: Site, tmp_path: Path) -> None:
    other = site(tmp_path / "other")
    other.issue()
    foreign = other.current().folder
    shutil.copytree(foreign, north.folder / "issued" / foreign.name)
    with pytest.raises(PkiError, match="was not signed by this authority"):
        load(north.folder)
    shutil.rmtree(north.folder / "issued" / foreign.name)
    north.folder.joinpath("crl.pem").write_bytes(other.folder.joinpath("crl.pem").read_bytes())
    with pytest.raises(PkiError, match="no revocation list that is signed by"):
        load(north.folder)


def test_a_certificate_in_another_folder_is_not_believed(north: Site) -> None:
    north.issue()
    folder = north.current().folder
    shutil.copytree(folder, folder.with_name("0" * 40))
    with pytest.raises(PkiError, match="serial number is not the folder's name"):
        load(north.folder)
