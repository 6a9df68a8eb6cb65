"""Whether a JSON Web Token holds (RFC 7515, 7519, 8725). Text, keys, rules and the time in; claims or a refusal out.

Nothing of a token is believed before its signature is verified; until then its issuer only says whose it would be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from math import isfinite
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from dicomgate.iam.oidc.jwks import PublicKey
from dicomgate.iam.oidc.settings import TokenRules
from dicomgate.iam.oidc.strict_json import WrongJsonError, base64url, json_object
from dicomgate.identity.verifier import Cause, Refuted

LONGEST_TOKEN = 32 * 1024
"""Characters. Tokens with hundreds of groups take half of it."""
_ELSEWHERE = ("jku", "x5u", "jwk")
"""Header parameters that would let a token bring the key it is verified with."""
_OTHER_USES = ("id", "refresh", "offline", "logout")
"""What Keycloak writes into the claim `typ` of tokens that grant no access."""


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """The parts of a token, as somebody wrote them."""

    text: str = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    algorithm: str
    kid: str | None = field(repr=False)


def read_token(text: str) -> UnverifiedToken | Refuted:
    """Its parts (RFC 7519 7.2, steps 1 to 5)."""
    if len(text) > LONGEST_TOKEN:
        return _malformed(f"expected a token of at most {LONGEST_TOKEN} characters, came {len(text)}")
    parts = text.encode("ascii", "replace").split(b".")
    if len(parts) != 3:
        return _malformed("expected a signed token: three parts with a dot between them")
    try:
        header, claims = json_object(base64url(parts[0])), json_object(base64url(parts[1]))
        base64url(parts[2])
    except WrongJsonError as error:
        return _malformed(f"not a JSON Web Token: {error}")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None):
        return _malformed("expected texts as alg and kid in the header of the token")
    return UnverifiedToken(text, header, claims, algorithm, kid)


def judge_header(token: UnverifiedToken, rules: TokenRules) -> Refuted | None:
    """Algorithm, type and extensions, before any key is touched."""
    if token.algorithm not in rules.algorithms:
        # Never said what came instead: it is the stranger's own text
        return _wrong(f"expected a token signed with {' or '.join(rules.algorithms)}")
    if "crit" in token.header or "b64" in token.header:
        return _wrong("the token asks for an extension that must be understood (crit, RFC 7515 4.1.11)")
    for name in _ELSEWHERE:
        if name in token.header:
            return _wrong(f"the token brings or names its own key ({name}); only the issuer's published keys count")
    kind = token.header.get("typ")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in rules.types:
        return _wrong(f"expected a token of the type {' or '.join(sorted(rules.types))} (typ)")
    return None


def is_signed_by(token: UnverifiedToken, keys: Iterable[PublicKey]) -> bool:
    """Whether one of these keys made the signature, with the algorithm of the header."""
    registry = _Registry(algorithms=[token.algorithm], strict_check_header=False)
    for key in keys:
        try:
            jws.deserialize_compact(token.text, key, registry=registry)
        except (JoseError, ValueError):
            continue
        return True
    return False


def judge_claims(claims: Mapping[str, Any], rules: TokenRules, certificate: str | None, now: float) -> Refuted | None:
    """The registered claims of a token whose origin is proven (RFC 7519 4.1, RFC 8705 3).

    `certificate` is the SHA-256 of the client's certificate in hexadecimal; `now` is seconds since 1970.
    """
    if claims.get("iss") != rules.issuer:
        return _wrong("the token names another issuer")
    if rules.audiences.isdisjoint(texts(claims.get("aud")) or ()):
        return _wrong(f"the token is not for {' or '.join(sorted(rules.audiences))} (aud)")
    if rules.clients is not None:
        parties = [claims[name] for name in ("azp", "client_id") if name in claims]
        if not parties or any(not isinstance(party, str) or party not in rules.clients for party in parties):
            return _wrong("the token was issued to a client that is not listed (azp, client_id)")
    if str(claims.get("typ", "")).lower() in _OTHER_USES:
        return _wrong("expected an access token, came one that is for another use (claim typ)")
    return _judge_times(claims, rules.leeway, now) or _judge_binding(claims, rules, certificate)


def texts(value: object) -> list[str] | None:
    """A text or an array of texts as a list; None for everything else."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    return None


def numeric_date(value: object) -> float | None:
    """Seconds since 1970 (RFC 7519 2); None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e11 or not isfinite(value):
        return None
    return float(value)


def _judge_times(claims: Mapping[str, Any], leeway: float, now: float) -> Refuted | None:
    expires = numeric_date(claims.get("exp"))
    if expires is None:
        return _malformed("expected the time at which the token ends (exp)")
    if now >= expires + leeway:
        return Refuted(Cause.EXPIRED, f"the token ended {now - expires:.0f} s ago (exp)")
    for name, meaning in (("nbf", "is not valid before"), ("iat", "was issued at")):
        if name not in claims:
            continue
        begins = numeric_date(claims[name])
        if begins is None:
            return _malformed(f"expected a time as {name} of the token")
        if begins > now + leeway:
            return _wrong(
                f"the token {meaning} a time that is {begins - now:.0f} s ahead ({name}); are the clocks right?"
            )
    return None


def _judge_binding(claims: Mapping[str, Any], rules: TokenRules, certificate: str | None) -> Refuted | None:
    """RFC 8705 3.1: a stolen token is worth nothing without the private key of its client's certificate."""
    if "cnf" not in claims:
        return _wrong("expected a token that is bound to a certificate (cnf)") if rules.certificate_bound else None
    confirmation = claims["cnf"]
    if not isinstance(confirmation, dict) or confirmation.keys() != {"x5t#S256"}:
        return _wrong("the token is bound to something that DICOM cannot prove (cnf)")
    if certificate is None:
        return _wrong("the token is bound to a certificate, and the client showed none (cnf)")
    try:
        wanted = base64url(str(confirmation["x5t#S256"]).encode()).hex()
    except WrongJsonError:
        return _malformed("expected a fingerprint as x5t#S256 of the token (cnf)")
    return None if compare_digest(wanted, certificate) else _wrong("the token is bound to another certificate (cnf)")


class _Registry(jws.JWSRegistry):
    """The library's own caps are below what providers send; read_token has judged the whole length."""

    max_header_length = max_payload_length = max_signature_length = LONGEST_TOKEN


def _malformed(reason: str) -> Refuted:
    return Refuted(Cause.MALFORMED, reason)


def _wrong(reason: str) -> Refuted:
    return Refuted(Cause.WRONG_CREDENTIAL, reason)
