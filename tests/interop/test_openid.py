"""A certified OpenID provider: users sign in at it, and their tokens are believed, until they should not be."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from dicomgate.cli import app
from dicomgate.config.load import load
from dicomgate.iam.oidc import jwks
from dicomgate.iam.oidc.keepers import keeper
from dicomgate.iam.oidc.settings import Client, Introspection, OidcSettings, TokenRules
from dicomgate.iam.oidc.sign_in import SignIn
from dicomgate.iam.oidc.token_source import TokenSource
from dicomgate.iam.oidc.verifier import OidcVerifier
from dicomgate.iam.secret import SecretSource
from dicomgate.identity.claims import JsonWebToken
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from iam.claims import claims
from interop.conftest import require
from lab.openid_provider import AUDIENCE, OpenIdProvider, openid_provider
from lab.pki import Authority, now

pytestmark = pytest.mark.interop
Make = Callable[..., OidcVerifier]


GATE = """
[[listener]]
name = "desk"
bind = "127.0.0.1:11112"
networks = ["127.0.0.1"]

[[archive]]
name = "clinic"
ae_title = "ARCHIVE"
address = "127.0.0.1:11113"
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    require("openid")
    with openid_provider(tmp_path_factory.mktemp("openid")) as found:
        yield found


@pytest.fixture
def make(provider: OpenIdProvider, tmp_path: Path) -> Iterator[Make]:
    made: list[OidcVerifier] = []
    secret = tmp_path / "secret"
    secret.write_text(provider.gate[1])

    def make(**settings: Any) -> OidcVerifier:
        chosen = {
            "rules": TokenRules(provider.issuer, frozenset({AUDIENCE})),
            "ca": provider.ca,
            "client": Client(provider.gate[0], SecretSource(secret)),
            "user_claim": ("preferred_username",),
            "groups_claim": ("realm_access", "roles"),
            "timeout": 20.0,
        }
        made.append(OidcVerifier(OidcSettings("staff", **{**chosen, **settings})))
        return made[-1]

    yield make
    for each in made:
        each.close()


def judged(verifier: OidcVerifier, token: object, later: float = 0, certificate: str | None = None) -> Verification:
    assert isinstance(token, str)
    return verifier.verify(claims(JsonWebToken(token), certificate), now().timestamp() + later)


def believed(found: Verification, name: str, *groups: str) -> bool:
    assert isinstance(found, Verified), found
    expected = Principal(name, "staff", IdentityType.JWT, frozenset(groups), expires=found.principal.expires)
    return found.principal == expected


@pytest.mark.parametrize("client_id", ["desk", "desk-es256"])
def test_the_token_of_a_user_who_has_signed_in(provider: OpenIdProvider, make: Make, client_id: str) -> None:
    verifier = make()
    assert believed(judged(verifier, provider.tokens(client_id)["access_token"]), "alice", "radiologists")
    bob = judged(verifier, provider.tokens(client_id, "bob")["access_token"])
    assert believed(bob, "bob", "technologists", "night shift")


def test_it_ends(provider: OpenIdProvider, make: Make) -> None:
    found = judged(make(), provider.tokens()["access_token"], later=331)
    assert isinstance(found, Refuted)
    assert (found.cause, found.user) == (Cause.EXPIRED, "alice")


def test_it_is_for_one_audience_and_one_client(provider: OpenIdProvider, make: Make) -> None:
    token = provider.tokens()["access_token"]
    for rules in (
        TokenRules(provider.issuer, frozenset({"https://other.example"})),
        TokenRules(provider.issuer, frozenset({AUDIENCE}), clients=frozenset({"viewer"})),
    ):
        found = judged(make(rules=rules), token)
        assert isinstance(found, Refuted)
        assert found.cause is Cause.WRONG_CREDENTIAL
    rules = TokenRules(provider.issuer, frozenset({AUDIENCE}), clients=frozenset({"desk"}))
    assert isinstance(judged(make(rules=rules), token), Verified)


def test_an_id_token_is_no_access_token(provider: OpenIdProvider, make: Make) -> None:
    found = judged(make(), provider.tokens()["id_token"])
    assert isinstance(found, Refuted)


def test_an_opaque_token_until_it_is_withdrawn(provider: OpenIdProvider, make: Make) -> None:
    verifier = make(introspection=Introspection.OPAQUE)
    token = str(provider.tokens("desk-opaque")["access_token"])
    assert believed(judged(verifier, token), "alice", "radiologists")
    with provider.client() as web:
        form = {"token": token, "client_id": "desk-opaque"}
        web.post(f"{provider.issuer}/token/revocation", data=form).raise_for_status()
    assert isinstance(judged(verifier, token), Refuted)


def test_a_wrong_secret_of_the_gate_is_nobody_elses_fault(provider: OpenIdProvider, make: Make, tmp_path: Path) -> None:
    secret = tmp_path / "wrong"
    secret.write_text("wrong")
    verifier = make(introspection=Introspection.OPAQUE, client=Client("gate", SecretSource(secret)))
    found = judged(verifier, provider.tokens("desk-opaque")["access_token"])
    assert isinstance(found, Unavailable)
    assert "invalid_client" in found.reason


def test_a_token_bound_to_a_certificate_is_worth_nothing_without_it(provider: OpenIdProvider, make: Make) -> None:
    mine, other = provider.authority.issue("workstation"), provider.authority.issue("thief")
    token = provider.tokens("desk-bound", identity=mine)["access_token"]
    assert isinstance(judged(make(), token, certificate=mine.facts.sha256), Verified)
    for shown in (None, other.facts.sha256):
        assert isinstance(judged(make(), token, certificate=shown), Refuted)


def test_a_provider_that_nobody_vouches_for_is_not_asked(provider: OpenIdProvider, make: Make, tmp_path: Path) -> None:
    token = provider.tokens()["access_token"]
    found = judged(make(ca=Authority(tmp_path / "other").certificate), token)
    assert isinstance(found, Unavailable)
    assert "CERTIFICATE_VERIFY_FAILED" in found.reason
    for content in (b"no certificate", None):
        file = tmp_path / "ca.pem"
        file.write_bytes(content) if content else file.unlink()
        found = judged(make(ca=file), token)
        assert isinstance(found, Unavailable)
        assert str(file) in found.reason


def test_a_gate_at_a_desk_signs_its_user_in_and_stays_signed_in(
    provider: OpenIdProvider, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dicomgate login`, the user's browser, renewals, and signing out."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    file = tmp_path / "desk.toml"
    file.write_text(f'{GATE}\n[login]\nissuer = "{provider.issuer}"\nclient_id = "desk"\nca = "{provider.ca}"\n')
    shown: list[str] = []

    def at_the_desk(lines: Iterable[str]) -> None:
        shown.extend(lines)
        if len(shown) == 1:
            provider.approve(json.loads(shown[0])["verification_uri_complete"])

    login = importlib.import_module("dicomgate.cli.login")
    monkeypatch.setattr(login, "say", at_the_desk)
    monkeypatch.setattr(login, "time", SimpleNamespace(sleep=lambda seconds: None, monotonic=time.monotonic))
    assert CliRunner().invoke(app, ["login", "-c", str(file), "--json"]).exit_code == 0
    assert json.loads(shown[1])["renewable"] is True

    settings = load(file, files=False).login
    assert settings is not None
    told: list[str] = []
    later = [0.0]
    sign_in = SignIn(settings, lambda: time.time() + later[0])
    source = TokenSource(sign_in, keeper(settings), told.append, lambda: time.time() + later[0])
    verifier = make()
    seen = set()
    for _ in range(3):
        source.step()
        token = source.current_token()
        assert believed(judged(verifier, token), "alice", "radiologists")
        seen.add(token)
        later[0] += 250
        source.step()
    assert len(seen) == 3
    assert told == []
    assert CliRunner().invoke(app, ["login", "-c", str(file), "--forget"]).exit_code == 0
    source.step()
    assert source.current_token() is None
    assert told == ["nobody is signed in: run dicomgate login"]
    sign_in.close()


def test_new_keys_are_taken_without_a_restart(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, provider: OpenIdProvider
) -> None:
    """The provider is gone for a while in between, and comes back with other keys."""
    monkeypatch.setattr(jwks, "RETRY", 0.0)
    authority = Authority(tmp_path / "pki")
    with openid_provider(tmp_path / "openid", authority=authority) as first:
        verifier = make(rules=TokenRules(first.issuer, frozenset({AUDIENCE})), ca=first.ca)
        former = first.tokens()["access_token"]
        assert isinstance(judged(verifier, former), Verified)
    assert isinstance(judged(verifier, former), Verified), "its keys are known"
    (tmp_path / "openid" / "keys.json").unlink()
    port = int(first.issuer.rpartition(":")[2])
    with openid_provider(tmp_path / "openid", port=port, authority=authority) as again:
        assert isinstance(judged(verifier, again.tokens()["access_token"]), Verified)
        assert isinstance(judged(verifier, former), Refuted), "its key is no longer published"
