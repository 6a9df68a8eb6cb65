"""An issuer of tokens made of keys and a clock. In: what a token is to say; out: the token, good or not.

It signs with the primitives themselves: the library that verifies would refuse to make most of what must be refused.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, RSAKey

from dicomgate.iam.oidc.settings import OidcSettings, TokenRules
from dicomgate.iam.oidc.verifier import OidcVerifier

NOW = 1_800_000_000.0
ISSUER = "https://login.clinic.example"
AUDIENCE = "dicomgate"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "alg": "ES256"}, private=True)
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
Key = RSAKey | ECKey


def key_set(*keys: Key) -> dict[str, list[dict[str, Any]]]:
    return {"keys": [dict(key.as_dict(private=False)) for key in keys or (RSA, EC)]}


def says(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None takes a claim away."""
    found = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": int(NOW) + 300,
        "iat": int(NOW) - 5,
        "groups": ["radiologists"],
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(
    claims: Mapping[str, Any] | None = None,
    key: Key | bytes = RSA,
    header: Mapping[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Signed with `key`; `changes` are those of the claims."""
    algorithm = "ES256" if isinstance(key, ECKey) else "HS256" if isinstance(key, bytes) else "RS256"
    found = {"alg": algorithm, "typ": "at+jwt", "kid": "rsa-1" if isinstance(key, bytes) else key.kid, **(header or {})}
    found = {name: value for name, value in found.items() if value is not None}
    return signed(f"{encoded(found)}.{encoded(says(**changes) if claims is None else claims)}", key, str(found["alg"]))


def signed(text: str, key: Key | bytes, algorithm: str) -> str:
    """RFC 7515 5.1, RFC 7518 3."""
    hash_ = hashes.SHA512() if algorithm.endswith("512") else hashes.SHA256()
    match key:
        case RSAKey():
            private = key.private_key
            assert isinstance(private, rsa.RSAPrivateKey)
            signature = private.sign(text.encode(), padding.PKCS1v15(), hash_)
        case ECKey():
            curve = key.private_key
            assert isinstance(curve, ec.EllipticCurvePrivateKey)
            r, s = decode_dss_signature(curve.sign(text.encode(), ec.ECDSA(hash_)))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        case bytes():
            signature = hmac.digest(key, text.encode(), "sha256")
    return f"{text}.{encoded(signature)}"


def encoded(value: object) -> str:
    """One part of a token, from anything at all."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def verifier(
    directory: Path, keys: object = None, rules: Mapping[str, Any] | None = None, **settings: Any
) -> OidcVerifier:
    """One that knows the issuer's keys from a file."""
    file = directory / "jwks.json"
    file.write_text(json.dumps(key_set() if keys is None else keys))
    chosen = TokenRules(ISSUER, frozenset({AUDIENCE}), **(rules or {}))
    return OidcVerifier(OidcSettings("staff", chosen, jwks=file, **settings))
