"""The tutorial of the gate at a desk, run: its own configuration files, with addresses of this machine put in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.pages import blocks
from interop.conftest import require
from lab import dcmtk, studies
from lab.gate import DICOMGATE, Gate, run_dicomgate, running_gate
from lab.openid_provider import AUDIENCE, OpenIdProvider, openid_provider
from lab.pki import SERVER, Authority
from lab.process import Address, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.system]
NO_TOKEN = "Temporary Congestion"
NO_USER = "No Reason"


@dataclass(frozen=True)
class Scene:
    """A viewer that is DCMTK, two gates, a provider, and an archive."""

    desk: Gate
    main: Gate
    provider: OpenIdProvider
    archive: dcmtk.Server
    ca: Authority
    image: Path

    @property
    def to(self) -> Address:
        return self.desk.address("viewer")

    @contextmanager
    def signing_in(self) -> Iterator[str]:
        """`dicomgate login` beside the running gate; the page that the user is told to open."""
        command = [*DICOMGATE, "login", "-c", str(self.desk.configuration), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as login:
            assert login.stdout is not None
            yield str(json.loads(login.stdout.readline())["verification_uri_complete"])
            signed_in = json.loads(login.stdout.readline())
            assert login.wait(30) == 0
            assert signed_in["renewable"] is True

    def echo(self) -> dcmtk.Outcome:
        return dcmtk.echoscu(self.to, "VIEWER1", "ARCHIVE")


def _here(text: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        assert place in text
        text = text.replace(place, here)
    return text


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    require("dcmtk")
    require("openid")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    main_file, desk_file = (block.text for block in blocks("toml") if block.page.name == "desk-gate.md")
    ca = Authority(tmp_path / "pki")
    issued = ca.issue("main-gate", names=["gate.clinic.example"], usage=[SERVER])
    for name in ("main", "desk"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clinic-ca.crt").write_bytes(ca.certificate.read_bytes())
    for path in (issued.certificate, issued.key):
        (tmp_path / "main" / path.name).write_bytes(path.read_bytes())
        (tmp_path / "main" / path.name).chmod(0o600)
    with (
        openid_provider(tmp_path / "openid", authority=ca) as provider,
        dcmtk.storescp(tmp_path / "archive", "ARCHIVE") as archive,
    ):
        issuer = {"https://login.clinic.example/realms/clinic": provider.issuer}
        places = {
            "10.9.1.5:2762": "127.0.0.1:0",
            "10.1.0.0/16": "127.0.0.1",
            "10.9.1.20:11112": str(archive.address),
            "https://gate.clinic.example": AUDIENCE,
        }
        with running_gate(tmp_path / "main", _here(main_file, issuer | places)) as main:
            places = {"127.0.0.1:11112": "127.0.0.1:0", "10.9.1.5:2762": str(main.address("desks"))}
            with running_gate(tmp_path / "desk", _here(desk_file, issuer | places)) as desk:
                image = studies.instance(tmp_path, studies.KINDS[1], "desk").path
                yield Scene(desk, main, provider, archive, ca, image)


def test_a_viewer_that_knows_no_users_brings_one(scene: Scene, tmp_path: Path) -> None:
    # Nobody is signed in: nothing leaves the desk.
    refused = scene.echo()
    assert not refused.ok
    assert NO_TOKEN in refused.output
    assert scene.desk.await_record(event="association_refused")["rule"] == "archive[clinic].identity"
    wait_until(lambda: "nobody is signed in: run dicomgate login" in scene.desk.log, 20, "word of it in the log")
    assert scene.main.records(event="association_requested") == []

    with scene.signing_in() as page:
        scene.provider.approve(page)
    wait_until(lambda: scene.echo().ok, 30, "an echo with the user's token")
    stored = dcmtk.storescu(scene.to, "VIEWER1", "ARCHIVE", [scene.image])
    assert stored.ok, stored.output

    # Every record of the main gate since then names user, proof, device and address.
    operation = scene.main.await_record(event="operation", verb="store")
    ours = [record for record in scene.main.records() if record["association"] == operation["association"]]
    events = [record["event"] for record in ours]
    assert events[:3] == ["association_requested", "identity_verified", "association_admitted"]
    for record in ours[1:]:
        assert (record["user"], record["address"], record["calling_ae_title"]) == ("alice", "127.0.0.1", "VIEWER1")
    admitted = next(record for record in ours if record["event"] == "association_admitted")
    for record in (admitted, operation):
        assert (record["assurance"], record["peer"]) == ("user", "desks")
        assert record["detail"]["proof"] == "jwt by clinic"
    assert scene.desk.await_record(event="operation", verb="store")["assurance"] == "address"

    # Around the desk there is no way in, encrypted or not; and a user without the role is nobody here.
    served = scene.archive.associations()
    encrypted = ("+tla", "+cf", scene.ca.certificate)
    around = dcmtk.echoscu(scene.main.address("desks"), "VIEWER1", "ARCHIVE", *encrypted)
    assert NO_USER in around.output, around.output
    assert not dcmtk.echoscu(scene.main.address("desks"), "VIEWER1", "ARCHIVE").ok
    assert scene.archive.associations() == served
    with scene.signing_in() as page:
        scene.provider.approve(page, "bob")
    wait_until(lambda: not scene.echo().ok, 30, "the end of the former user's token")
    assert scene.main.await_record(event="association_refused", user="bob")["rule"] == "role"
    served = scene.archive.associations()

    # Signed out.
    assert run_dicomgate("login", "-c", scene.desk.configuration, "--forget").returncode == 0
    wait_until(lambda: NO_TOKEN in scene.echo().output, 30, "the end of the sign-in")
    assert scene.archive.associations() == served

    # Nothing that either gate wrote holds a token; the desk's own keeping place is empty again.
    token = str(scene.provider.tokens()["access_token"])
    assert token.startswith("eyJ")
    scene.desk.stop()
    scene.main.stop()
    for folder in ("main", "desk"):
        for file in (path for path in (tmp_path / folder).rglob("*") if path.is_file()):
            assert b"eyJ" not in file.read_bytes(), file
