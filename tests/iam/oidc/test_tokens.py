"""Every token that is not a good one is refused, with its cause, and nothing that is refused is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, RSAKey

from dicomgate.iam.oidc.jwt import LONGEST_TOKEN
from dicomgate.iam.oidc.settings import Algorithm
from dicomgate.iam.oidc.verifier import MOST_GROUPS, OidcVerifier
from dicomgate.identity.claims import JsonWebToken, KerberosTicket, Passcode, Username
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from iam.claims import claims
from iam.oidc.issuer import AUDIENCE, EC, ISSUER, NOW, RSA, STRANGER, encoded, key_set, says, signed, token, verifier

FINGERPRINT = sha256(b"a certificate").digest()
ALICE = Principal("alice", "staff", IdentityType.JWT, frozenset({"radiologists"}), expires=NOW + 300)


def judged(tmp_path: Path, text: str, now: float = NOW, certificate: str | None = None, **chosen: Any) -> Verification:
    return verifier(tmp_path, **chosen).verify(claims(JsonWebToken(text), certificate), now)


def cause(found: Verification) -> Cause:
    assert isinstance(found, Refuted), found
    return found.cause


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
def test_a_good_token_is_believed(tmp_path: Path, key: RSAKey | ECKey) -> None:
    assert judged(tmp_path, token(key=key)) == Verified(ALICE)


def test_other_algorithms_are_taken_where_they_are_written(tmp_path: Path) -> None:
    rules = {"algorithms": (Algorithm.RS512,)}
    assert judged(tmp_path, token(header={"alg": "RS512"}), rules=rules) == Verified(ALICE)
    assert cause(judged(tmp_path, token(), rules=rules)) is Cause.WRONG_CREDENTIAL


def unsigned(algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'at+jwt'})}.{encoded(says())}."


def confused() -> str:
    """Signed with the public key as if it were a shared secret (RFC 8725 2.1)."""
    pem = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return token(key=pem)


FORGED = {
    "none": unsigned("none"),
    "None": unsigned("None"),
    "none, with the signature of another": f"{unsigned('none')}{token().rpartition('.')[2]}",
    "shared secret": confused(),
    "unknown algorithm": token().replace(token().partition(".")[0], encoded({"alg": "RS1", "typ": "at+jwt"})),
    "key of a stranger under a known name": token(key=STRANGER),
    "EC key under the name of the RSA key": token(key=ECKey.generate_key("P-256", {"kid": "rsa-1"}, private=True)),
    "unknown key": token(key=RSAKey.generate_key(2048, {"kid": "rsa-2"}, private=True)),
    "no name of a key where there are several that fit": token(key=STRANGER, header={"kid": None}),
    "signature of another token": f"{token(sub='mallory').rpartition('.')[0]}.{token().rpartition('.')[2]}",
    "no signature": token().rpartition(".")[0] + ".",
    "jku": token(header={"jku": "https://evil.example/jwks"}),
    "x5u": token(header={"x5u": "https://evil.example/cert"}),
    "jwk": token(key=STRANGER, header={"jwk": STRANGER.as_dict(private=False)}),
    "unknown critical extension": token(header={"crit": ["exp"], "exp": 1}),
    "critical b64": token(header={"crit": ["b64"], "b64": True}),
    "no type": token(header={"typ": None}),
    "type of another use": token(header={"typ": "logout+jwt"}),
    "type that is no text": token(header={"typ": None}).replace(
        token(header={"typ": None}).partition(".")[0], encoded({"alg": "RS256", "typ": 7, "kid": "rsa-1"})
    ),
    "another audience": token(aud="other"),
    "no audience": token(aud=None),
    "empty audiences": token(aud=[]),
    "audience within another text": token(aud="not-dicomgate"),
    "audiences that are no texts": token(aud=[AUDIENCE, 7]),
    "valid later": token(nbf=int(NOW) + 31),
    "made later": token(iat=int(NOW) + 31),
    "bound to a certificate that was not shown": token(cnf={"x5t#S256": encoded(FINGERPRINT)}),
    "bound to a key": token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
    "bound to both": token(cnf={"jkt": "x", "x5t#S256": encoded(FINGERPRINT)}),
    "bound to nothing": token(cnf={}),
    "bound, but no object": token(cnf="x5t#S256"),
    "ID token of Keycloak": token(typ="ID"),
    "refresh token of Keycloak": token(typ="Refresh"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused(tmp_path: Path, name: str) -> None:
    assert cause(judged(tmp_path, FORGED[name])) is Cause.WRONG_CREDENTIAL


HEADER = {"alg": "RS256", "typ": "at+jwt", "kid": "rsa-1"}


def parts(header: object, body: object = None) -> str:
    return f"{encoded(header)}.{encoded(says() if body is None else body)}.AAAA"


MALFORMED = {
    "empty": "",
    "two parts": "a.b",
    "NUL": "\0.\0.\0",
    "padding": token().replace(".", "=.", 1),
    "a line end": token() + "\n",
    "spaces": " " + token(),
    "plain base64": token().replace(token().partition(".")[0], "+/+/"),
    "header of bytes": parts(bytes(range(128, 200))),
    "header that is a list": parts([HEADER]),
    "claims that are a text": parts(HEADER, "alice"),
    "claims that stand twice": parts(HEADER, b'{"iss":"a","iss":"' + ISSUER.encode() + b'"}'),
    "claims of a thousand brackets": parts(HEADER, b"[" * 9000),
    "number of a thousand digits": parts(HEADER, b'{"exp":' + b"9" * 9000 + b"}"),
    "NaN": parts(HEADER, b'{"exp":NaN}'),
    "no algorithm": parts({"typ": "at+jwt"}),
    "algorithm that is a list": parts({"alg": ["RS256"]}),
    "key name that is a number": parts({**HEADER, "kid": 7}),
    "no end": token(exp=None),
    "end that is a text": token(exp=str(int(NOW) + 300)),
    "end that is true": token(exp=True),
    "endless": token(claims={**says(), "exp": 1e308}),
    "begin that is a text": token(nbf="now"),
    "no user": token(sub=None),
    "empty user": token(sub=""),
    "user that is a number": token(sub=7),
    "user of two lines": token(sub="alice\nroot"),
    "user with NUL": token(sub="alice\0"),
    "endless user": token(sub="a" * 257),
    "groups that are a number": token(groups=7),
    "group that is a number": token(groups=["radiologists", 7]),
    "too many groups": token(groups=[f"g{number}" for number in range(MOST_GROUPS + 1)]),
    "fingerprint that is none": token(cnf={"x5t#S256": "=="}),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_token_is_refused(tmp_path: Path, name: str) -> None:
    assert cause(judged(tmp_path, MALFORMED[name], certificate="00" * 32)) is Cause.MALFORMED


@pytest.mark.parametrize("length", [LONGEST_TOKEN + 1, 70_000])
def test_a_token_that_is_too_long_is_not_even_read(tmp_path: Path, length: int) -> None:
    found = judged(tmp_path, token(note="x" * length))
    assert cause(found) is Cause.MALFORMED
    assert str(LONGEST_TOKEN) in str(found)


def test_who_a_token_speaks_of_is_told_once_its_signature_holds(tmp_path: Path) -> None:
    expired = judged(tmp_path, token(exp=int(NOW) - 31))
    assert isinstance(expired, Refuted)
    assert (expired.cause, expired.user) == (Cause.EXPIRED, "alice")
    forged = judged(tmp_path, token(key=STRANGER))
    assert isinstance(forged, Refuted)
    assert forged.user is None, "a stranger could lock alice out with tokens that name her"


@pytest.mark.parametrize(("exp", "believed"), [(-29, True), (-30, False), (0, True)])
def test_clocks_may_differ_by_the_leeway(tmp_path: Path, exp: int, believed: bool) -> None:
    assert isinstance(judged(tmp_path, token(exp=int(NOW) + exp)), Verified) is believed
    assert isinstance(judged(tmp_path, token(nbf=int(NOW) + 30, iat=int(NOW) + 30)), Verified)


def test_a_token_of_another_issuer_is_for_another_verifier(tmp_path: Path) -> None:
    for other in ("https://other.example", ISSUER + "/", ISSUER.upper(), None, [ISSUER]):
        assert cause(judged(tmp_path, token(iss=other))) is Cause.NOT_MINE
    # …and that is asked before anything else, or the other's tokens could not be told from forged ones
    assert cause(judged(tmp_path, token(iss="https://other.example", key=STRANGER))) is Cause.NOT_MINE


def test_what_is_no_token_of_this_kind_is_for_another_verifier(tmp_path: Path) -> None:
    taken = verifier(tmp_path)
    assert taken.identity_types == {IdentityType.JWT}
    for other in (Username("alice"), Passcode("alice", b"secret"), KerberosTicket(b"ticket")):
        assert cause(taken.verify(claims(other), NOW)) is Cause.NOT_MINE
    for opaque in ("0123456789abcdef-opaque", token() + ".", f"{token()}.{token()}"):
        assert cause(judged(tmp_path, opaque)) is Cause.NOT_MINE


@pytest.mark.parametrize(
    ("changes", "believed"),
    [
        ({"azp": "viewer"}, True),
        ({"client_id": "viewer"}, True),
        ({"azp": "viewer", "client_id": "viewer"}, True),
        ({"azp": "viewer", "client_id": "other"}, False),
        ({"azp": "other"}, False),
        ({"azp": ["viewer"]}, False),
        ({}, False),
    ],
)
def test_tokens_of_listed_clients_only(tmp_path: Path, changes: Mapping[str, Any], believed: bool) -> None:
    found = judged(tmp_path, token(**changes), rules={"clients": frozenset({"viewer"})})
    assert isinstance(found, Verified) is believed


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_types_are_media_types(tmp_path: Path, typ: str) -> None:
    assert judged(tmp_path, token(header={"typ": typ})) == Verified(ALICE)


def test_one_audience_of_several_is_enough(tmp_path: Path) -> None:
    assert judged(tmp_path, token(aud=["other", AUDIENCE])) == Verified(ALICE)


def test_a_bound_token_is_good_with_its_certificate_only(tmp_path: Path) -> None:
    bound = token(cnf={"x5t#S256": encoded(FINGERPRINT)})
    assert judged(tmp_path, bound, certificate=FINGERPRINT.hex()) == Verified(ALICE)
    assert cause(judged(tmp_path, bound, certificate="00" * 32)) is Cause.WRONG_CREDENTIAL
    rules = {"certificate_bound": True}
    assert judged(tmp_path, bound, certificate=FINGERPRINT.hex(), rules=rules) == Verified(ALICE)
    unbound = judged(tmp_path, token(), certificate=FINGERPRINT.hex(), rules=rules)
    assert cause(unbound) is Cause.WRONG_CREDENTIAL


@pytest.mark.parametrize(
    ("path", "changes", "groups"),
    [
        (("realm_access", "roles"), {"realm_access": {"roles": ["a", "b"]}}, {"a", "b"}),
        (("realm_access", "roles"), {"realm_access": ["roles"]}, set()),
        (("realm_access", "roles"), {}, set()),
        (("https://clinic.example/groups",), {"https://clinic.example/groups": ["a b"]}, {"a b"}),
        (("groups",), {"groups": "Domain Users"}, {"Domain Users"}),
        (("scope",), {"scope": "openid dicom:query"}, {"openid", "dicom:query"}),
    ],
)
def test_groups_stand_where_the_file_says(
    tmp_path: Path, path: tuple[str, ...], changes: Mapping[str, Any], groups: set[str]
) -> None:
    found = judged(tmp_path, token(**changes), groups_claim=path)
    assert isinstance(found, Verified)
    assert found.principal.groups == groups


def test_the_user_stands_where_the_file_says(tmp_path: Path) -> None:
    found = judged(tmp_path, token(preferred_username="Alice Müller"), user_claim=("preferred_username",))
    assert isinstance(found, Verified)
    assert found.principal.name == "Alice Müller"


def test_a_token_without_a_key_name_is_good_where_only_one_key_fits(tmp_path: Path) -> None:
    unnamed = token(header={"kid": None})
    assert judged(tmp_path, unnamed) == Verified(ALICE)
    assert cause(judged(tmp_path, unnamed, keys=key_set(RSA, STRANGER))) is Cause.WRONG_CREDENTIAL


def test_a_key_is_for_its_own_algorithm_and_use_only(tmp_path: Path) -> None:
    public = RSA.as_dict(private=False)
    for changes in ({"alg": "RS512"}, {"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": 7}, {"kid": 7}):
        found = judged(tmp_path, token(), keys={"keys": [{**public, **changes}, EC.as_dict(private=False)]})
        assert cause(found) is Cause.WRONG_CREDENTIAL, changes


def test_keys_that_are_no_secret_verify_nothing(tmp_path: Path) -> None:
    secret = OctKey.generate_key(256, {"kid": "rsa-1"})
    weak = RSA.as_dict(private=False) | {"n": encoded(b"\xc1" * 128)}
    for each in (secret.as_dict(private=True), RSA.as_dict(private=True), weak, {"kty": "RSA"}, "RSA", None):
        found = judged(tmp_path, token(), keys={"keys": [each, EC.as_dict(private=False)]})
        assert cause(found) is Cause.WRONG_CREDENTIAL


def test_a_file_of_keys_is_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomgate.iam.watched_files._LOOK_EVERY", 0.0)
    known = verifier(tmp_path)
    assert known.verify(claims(JsonWebToken(token())), NOW) == Verified(ALICE)
    file = tmp_path / "jwks.json"
    for content in ("no JSON", '{"keys": 7}', '{"keys": []}', "x" * 300_000):
        file.write_text(content)
        assert known.verify(claims(JsonWebToken(token())), NOW) == Verified(ALICE), content[:20]
    file.unlink()
    assert known.verify(claims(JsonWebToken(token())), NOW) == Verified(ALICE)
    file.write_text(json.dumps(key_set(STRANGER)))
    assert cause(known.verify(claims(JsonWebToken(token())), NOW)) is Cause.WRONG_CREDENTIAL
    assert known.verify(claims(JsonWebToken(token(key=STRANGER))), NOW) == Verified(ALICE)


def test_without_any_keys_nobody_can_be_asked(tmp_path: Path) -> None:
    for content in ("no JSON", '{"keys": []}'):
        known = verifier(tmp_path)
        (tmp_path / "jwks.json").write_text(content)
        assert isinstance(known.verify(claims(JsonWebToken(token())), NOW), Unavailable)
    known = verifier(tmp_path)
    (tmp_path / "jwks.json").unlink()
    found = known.verify(claims(JsonWebToken(token())), NOW)
    assert isinstance(found, Unavailable)
    assert "jwks.json cannot be read: no such file" in found.reason


GOOD = token()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> OidcVerifier:
    return verifier(tmp_path_factory.mktemp("shared"))


@given(position=st.integers(0, len(GOOD) - 1), letter=st.characters(max_codepoint=127))
@example(position=len(GOOD) - 1, letter="B")
@settings(max_examples=300, deadline=None)
def test_no_letter_of_a_token_can_be_another(shared: OidcVerifier, position: int, letter: str) -> None:
    changed = GOOD[:position] + letter + GOOD[position + 1 :]
    found = shared.verify(claims(JsonWebToken(changed)), NOW)
    assert isinstance(found, Verified) is (changed == GOOD)


@given(
    text=st.one_of(st.text(st.characters(max_codepoint=127)), st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[a-z]*"))
)
@settings(max_examples=200, deadline=None)
def test_no_text_raises(shared: OidcVerifier, text: str) -> None:
    assert isinstance(shared.verify(claims(JsonWebToken(text)), NOW), Refuted)


@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "x5c", "cty", "x5t", "b64", "crit", "other"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["RS256", "ES256", "at+jwt", "rsa-1"])),
    ),
    changes=st.dictionaries(
        st.sampled_from(["aud", "exp", "nbf", "iat", "sub", "groups", "azp", "cnf", "typ"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
            max_leaves=4,
        ),
    ),
)
@settings(max_examples=200, deadline=None)
def test_whatever_an_issuer_signs_there_is_an_answer(
    shared: OidcVerifier, header: dict[str, Any], changes: dict[str, Any]
) -> None:
    text = signed(f"{encoded({**HEADER, **header})}.{encoded({**says(), **changes})}", RSA, "RS256")
    found = shared.verify(claims(JsonWebToken(text)), NOW)
    if isinstance(found, Verified):
        assert found.principal.expires is not None
        assert found.principal.expires > NOW - 31
