"""What the provider itself is asked: about tokens (RFC 7662), and with a name and a passcode (RFC 6749 4.3)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dicomgate.iam.oidc.settings import Client, Introspection, OidcSettings, TokenRules
from dicomgate.iam.oidc.verifier import OidcVerifier
from dicomgate.iam.secret import SecretSource
from dicomgate.identity.claims import JsonWebToken, Passcode, Username
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from iam.claims import claims
from iam.oidc.issuer import AUDIENCE, NOW, STRANGER, says, token
from iam.oidc.stand_in import Reply, Request, StandIn

OPAQUE = "mF_9.B5f-4.1JqM~0123"
SECRET = "s3cret: +%"
Make = Callable[..., OidcVerifier]


@pytest.fixture
def make(provider: StandIn, tmp_path: Path) -> Iterator[Make]:
    made: list[OidcVerifier] = []
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")

    def make(**settings: Any) -> OidcVerifier:
        rules = TokenRules(provider.issuer, frozenset({AUDIENCE}))
        client = Client("gate", SecretSource(file))
        made.append(OidcVerifier(OidcSettings("staff", rules, **{"client": client, **settings})))
        return made[-1]

    yield make
    for each in made:
        each.close()


def shown(verifier: OidcVerifier, text: str, certificate: str | None = None) -> Verification:
    return verifier.verify(claims(JsonWebToken(text), certificate), NOW)


def tells(provider: StandIn, status: int = 200, **body: Any) -> None:
    found = {"active": True, **says(iss=None), **body}
    provider.routes["/introspection"] = Reply(
        {name: value for name, value in found.items() if value is not None}, status
    )


def test_an_opaque_token_is_looked_up(provider: StandIn, make: Make) -> None:
    tells(provider)
    found = shown(make(introspection=Introspection.OPAQUE), OPAQUE)
    assert isinstance(found, Verified)
    assert found.principal.name == "alice"
    assert found.principal.groups == {"radiologists"}
    assert found.principal.expires == NOW + 300
    request = provider.requests[-1]
    assert request.form == {"token": OPAQUE, "token_type_hint": "access_token"}
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"gate:s3cret%3A+%2B%25"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"active": False}, Cause.NOT_MINE),
        ({"iss": "https://evil.example"}, Cause.WRONG_CREDENTIAL),
        ({"aud": None}, Cause.WRONG_CREDENTIAL),
        ({"aud": "other"}, Cause.WRONG_CREDENTIAL),
        ({"exp": None}, Cause.MALFORMED),
        ({"exp": int(NOW) - 60}, Cause.EXPIRED),
        ({"sub": None}, Cause.MALFORMED),
        ({"cnf": {"x5t#S256": "AAAA"}}, Cause.WRONG_CREDENTIAL),
    ],
)
def test_what_the_provider_tells_is_judged_like_a_token(
    provider: StandIn, make: Make, body: Mapping[str, Any], cause: Cause
) -> None:
    tells(provider, **body)
    found = shown(make(introspection=Introspection.OPAQUE), OPAQUE)
    assert isinstance(found, Refuted)
    assert found.cause is cause


@pytest.mark.parametrize("body", [{"active": None}, {"active": "true"}, {"active": 1}], ids=str)
def test_a_provider_that_does_not_say_whether_it_is_active_says_nothing(
    provider: StandIn, make: Make, body: Mapping[str, Any]
) -> None:
    tells(provider, **body)
    assert isinstance(shown(make(introspection=Introspection.OPAQUE), OPAQUE), Unavailable)


def test_a_signed_token_is_not_looked_up_where_only_opaque_ones_are(provider: StandIn, make: Make) -> None:
    tells(provider, active=False)
    assert isinstance(shown(make(introspection=Introspection.OPAQUE), token(iss=provider.issuer)), Verified)
    assert not provider.asked("/introspection")


def test_a_withdrawn_token_is_refused_where_every_one_is_looked_up(provider: StandIn, make: Make) -> None:
    every = make(introspection=Introspection.ALWAYS)
    tells(provider)
    assert isinstance(shown(every, token(iss=provider.issuer)), Verified)
    tells(provider, active=False)
    found = shown(every, token(iss=provider.issuer))
    assert found == Refuted(Cause.EXPIRED, "the issuer says that the token is not active", "alice")


def test_a_forged_token_is_not_worth_a_question(provider: StandIn, make: Make) -> None:
    tells(provider)
    found = shown(make(introspection=Introspection.ALWAYS), token(iss=provider.issuer, key=STRANGER))
    assert isinstance(found, Refuted)
    assert not provider.asked("/introspection")


@pytest.mark.parametrize("text", ["short", "x" * 15, "with space 0123456789", "ütf-8-0123456789", "a" * 70_000, ""])
def test_what_cannot_be_a_token_is_not_worth_one_either(provider: StandIn, make: Make, text: str) -> None:
    assert isinstance(shown(make(introspection=Introspection.OPAQUE), text), Refuted)
    assert not provider.asked("/introspection")


def test_who_may_not_ask_cannot_verify(provider: StandIn, make: Make) -> None:
    tells(provider, 401, error="invalid_client", error_description="hunter2")
    found = shown(make(introspection=Introspection.OPAQUE), OPAQUE)
    assert found == Unavailable("the issuer does not tell about tokens: status 401, invalid_client")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"two\nlines", b"\xff", b"x" * 5000])
def test_without_its_secret_the_gate_cannot_ask(
    provider: StandIn, make: Make, tmp_path: Path, content: bytes | None
) -> None:
    tells(provider)
    file = tmp_path / "other"
    if content is not None:
        file.write_bytes(content)
    found = shown(make(introspection=Introspection.OPAQUE, client=Client("gate", SecretSource(file))), OPAQUE)
    assert isinstance(found, Unavailable)
    assert str(file) in found.reason
    assert not provider.asked("/introspection")


def test_the_secret_may_stand_in_a_variable(provider: StandIn, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tells(provider)
    asking = make(introspection=Introspection.OPAQUE, client=Client("gate", SecretSource(variable="GATE_SECRET")))
    monkeypatch.delenv("GATE_SECRET", raising=False)
    assert isinstance(shown(asking, OPAQUE), Unavailable)
    monkeypatch.setenv("GATE_SECRET", "other")
    assert isinstance(shown(asking, OPAQUE), Verified)
    assert base64.b64decode(provider.requests[-1].headers["authorization"][6:]) == b"gate:other"


def tried(verifier: OidcVerifier, passcode: bytes = b"p\xc3\xa4ss") -> Verification:
    return verifier.verify(claims(Passcode("alice", passcode)), NOW)


def gives(provider: StandIn, answer: Reply) -> None:
    provider.routes["/token"] = answer


def test_a_passcode_is_tried_at_the_provider_where_that_is_written(provider: StandIn, make: Make) -> None:
    gives(provider, Reply({"access_token": token(iss=provider.issuer), "token_type": "Bearer"}))
    trying = make(password_grant=True, scope="openid groups")
    assert trying.identity_types == {IdentityType.JWT, IdentityType.USERNAME_AND_PASSCODE}
    found = tried(trying)
    assert isinstance(found, Verified)
    assert found.principal.identity_type is IdentityType.USERNAME_AND_PASSCODE
    assert found.principal.expires == NOW + 300
    form = {"grant_type": "password", "username": "alice", "password": "päss", "scope": "openid groups"}
    assert provider.requests[-1].form == form


def test_otherwise_it_is_not_shown_to_anybody(provider: StandIn, make: Make) -> None:
    silent = make()
    assert silent.identity_types == {IdentityType.JWT}
    for credential in (Passcode("alice", b"secret"), Username("alice")):
        found = silent.verify(claims(credential), NOW)
        assert isinstance(found, Refuted)
        assert found.cause is Cause.NOT_MINE
    assert not provider.requests


@pytest.mark.parametrize("status", [400, 401])
def test_a_wrong_passcode_is_refused(provider: StandIn, make: Make, status: int) -> None:
    """RFC 6749 5.2 says 400; Keycloak says 401."""
    gives(provider, Reply({"error": "invalid_grant"}, status))
    found = tried(make(password_grant=True))
    assert found == Refuted(Cause.WRONG_CREDENTIAL, "the provider refuses the name or the passcode", "alice")


def test_a_passcode_that_is_no_text_is_refused(provider: StandIn, make: Make) -> None:
    found = tried(make(password_grant=True), b"\xff\xfe")
    assert isinstance(found, Refuted)
    assert found.user == "alice"
    assert not provider.requests


@pytest.mark.parametrize(
    "answer",
    [
        Reply({"error": "invalid_client"}, 401),
        Reply({"error": "unsupported_grant_type"}, 400),
        Reply(b"slow down", 429),
        Reply(b"", 503),
        Reply({}),
        Reply({"access_token": 7}),
        Reply({"access_token": token(iss="https://other.example")}),
        Reply({"access_token": token(aud="other")}),
        Reply({"access_token": OPAQUE}),
        Reply({"access_token": "ü"}),
    ],
    ids=["client", "grant", "busy", "down", "none", "number", "issuer", "audience", "opaque", "no ASCII"],
)
def test_what_is_not_the_users_fault_does_not_count_against_them(provider: StandIn, make: Make, answer: Reply) -> None:
    gives(provider, answer)
    assert isinstance(tried(make(password_grant=True)), Unavailable)


def test_neither_passcode_nor_token_nor_secret_is_in_any_answer(provider: StandIn, make: Make) -> None:
    def echoes(request: Request) -> Reply:
        return Reply({"error": f"{request.form}", "error_description": f"{request.headers}"}, 400)

    provider.routes["/token"] = provider.routes["/introspection"] = echoes
    asking = make(password_grant=True, introspection=Introspection.ALWAYS)
    for found in (tried(asking, b"hunter2"), shown(asking, OPAQUE), shown(asking, token(iss=provider.issuer))):
        assert isinstance(found, Unavailable)
        for secret in ("hunter2", OPAQUE, SECRET, "s3cret"):
            assert secret not in repr(found)
