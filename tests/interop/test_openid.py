"""A certified OpenID provider: users sign in at it, and their tokens are believed, until they should not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomgate.iam.oidc import jwks
from dicomgate.iam.oidc.settings import Client, Introspection, OidcSettings, TokenRules
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
