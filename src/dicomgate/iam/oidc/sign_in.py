"""How a gate at a desk gets tokens of its user: by the device grant (RFC 8628), and from then on by renewal.

The settings of `[login]` in; what to show to the user, and tokens, out. WebError when the provider cannot be asked.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from dicomgate.iam.oidc.jwks import Provider
from dicomgate.iam.oidc.jwt import LONGEST_TOKEN, numeric_date
from dicomgate.iam.oidc.settings import LoginSettings
from dicomgate.iam.oidc.urls import is_safe_url
from dicomgate.iam.oidc.web import Answer, Web, WebError

TIMEOUT = 10.0
"""Seconds for one question and its answer."""
INTERVAL = 5.0
"""Seconds between two questions, unless the provider wants more (RFC 8628 3.2)."""
LONGEST_INTERVAL = 60.0
SHORTEST_LIFE = 300.0
"""Seconds that a token is taken to live when the provider does not say."""
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class Tokens:
    """`obtained` and `expires` are seconds since 1970. Without a refresh token they cannot be renewed."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    obtained: float
    expires: float


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the user needs: where to go, and the code to type there. `interval` and `expires_in` are seconds."""

    verification_uri: str
    verification_uri_complete: str | None
    user_code: str
    device_code: str = field(repr=False)
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True)
class Pending:
    """The user has not decided yet; ask again after `interval` seconds."""

    interval: float


@dataclass(frozen=True, slots=True)
class Declined:
    """There will be no tokens. `reason` is a sentence for the user."""

    reason: str


class SignIn:
    """Talks to the provider of `[login]`. `clock` tells seconds since 1970."""

    def __init__(self, settings: LoginSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._web = Web(settings.ca)
        self._provider = Provider(self._web, settings.issuer, 0.0)

    def begin(self) -> Invitation:
        """RFC 8628 3.1, 3.2."""
        form = {"client_id": self._settings.client_id, "scope": self._settings.scope, **self._resource()}
        answer = self._ask("device_authorization_endpoint", form)
        if answer.status != HTTPStatus.OK:
            raise WebError(f"the provider starts no sign-in: status {answer.status}{_error(answer)}")
        body = answer.body
        complete = body.get("verification_uri_complete")
        return Invitation(
            verification_uri=_url(body.get("verification_uri")),
            verification_uri_complete=None if complete is None else _url(complete),
            user_code=_word(body.get("user_code"), "user_code"),
            device_code=_word(body.get("device_code"), "device_code"),
            expires_in=min(_seconds(body.get("expires_in"), 600.0), 3600.0),
            interval=min(max(_seconds(body.get("interval"), INTERVAL), 1.0), LONGEST_INTERVAL),
        )

    def poll(self, invitation: Invitation, interval: float) -> Tokens | Pending | Declined:
        """Has the user decided? (RFC 8628 3.4, 3.5)"""
        form = {"grant_type": _GRANT, "device_code": invitation.device_code, "client_id": self._settings.client_id}
        answer = self._ask("token_endpoint", form | self._resource())
        if answer.status == HTTPStatus.OK:
            return self._tokens(answer.body, None)
        match answer.body.get("error"):
            case "authorization_pending":
                return Pending(interval)
            case "slow_down":
                return Pending(min(interval + 5, LONGEST_INTERVAL))
            case "access_denied":
                return Declined("the sign-in was declined")
            case "expired_token" | "invalid_grant":
                return Declined("the code has expired")
            case _:
                raise WebError(f"the provider gives no token: status {answer.status}{_error(answer)}")

    def renew(self, tokens: Tokens) -> Tokens | Declined:
        """RFC 6749 6."""
        if tokens.refresh_token is None:
            return Declined("the provider gave nothing to renew the sign-in with (offline_access)")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh_token,
            "client_id": self._settings.client_id,
        }
        answer = self._ask("token_endpoint", form | self._resource())
        if answer.status == HTTPStatus.OK:
            return self._tokens(answer.body, tokens.refresh_token)
        if answer.body.get("error") == "invalid_grant":
            return Declined("the sign-in has ended at the provider")
        raise WebError(f"the provider renews no token: status {answer.status}{_error(answer)}")

    def revoke(self, tokens: Tokens) -> None:
        """Have the provider forget them too (RFC 7009)."""
        token = tokens.refresh_token or tokens.access_token
        answer = self._ask("revocation_endpoint", {"token": token, "client_id": self._settings.client_id})
        if answer.status != HTTPStatus.OK:
            raise WebError(f"the provider does not forget the sign-in: status {answer.status}{_error(answer)}")

    def close(self) -> None:
        self._web.close()

    def _ask(self, endpoint: str, form: Mapping[str, str]) -> Answer:
        deadline = time.monotonic() + TIMEOUT
        return self._web.post(self._provider.endpoint(endpoint, deadline), form, deadline)

    def _resource(self) -> dict[str, str]:
        return {} if self._settings.resource is None else {"resource": self._settings.resource}

    def _tokens(self, body: Mapping[str, Any], former: str | None) -> Tokens:
        if str(body.get("token_type", "")).lower() != "bearer":
            raise WebError("expected a bearer token from the provider (RFC 6750)")
        now = self._clock()
        refresh = body.get("refresh_token")
        return Tokens(
            access_token=_word(body.get("access_token"), "access_token"),
            refresh_token=former if refresh is None else _word(refresh, "refresh_token"),
            obtained=now,
            expires=now + _seconds(body.get("expires_in"), SHORTEST_LIFE),
        )


def _word(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TOKEN or not value.isascii() or " " in value:
        raise WebError(f"expected a text without spaces as {name} from the provider")
    if not value.isprintable():
        raise WebError(f"expected printable characters as {name} from the provider")
    return value


def _url(value: object) -> str:
    """It is shown to a person: only what leads to a web page, and nothing that moves a cursor."""
    if not isinstance(value, str) or len(value) > 2048 or not is_safe_url(value):
        raise WebError("expected an https URL as verification_uri from the provider")
    return value


def _seconds(value: object, otherwise: float) -> float:
    found = numeric_date(value)
    return otherwise if found is None or found <= 0 else found


def _error(answer: Answer) -> str:
    error = answer.body.get("error")
    known = isinstance(error, str) and len(error) <= 64 and error.isascii() and error.replace("_", "").isalpha()
    return f", {error}" if known else ""
