"""Users whom a real provider vouches for, at a real gate: with a token or an assertion they reach the archive."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.conftest import require, require_package
from lab import dcmtk, studies
from lab.gate import Gate, running_gate
from lab.openid_provider import AUDIENCE, OpenIdProvider, openid_provider
from lab.pki import now
from lab.process import wait_until
from lab.saml_provider import GATE, RECIPIENT, SamlProvider, Statement

pytestmark = pytest.mark.interop
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[identity]
delay = "10 ms"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"

[[peer]]
name = "workstation"
ae_titles = ["WS1"]
networks = ["127.0.0.0/8"]
assurance = "user"
may = ["echo", "store"]

[[role]]
name = "radiologist"
groups = ["radiologists"]
may = ["echo", "store"]

[[verifier]]
name = "tokens"
kind = "oidc"
issuer = "{issuer}"
audience = "{audience}"
ca = "{ca}"
user_claim = "preferred_username"
groups_claim = "realm_access.roles"

[[verifier]]
name = "assertions"
kind = "saml"
metadata = "{metadata}"
audience = "{gate}"
recipient = "{recipient}"
"""


@dataclass(frozen=True)
class Scene:
    gate: Gate
    openid: OpenIdProvider
    saml: SamlProvider
    archive: dcmtk.Server
    image: Path
    folder: Path

    def store(self, option: str, credential: bytes) -> dcmtk.Outcome:
        """With DCMTK's storescu, which asks for a positive response."""
        file = self.folder / "credential"
        file.write_bytes(credential)
        to = self.gate.address("outside")
        return dcmtk.storescu(to, "WS1", "ARCHIVE", [self.image], option, file, "-rsp")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    for component in ("dcmtk", "openid", "xmlsec1"):
        require(component)
    require_package("signxml")
    saml = SamlProvider(tmp_path / "idp")
    with openid_provider(tmp_path / "openid") as openid, dcmtk.storescp(tmp_path / "archive", "ARCHIVE") as archive:
        text = CONFIGURATION.format(
            archive=archive.address,
            issuer=openid.issuer,
            audience=AUDIENCE,
            ca=openid.ca,
            metadata=saml.metadata,
            gate=GATE,
            recipient=RECIPIENT,
        )
        with running_gate(tmp_path, text) as gate:
            image = studies.instance(tmp_path, studies.KINDS[1], "users").path
            yield Scene(gate, openid, saml, archive, image, tmp_path)


def test_users_are_let_in_by_what_their_providers_signed(scene: Scene) -> None:
    alice = str(scene.openid.tokens(user="alice")["access_token"]).encode()
    stored = scene.store("--jwt", alice)
    assert stored.ok, stored.output
    admitted = scene.gate.await_record(event="association_admitted", user="alice")
    assert admitted["assurance"] == "user"
    transferred = scene.gate.await_record(event="operation", user="alice")
    assert transferred["verb"] == "store"

    # The same provider knows Bob, whose groups give him no role here.
    bob = str(scene.openid.tokens(user="bob")["access_token"]).encode()
    assert not scene.store("--jwt", bob).ok
    assert not scene.store("--jwt", alice[:-2] + b"xx").ok

    # A second ahead: the gate refuses what is older than its start, and instants are told in whole seconds.
    assertion = scene.saml.sign(Statement(now().timestamp(), name="carol", issued=1, begins=None))
    stored = scene.store("--saml", base64.b64encode(assertion))
    assert stored.ok, stored.output
    scene.gate.await_record(event="association_admitted", user="carol")
    assert not scene.store("--saml", assertion).ok, "it was used before"
    scene.gate.sighup()
    wait_until(lambda: len(scene.gate.records(event="configuration_loaded")) == 1, 20, "the reload")
    assert not scene.store("--saml", assertion).ok, "and so it was after a reload"
    assert not scene.store("--saml", assertion.replace(b"carol", b"mallo")).ok

    assert scene.archive.associations() == 2
    said = scene.gate.log + str(scene.gate.records())
    for secret in (alice.rpartition(b".")[2], bob.rpartition(b".")[2], b"SignatureValue"):
        assert secret.decode() not in said
