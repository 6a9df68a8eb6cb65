"""What archives are told of the user: tokens of the gate's own, tokens of who is signed in, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from dicomgate.cli.introduction import Introduction, IntroductionError
from dicomgate.config.load import Configuration, load
from dicomgate.facts import AssociationFacts, Origin
from dicomgate.iam.oidc.keepers import keeper
from dicomgate.iam.oidc.sign_in import Tokens
from dicomgate.policy.model import UpstreamIdentity
from dicomgate.policy.verdict import AllowAssociation, AssociationPermit
from lab.gate import run_dicomgate
from lab.process import wait_until
from session.cast import ARCHIVE
from session.test_identity import ANNA, TLS, TOKEN, asking, policy

CONFIGURATION = """
[gate]
name = "{name}"

[[listener]]
name = "desk"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]

[[archive]]
name = "clinic"
ae_title = "ARCHIVE"
address = "127.0.0.1:11113"
identity = "{identity}"

[login]
issuer = "{issuer}"
client_id = "desk"
"""


def permit(identity: UpstreamIdentity, **user: object) -> AssociationPermit:
    origin = Origin("outside", ip_address("8.8.8.8"), 4711, TLS)
    facts = AssociationFacts(origin, "TELE", "ARCHIVE", asking(TOKEN))
    found = policy(archive=replace(ARCHIVE, identity=identity)).decide_association(
        facts,
        replace(ANNA, **user),  # type: ignore[arg-type]
        at=time.time(),
    )
    assert isinstance(found, AllowAssociation)
    return found.permit


MINT, LOGIN, STRIP = (permit(each) for each in (UpstreamIdentity.MINT, UpstreamIdentity.LOGIN, UpstreamIdentity.STRIP))


class Scene:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "gate.token-key"
        self.told: list[str] = []
        self.introduction = Introduction(folder / "gate.db", self.told.append)

    def configuration(
        self, identity: str, name: str = "north", issuer: str = "https://login.clinic.example"
    ) -> Configuration:
        file = self.folder / "gate.toml"
        file.write_text(CONFIGURATION.format(identity=identity, name=name, issuer=issuer))
        return load(file)

    def use(self, identity: str, **changes: str) -> None:
        self.introduction.use(self.introduction.prepare(self.configuration(identity, **changes)))


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    made = Scene(tmp_path)
    yield made
    made.introduction.close()


def test_who_wants_no_token_gets_none_and_no_key_is_made(scene: Scene) -> None:
    scene.use("strip")
    assert [scene.introduction.token(each) for each in (MINT, LOGIN, STRIP)] == [None, None, None]
    assert scene.introduction.key_set() == {"keys": []}
    assert not scene.key.exists()


def test_a_minted_token_is_verified_with_what_is_published(scene: Scene) -> None:
    scene.use("mint")
    token = scene.introduction.token(MINT)
    assert token is not None
    keys = scene.introduction.key_set()
    assert "d" not in keys["keys"][0]
    found = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"])  # type: ignore[arg-type]
    said = found.claims
    assert (said["iss"], said["sub"], said["aud"], said["roles"]) == ("north", "anna", "main", ["reader"])
    assert scene.key.stat().st_mode & 0o777 == 0o600
    assert scene.introduction.token(LOGIN) is None
    assert scene.introduction.token(STRIP) is None


def test_who_has_no_proof_any_more_is_not_introduced(scene: Scene) -> None:
    scene.use("mint")
    assert scene.introduction.token(permit(UpstreamIdentity.MINT, expires=time.time() + 600)) is not None
    assert scene.introduction.token(permit(UpstreamIdentity.MINT, expires=time.time() - 1)) is None


def test_the_key_stays_until_it_is_removed(scene: Scene) -> None:
    scene.use("mint")
    before = scene.introduction.key_set()
    scene.use("mint", name="south")
    assert scene.introduction.key_set() == before
    scene.key.unlink()
    scene.use("mint")
    assert scene.introduction.key_set() != before


def test_a_key_that_others_may_read_is_refused_and_changes_nothing(scene: Scene) -> None:
    scene.use("mint")
    before = scene.introduction.key_set()
    scene.key.chmod(0o644)
    with pytest.raises(IntroductionError, match="others may read"):
        scene.introduction.prepare(scene.configuration("mint"))
    assert scene.introduction.key_set() == before
    assert scene.introduction.token(MINT) is not None


def test_a_gate_that_cannot_sign_does_not_start(scene: Scene) -> None:
    scene.key.write_text("no key")
    scene.key.chmod(0o600)
    file = scene.folder / "gate.toml"
    scene.configuration("mint")
    file.write_text(file.read_text().replace("[gate]", '[gate]\nstate = "sqlite:///gate.db"'))
    done = run_dicomgate("run", "-c", file)
    assert done.returncode == 2
    assert "cannot sign tokens for archives: expected a private key" in done.stderr


def test_the_token_of_who_is_signed_in(scene: Scene) -> None:
    settings = scene.configuration("login").login
    assert settings is not None
    kept = keeper(settings)
    scene.use("login")
    wait_until(lambda: bool(scene.told), 10, "word that nobody is signed in")
    assert scene.told == ["nobody is signed in: run dicomgate login"]
    assert scene.introduction.token(LOGIN) is None
    now = time.time()
    kept.save(Tokens("abc.def.ghi", "again", now, now + 900))
    scene.use("strip")
    scene.use("login")
    wait_until(lambda: scene.introduction.token(LOGIN) == b"abc.def.ghi", 10, "the token")
    assert scene.introduction.token(STRIP) is None
    assert scene.introduction.token(MINT) is None
    scene.use("strip")
    assert scene.introduction.token(LOGIN) is None
