"""Users of the gate itself: the right passcode and nothing else, codes once, and no mercy for odd input."""

from dataclasses import replace

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.iam import one_time_code
from dicomgate.iam.local import LocalVerifier, at_once
from dicomgate.iam.settings import LocalSettings
from dicomgate.identity.claims import Credential, JsonWebToken, Username
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verified
from dicomgate.wire.codes import IdentityType
from iam.claimants import claims, login
from iam.standing_in import CHEAP, Ledger, account

NOW = 1_800_000_000.0
AUTHENTICATOR = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def cause(answer: object) -> Cause:
    assert isinstance(answer, Refuted), answer
    return answer.cause


def code(now: float = NOW) -> bytes:
    return pyotp.TOTP(AUTHENTICATOR).at(now).encode()


def test_the_right_passcode_brings_name_and_roles() -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(account("alice", expires=NOW + 60)))
    assert verifier.verify(login("ALICE"), NOW) == Verified(
        Principal(
            "alice",
            "staff",
            IdentityType.USERNAME_AND_PASSCODE,
            roles=frozenset({"radiologist"}),
            expires=NOW + 60,
        )
    )


@pytest.mark.parametrize(
    "passcode",
    [b"open sesam", b"open sesame ", b"open sesame\0", b"Open sesame", b" ", b"\xff\xfe", b"x" * 65535, b"\0"],
)
def test_another_passcode_is_wrong(passcode: bytes) -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(account("alice")))
    assert cause(verifier.verify(login("alice", passcode), NOW)) is Cause.WRONG_CREDENTIAL


@pytest.mark.parametrize(
    "name",
    [
        "bob",
        "alic",
        "alicee",
        "*",
        "alice)(uid=*",
        "alice' OR '1'='1",
        'alice"; DROP TABLE users; --',
        "alice\\00",
        "../alice",
        "%",
        "_____",
        "a" * 256,
        "\u0430lice",  # a Cyrillic letter
        "alice\u200b",
    ],
)
def test_another_name_is_unknown(name: str) -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(account("alice")))
    assert cause(verifier.verify(login(name), NOW)) is Cause.UNKNOWN_USER


def test_nobody_is_known_when_there_are_no_users() -> None:
    assert cause(LocalVerifier(CHEAP, Ledger()).verify(login(), NOW)) is Cause.UNKNOWN_USER


@given(name=st.text(min_size=1, max_size=40), passcode=st.binary(min_size=1, max_size=80))
def test_whatever_comes_gets_an_answer(name: str, passcode: bytes) -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(account("alice", totp_secret=AUTHENTICATOR), account("bob")))
    assert isinstance(verifier.verify(login(name, passcode), NOW), Refuted)


def test_disabled_and_expired_show_only_with_the_right_passcode() -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(account("a", disabled=True), account("b", expires=NOW)))
    assert cause(verifier.verify(login("a"), NOW)) is Cause.DISABLED
    assert cause(verifier.verify(login("b"), NOW)) is Cause.EXPIRED
    assert isinstance(verifier.verify(login("b"), NOW - 0.1), Verified)
    for name in "ab":
        assert cause(verifier.verify(login(name, b"wrong"), NOW)) is Cause.WRONG_CREDENTIAL


@pytest.mark.parametrize("credential", [JsonWebToken("alice"), Username("alice")])
def test_other_kinds_of_identity_are_for_others(credential: Credential) -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(account("alice")))
    what = claims(credential)
    assert cause(verifier.verify(what, NOW)) is Cause.NOT_MINE
    assert what.identity_type not in verifier.identity_types


def test_a_store_that_cannot_be_read_is_not_a_refusal() -> None:
    ledger = Ledger.of(account("alice"))
    ledger.down = True
    assert isinstance(LocalVerifier(CHEAP, ledger).verify(login(), NOW), Unavailable)


@pytest.mark.parametrize("damaged", ["", "$argon2id$", "$argon2id$v=19$m=64,t=1,p=1$!!!$!!!", "open sesame", "$1$x$y"])
def test_a_damaged_hash_lets_nobody_in(damaged: str) -> None:
    verifier = LocalVerifier(CHEAP, Ledger.of(replace(account("alice"), passcode=damaged)))
    assert isinstance(verifier.verify(login(), NOW), Unavailable | Refuted)
    assert isinstance(verifier.verify(login("nobody"), NOW), Unavailable | Refuted)


# -- the cost of a hash


def test_a_hash_is_renewed_at_the_next_login_when_the_cost_has_changed() -> None:
    ledger = Ledger.of(account("alice"))
    dearer = LocalVerifier(LocalSettings("staff", memory=128, passes=2), ledger)
    assert cause(dearer.verify(login(passcode=b"wrong"), NOW)) is Cause.WRONG_CREDENTIAL
    assert "m=64,t=1,p=1" in ledger.accounts["alice"].passcode
    assert isinstance(dearer.verify(login(), NOW), Verified)
    assert "m=128,t=2,p=1" in ledger.accounts["alice"].passcode
    before = ledger.accounts["alice"].passcode
    assert isinstance(dearer.verify(login(), NOW), Verified)
    assert ledger.accounts["alice"].passcode == before


def test_with_a_one_time_code_the_renewed_hash_is_that_of_the_passcode_alone() -> None:
    ledger = Ledger.of(account("alice", totp_secret=AUTHENTICATOR))
    dearer = LocalVerifier(LocalSettings("staff", memory=128, passes=1), ledger)
    assert isinstance(dearer.verify(login(passcode=b"open sesame" + code()), NOW), Verified)
    later = NOW + 60
    assert isinstance(dearer.verify(login(passcode=b"open sesame" + code(later)), later), Verified)


def test_the_standard_cost_is_what_owasp_asks_for_and_uses_one_thread() -> None:
    made = account("alice", settings=LocalSettings("staff"))
    assert made.passcode.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert at_once() >= 1


# -- one-time codes


def with_codes() -> tuple[LocalVerifier, Ledger]:
    ledger = Ledger.of(account("alice", totp_secret=AUTHENTICATOR))
    return LocalVerifier(CHEAP, ledger), ledger


def test_passcode_and_code_together_get_in() -> None:
    verifier, _ = with_codes()
    assert isinstance(verifier.verify(login(passcode=b"open sesame" + code()), NOW), Verified)


@pytest.mark.parametrize(
    "passcode",
    [
        b"open sesame",
        b"open sesame000000",
        code(),
        code() + b"open sesame",
        b"open sesame " + code(),
        b"open sesame" + code()[:5],
        b"open sesame" + code() + b"\n",
        b"wrong" + code(),
        b"open sesame" + "\uff14\uff12\uff14\uff12\uff14\uff12".encode(),
        b"1",
    ],
)
def test_one_without_the_other_does_not(passcode: bytes) -> None:
    verifier, ledger = with_codes()
    assert cause(verifier.verify(login(passcode=passcode), NOW)) is Cause.WRONG_CREDENTIAL
    assert ledger.accounts["alice"].totp_step is None, "a code was used up by who did not get in"


def test_a_code_counts_once() -> None:
    verifier, _ = with_codes()
    assert isinstance(verifier.verify(login(passcode=b"open sesame" + code()), NOW), Verified)
    assert cause(verifier.verify(login(passcode=b"open sesame" + code()), NOW)) is Cause.REPLAYED
    assert cause(verifier.verify(login(passcode=b"open sesame" + code(NOW - 30)), NOW)) is Cause.REPLAYED
    assert isinstance(verifier.verify(login(passcode=b"open sesame" + code(NOW + 30)), NOW + 30), Verified)


@pytest.mark.parametrize(("off", "allowed"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_clocks_may_differ_by_one_step(off: int, allowed: bool) -> None:
    verifier, _ = with_codes()
    answer = verifier.verify(login(passcode=b"open sesame" + code(NOW + off)), NOW)
    assert isinstance(answer, Verified) is allowed


def test_a_code_that_cannot_be_marked_as_used_does_not_count() -> None:
    verifier, ledger = with_codes()

    def fails(name: str, step: int) -> Unavailable:
        return Unavailable("gate.db: database is locked")

    ledger.use_step = fails  # type: ignore[method-assign]
    assert isinstance(verifier.verify(login(passcode=b"open sesame" + code()), NOW), Unavailable)


def test_codes_are_those_of_rfc_6238() -> None:
    shared = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # appendix B; the last six of its eight digits
    for moment, digits in ((59, b"287082"), (1111111109, b"081804"), (20000000000, b"353130")):
        assert one_time_code.step_of(shared, digits, moment) == moment // 30
    assert one_time_code.step_of(shared, b"287082", 0) == 1
    assert one_time_code.step_of(shared, b"287082", 0.0 + 120) is None


def test_secrets_are_long_and_differ() -> None:
    made = {one_time_code.new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(each) for each in made} == {32}
