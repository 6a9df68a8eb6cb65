"""Tokens of an OpenID Connect provider: claims in, a verified user or a refusal out.

A JSON Web Token is judged here, by the provider's published keys. What is none may be looked up at the provider
(introspection), and a name and passcode may be tried there, where the file says so.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from dicomgate.iam.oidc.jwks import FileKeys, KeysError, Provider
from dicomgate.iam.oidc.jwt import (
    LONGEST_TOKEN,
    is_signed_by,
    judge_claims,
    judge_header,
    numeric_date,
    read_token,
    texts,
)
from dicomgate.iam.oidc.settings import Introspection, OidcSettings
from dicomgate.iam.oidc.strict_json import walk
from dicomgate.iam.oidc.web import Answer, Web, WebError
from dicomgate.iam.secret import SecretError
from dicomgate.identity.claims import LONGEST_NAME, Claims, JsonWebToken, Passcode
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.text import is_plain_text

MOST_GROUPS = 1000
"""Of one user. More than a token has room for."""
_OPAQUE = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
"""RFC 6750 2.1; what is shorter could be guessed, and is not worth a request."""
_LISTS = ("scope", "scp")
"""Claims whose text is a list of words (RFC 6749 3.3)."""


class OidcVerifier:
    """A Verifier. What it fetched is kept until it is closed."""

    def __init__(self, settings: OidcSettings) -> None:
        self.name = settings.name
        self.identity_types = frozenset({IdentityType.JWT}) | (
            {IdentityType.USERNAME_AND_PASSCODE} if settings.password_grant else set()
        )
        self._settings = settings
        self._web = Web(settings.ca)
        self._provider = Provider(self._web, settings.rules.issuer, settings.stale_keys)
        self._keys = self._provider if settings.jwks is None else FileKeys(settings.jwks)

    def verify(self, claims: Claims, now: float) -> Verification:
        deadline = time.monotonic() + self._settings.timeout
        certificate = claims.origin.certificate
        asked = _Asked(claims.identity_type, None if certificate is None else certificate.sha256, now, deadline)
        try:
            match claims.credential:
                case JsonWebToken(token):
                    return self._token(token, asked)
                case Passcode(name, passcode) if self._settings.password_grant:
                    return self._passcode(name, passcode, asked)
                case _:
                    return Refuted(Cause.NOT_MINE, "not a token")
        except (WebError, SecretError, KeysError) as error:
            return Unavailable(str(error))

    def close(self) -> None:
        self._web.close()

    def _token(self, text: str, asked: "_Asked") -> Verification:
        token = read_token(text)
        if isinstance(token, Refuted):
            return self._opaque(text, token, asked)
        rules = self._settings.rules
        # Not believed yet: it only says which verifier this is for.
        if token.claims.get("iss") != rules.issuer:
            return Refuted(Cause.NOT_MINE, "the token names another issuer")
        if refusal := judge_header(token, rules):
            return refusal
        keys = self._keys.candidates(token.kid, token.algorithm, asked.deadline)
        if not keys:
            return Refuted(Cause.WRONG_CREDENTIAL, "the token is signed with a key that the issuer does not publish")
        if not is_signed_by(token, keys):
            return Refuted(Cause.WRONG_CREDENTIAL, "the signature of the token is not the issuer's")
        found = self._judge(token.claims, asked)
        if isinstance(found, Verified) and self._settings.introspection is Introspection.ALWAYS:
            body = self._introspect(text, asked)
            if body.get("active") is not True:
                return Refuted(Cause.EXPIRED, "the issuer says that the token is not active", found.principal.name)
        return found

    def _opaque(self, text: str, refusal: Refuted, asked: "_Asked") -> Verification:
        if self._settings.introspection is Introspection.NEVER:
            if len(text) <= LONGEST_TOKEN and _OPAQUE.fullmatch(text) and text.count(".") != 2:
                return Refuted(Cause.NOT_MINE, "not a JSON Web Token, and the issuer is asked about no other tokens")
            return refusal
        if len(text) > LONGEST_TOKEN or not _OPAQUE.fullmatch(text):
            return refusal
        body = self._introspect(text, asked)
        if body.get("active") is not True:
            # It may be another issuer's: nothing in it says whose it is.
            return Refuted(Cause.NOT_MINE, "the issuer knows no such token, or it is no longer active")
        return self._judge({"iss": self._settings.rules.issuer, **body}, asked)

    def _judge(self, claims: Mapping[str, Any], asked: "_Asked") -> Verification:
        """The claims of a token that the issuer has made."""
        name = walk(claims, self._settings.user_claim)
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not is_plain_text(name):
            path = ".".join(self._settings.user_claim)
            return Refuted(
                Cause.MALFORMED, f"expected a user name of 1 to {LONGEST_NAME} printable characters as {path}"
            )
        if refusal := judge_claims(claims, self._settings.rules, asked.certificate, asked.now):
            return Refuted(refusal.cause, refusal.reason, name)
        groups = _groups(walk(claims, self._settings.groups_claim), self._settings.groups_claim[-1])
        if groups is None:
            path = ".".join(self._settings.groups_claim)
            return Refuted(Cause.MALFORMED, f"expected an array of at most {MOST_GROUPS} texts as {path}", name)
        expires = numeric_date(claims["exp"])
        return Verified(Principal(name, self.name, asked.identity_type, groups, expires=expires))

    def _introspect(self, token: str, asked: "_Asked") -> Mapping[str, Any]:
        url = self._provider.endpoint("introspection_endpoint", asked.deadline)
        answer = self._post(url, {"token": token, "token_type_hint": "access_token"}, asked)
        if answer.status != HTTPStatus.OK:
            raise WebError(f"the issuer does not tell about tokens: status {answer.status}{_error(answer)}")
        if not isinstance(answer.body.get("active"), bool):
            raise WebError("expected active, true or false, from the issuer's introspection endpoint (RFC 7662 2.2)")
        return answer.body

    def _passcode(self, name: str, passcode: bytes, asked: "_Asked") -> Verification:
        """RFC 6749 4.3: the provider sees the passcode and answers with a token, which is judged like any other."""
        try:
            text = passcode.decode("utf-8")
        except UnicodeDecodeError:
            return Refuted(Cause.WRONG_CREDENTIAL, "expected a passcode in UTF-8", name)
        url = self._provider.endpoint("token_endpoint", asked.deadline)
        form = {"grant_type": "password", "username": name, "password": text, "scope": self._settings.scope}
        answer = self._post(url, form, asked)
        if answer.status != HTTPStatus.OK:
            if answer.body.get("error") == "invalid_grant":
                return Refuted(Cause.WRONG_CREDENTIAL, "the provider refuses the name or the passcode", name)
            raise WebError(f"the provider gives no token for a passcode: status {answer.status}{_error(answer)}")
        token = answer.body.get("access_token")
        if not isinstance(token, str):
            raise WebError("expected an access_token from the provider")
        found = self._token(token, asked)
        # The user has done everything right: this must not count as a failure of theirs.
        return (
            Unavailable(f"the provider's own token is refused: {found.reason}") if isinstance(found, Refuted) else found
        )

    def _post(self, url: str, form: Mapping[str, str], asked: "_Asked") -> Answer:
        client = self._settings.client
        if client is None:
            raise WebError("the gate has no client_id at the provider")
        if client.secret is None:
            return self._web.post(url, {**form, "client_id": client.client_id}, asked.deadline)
        return self._web.post(url, form, asked.deadline, (client.client_id, client.secret.read()))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What stays the same while one claim is verified. `deadline` is of time.monotonic()."""

    identity_type: IdentityType
    certificate: str | None = field(repr=False)
    now: float
    deadline: float


def _groups(value: object, name: str) -> frozenset[str] | None:
    """None for what is no list of groups; no claim at all means no groups."""
    if value is None:
        return frozenset()
    if isinstance(value, str) and name in _LISTS:
        value = value.split()
    found = texts(value)
    return None if found is None or len(found) > MOST_GROUPS else frozenset(found)


_ERRORS = (
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_token_type",
    "invalid_scope",
    "temporarily_unavailable",
    "server_error",
)


def _error(answer: Answer) -> str:
    """The provider's reason, where it is one of the standard's words (RFC 6749 5.2); never its free text."""
    error = answer.body.get("error")
    return f", {error}" if error in _ERRORS else ""
