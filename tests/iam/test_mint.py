"""Tokens of the gate's own: what they say, who can verify them, and the key they are signed with."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import KeySet

from dicomgate.iam.mint import LIFE, Mint, MintError, signing_key
from dicomgate.iam.oidc.settings import OidcSettings, TokenRules
from dicomgate.iam.oidc.verifier import OidcVerifier
from dicomgate.identity.claims import JsonWebToken
from dicomgate.identity.verifier import Verification, Verified
from iam.claims import claims

NOW = 1_800_000_000.0


@pytest.fixture
def mint(tmp_path: Path) -> Mint:
    return Mint("north-clinic", signing_key(tmp_path / "state" / "mint.pem"))


def test_a_token_says_who_it_is_to_one_archive_and_not_for_long(mint: Mint) -> None:
    token = mint.token("alice", {"radiologist", "night"}, "main", NOW)
    found = jwt.decode(token, KeySet.import_key_set(mint.key_set()), algorithms=["ES256"])  # type: ignore[arg-type]
    jti = found.claims.pop("jti")
    assert len(jti) >= 20
    assert found.claims == {
        "iss": "north-clinic",
        "sub": "alice",
        "aud": "main",
        "roles": ["night", "radiologist"],
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + LIFE,
    }
    assert found.header["typ"] == "JWT"
    assert jti not in mint.token("alice", (), "main", NOW)


def test_it_never_outlives_what_the_user_has_proved(mint: Mint) -> None:
    for expires, ends in ((NOW + 20, NOW + 20), (NOW + 3600, NOW + LIFE), (NOW - 5, NOW - 5)):
        token = mint.token("alice", (), "main", NOW, expires)
        assert jwt.decode(token, KeySet.import_key_set(mint.key_set())).claims["exp"] == ends  # type: ignore[arg-type]


def test_another_gate_believes_it_at_its_archive_only(mint: Mint, tmp_path: Path) -> None:
    """What the gate publishes is a key set like any provider's."""
    import json

    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(mint.key_set()))

    def judged(archive: str, now: float) -> Verification:
        rules = TokenRules("north-clinic", frozenset({archive}))
        verifier = OidcVerifier(OidcSettings("gate", rules, jwks=file, groups_claim=("roles",)))
        token = mint.token("alice", ["radiologist"], "main", NOW)
        return verifier.verify(claims(JsonWebToken(token)), now)

    found = judged("main", NOW)
    assert isinstance(found, Verified)
    assert (found.principal.name, found.principal.groups) == ("alice", {"radiologist"})
    assert not isinstance(judged("other", NOW), Verified)
    assert not isinstance(judged("main", NOW + LIFE + 31), Verified)


def test_what_is_published_is_public(mint: Mint) -> None:
    (key,) = mint.key_set()["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "use", "alg", "kid"}


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mint.pem"
    first = Mint("gate", signing_key(path)).key_set()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Mint("gate", signing_key(path)).key_set() == first
    assert list(path.parent.iterdir()) == [path]


def test_gates_that_start_together_take_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "mint.pem"
    found: list[object] = []
    together = threading.Barrier(8)

    def start() -> None:
        together.wait()
        found.append(Mint("gate", signing_key(path)).key_set())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(each == found[0] for each in found)


def written(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes | None = None) -> None:
    protection = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))


def test_a_key_that_cannot_be_used_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mint.pem"
    for content, text in (
        (ec.generate_private_key(ec.SECP384R1()), "P-256"),
        (rsa.generate_private_key(65537, 2048), "P-256"),
        (None, "expected a private key"),
    ):
        path.write_bytes(b"no key") if content is None else written(path, content)
        path.chmod(0o600)
        before = path.read_bytes()
        with pytest.raises(MintError, match=text):
            signing_key(path)
        assert path.read_bytes() == before
    written(path, ec.generate_private_key(ec.SECP256R1()), b"passphrase")
    with pytest.raises(MintError, match="without a passphrase"):
        signing_key(path)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "mint.pem"
    signing_key(path)
    path.chmod(0o640)
    with pytest.raises(MintError, match="others may read"):
        signing_key(path)


def test_where_no_key_can_be_kept_none_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MintError, match=r"cannot be (made|read)"):
        signing_key(tmp_path / "file" / "mint.pem")
    with pytest.raises(MintError, match="cannot be read"):
        signing_key(tmp_path)
