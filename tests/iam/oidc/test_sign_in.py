"""The gate's own sign-in: the device grant with a provider that behaves, and with one that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dicomgate.iam.oidc.settings import LoginSettings
from dicomgate.iam.oidc.sign_in import Declined, Invitation, Pending, SignIn, Tokens
from dicomgate.iam.oidc.web import WebError
from iam.oidc.stand_in import Reply, StandIn

NOW = 1_800_000_000.0
INVITES = {
    "verification_uri": "https://login.clinic.example/device",
    "verification_uri_complete": "https://login.clinic.example/device?user_code=ABCD-EFGH",
    "user_code": "ABCD-EFGH",
    "device_code": "a-device-code",
    "expires_in": 600,
    "interval": 2,
}
GIVES = {
    "access_token": "an-access-token",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "a-refresh-token",
}
INVITATION = Invitation("https://x.example", None, "ABCD-EFGH", "a-device-code", 600, 5)
TOKENS = Tokens("former-access-token", "former-refresh-token", NOW - 300, NOW)


@pytest.fixture
def sign_in(provider: StandIn, tmp_path: Path) -> Iterator[SignIn]:
    settings = LoginSettings(provider.issuer, "desk", tmp_path / "login.json", resource="https://gate.clinic.example")
    found = SignIn(settings, lambda: NOW)
    yield found
    found.close()


def test_the_user_is_invited(provider: StandIn, sign_in: SignIn) -> None:
    provider.routes["/device_authorization"] = Reply(INVITES)
    found = sign_in.begin()
    assert (found.verification_uri, found.user_code) == (INVITES["verification_uri"], "ABCD-EFGH")
    assert (found.interval, found.expires_in) == (2, 600)
    assert provider.requests[-1].form == {
        "client_id": "desk",
        "scope": "openid offline_access",
        "resource": "https://gate.clinic.example",
    }


@pytest.mark.parametrize(
    ("changes", "interval", "expires_in"),
    [
        ({"interval": None, "expires_in": None}, 5, 600),
        ({"interval": 0, "expires_in": -1}, 5, 600),
        ({"interval": 0.001}, 1, 600),
        ({"interval": 1e9, "expires_in": 1e9}, 60, 3600),
        ({"interval": "2", "expires_in": True}, 5, 600),
    ],
)
def test_times_of_the_provider_are_kept_within_reason(
    provider: StandIn, sign_in: SignIn, changes: Mapping[str, Any], interval: float, expires_in: float
) -> None:
    provider.routes["/device_authorization"] = Reply(INVITES | dict(changes))
    found = sign_in.begin()
    assert (found.interval, found.expires_in) == (interval, expires_in)


@pytest.mark.parametrize(
    "changes",
    [
        {"verification_uri": None},
        {"verification_uri": "http://evil.example"},
        {"verification_uri": "https://evil.example/\x1b[2J"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "file:///etc/passwd"},
        {"user_code": ""},
        {"user_code": "AB\x1b[2J"},
        {"user_code": "two words"},
        {"user_code": "ÄÖÜ"},
        {"device_code": 7},
        {"device_code": "x" * 100_000},
    ],
    ids=str,
)
def test_nothing_strange_is_shown_to_a_person(provider: StandIn, sign_in: SignIn, changes: Mapping[str, Any]) -> None:
    provider.routes["/device_authorization"] = Reply(INVITES | dict(changes))
    with pytest.raises(WebError, match="from the provider"):
        sign_in.begin()


def test_a_provider_without_the_device_grant(provider: StandIn, sign_in: SignIn) -> None:
    provider.routes["/device_authorization"] = Reply({"error": "unauthorized_client"}, 400)
    with pytest.raises(WebError, match="starts no sign-in: status 400, unauthorized_client"):
        sign_in.begin()
    provider.routes["/device_authorization"] = Reply({"error": "\x1b[2J" * 9}, 400)
    with pytest.raises(WebError, match=r"starts no sign-in: status 400$"):
        sign_in.begin()


def test_the_user_decides(provider: StandIn, sign_in: SignIn) -> None:
    for error, expected in (
        ("authorization_pending", Pending(5)),
        ("slow_down", Pending(10)),
        ("access_denied", Declined("the sign-in was declined")),
        ("expired_token", Declined("the code has expired")),
    ):
        provider.routes["/token"] = Reply({"error": error}, 400)
        assert sign_in.poll(INVITATION, 5) == expected
    provider.routes["/token"] = Reply({"error": "slow_down"}, 400)
    assert sign_in.poll(INVITATION, 58) == Pending(60)
    provider.routes["/token"] = Reply(GIVES)
    assert sign_in.poll(INVITATION, 5) == Tokens("an-access-token", "a-refresh-token", NOW, NOW + 300)
    assert provider.requests[-1].form["device_code"] == "a-device-code"


@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"", 503),
        Reply({"error": "invalid_client"}, 401),
        Reply(GIVES | {"token_type": "DPoP"}),
        Reply(GIVES | {"access_token": None}),
        Reply(GIVES | {"access_token": "two words"}),
        Reply(GIVES | {"refresh_token": 7}),
        Reply({}),
    ],
    ids=["down", "client", "DPoP", "none", "words", "number", "empty"],
)
def test_an_answer_that_is_none_is_no_sign_in(provider: StandIn, sign_in: SignIn, answer: Reply) -> None:
    provider.routes["/token"] = answer
    for ask in (lambda: sign_in.poll(INVITATION, 5), lambda: sign_in.renew(TOKENS)):
        with pytest.raises(WebError):
            ask()


def test_a_sign_in_is_renewed_while_the_provider_lets_it(provider: StandIn, sign_in: SignIn) -> None:
    provider.routes["/token"] = Reply(GIVES)
    assert sign_in.renew(TOKENS) == Tokens("an-access-token", "a-refresh-token", NOW, NOW + 300)
    assert provider.requests[-1].form["refresh_token"] == "former-refresh-token"
    provider.routes["/token"] = Reply(GIVES | {"refresh_token": None, "expires_in": None})
    assert sign_in.renew(TOKENS) == Tokens("an-access-token", "former-refresh-token", NOW, NOW + 300)
    provider.routes["/token"] = Reply({"error": "invalid_grant"}, 400)
    assert sign_in.renew(TOKENS) == Declined("the sign-in has ended at the provider")
    assert isinstance(sign_in.renew(Tokens("a", None, NOW, NOW)), Declined)


def test_signing_out_is_told_to_the_provider(provider: StandIn, sign_in: SignIn) -> None:
    provider.routes["/revocation"] = Reply(b"", 503)
    with pytest.raises(WebError, match="does not forget"):
        sign_in.revoke(TOKENS)
    provider.routes["/revocation"] = Reply(b"")
    sign_in.revoke(TOKENS)
    assert provider.requests[-1].form == {"token": "former-refresh-token", "client_id": "desk"}


def test_no_token_shows_in_a_traceback() -> None:
    for value in (TOKENS, INVITATION):
        assert "token'" not in repr(value)
        assert "a-device-code" not in repr(value)
