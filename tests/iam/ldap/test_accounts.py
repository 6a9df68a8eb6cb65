"""What a directory says of an account becomes one cause, whichever way it says it."""

from __future__ import annotations

import pytest

from dicomgate.iam.ldap.accounts import Obstacle, is_about_user, obstacle
from dicomgate.iam.ldap.messages import Result, SearchEntry
from dicomgate.identity.verifier import Cause

NOW = 1_700_000_000.0
"""14 November 2023."""
YEAR = 365 * 86400
AD = "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {}, v3839\0"


def entry(**attributes: str) -> SearchEntry:
    return SearchEntry("cn=a", {name.lower(): (value.encode(),) for name, value in attributes.items()})


def filetime(at: float) -> str:
    """Active Directory's clock: tenths of a microsecond since 1601."""
    return str(int(at + 11_644_473_600) * 10_000_000)


def cause(result: Result, account: SearchEntry) -> Cause | None:
    found = obstacle(result, account, NOW)
    return None if found is None else found.cause


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (entry(), None),
        (entry(userAccountControl="512"), None),
        (entry(userAccountControl="66048"), None),
        (entry(userAccountControl="514"), Cause.DISABLED),
        (entry(userAccountControl="66050"), Cause.DISABLED),
        (entry(userAccountControl="-2147483646"), Cause.DISABLED),
        (entry(accountExpires="0"), None),
        (entry(accountExpires="9223372036854775807"), None),
        (entry(accountExpires=filetime(NOW + YEAR)), None),
        (entry(accountExpires=filetime(NOW - 1)), Cause.EXPIRED),
        (entry(accountExpires="soon"), None),
        (entry(nsAccountLock="TRUE"), Cause.DISABLED),
        (entry(nsAccountLock="false"), None),
        (entry(pwdAccountLockedTime="000001010000Z"), Cause.DISABLED),
        # Locked for some time, which may be over: the directory itself has just let the user in.
        (entry(pwdAccountLockedTime="20231114120000Z"), None),
        (entry(shadowExpire="-1"), None),
        (entry(shadowExpire="18000"), Cause.EXPIRED),
        (entry(shadowExpire="30000"), None),
    ],
)
def test_an_account_that_is_barred_is_barred_although_its_passcode_is_right(
    account: SearchEntry, expected: Cause | None
) -> None:
    assert cause(Result(0), account) is expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("52e", Cause.WRONG_CREDENTIAL),
        ("525", Cause.UNKNOWN_USER),
        ("530", Cause.DISABLED),
        ("531", Cause.DISABLED),
        ("532", Cause.EXPIRED),
        ("533", Cause.DISABLED),
        ("701", Cause.EXPIRED),
        ("773", Cause.EXPIRED),
        ("775", Cause.LOCKED_OUT),
        ("fff", Cause.WRONG_CREDENTIAL),
    ],
)
def test_active_directory_says_it_in_its_text(number: str, expected: Cause) -> None:
    assert cause(Result(49, AD.format(number)), entry()) is expected


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [(0, 49, Cause.EXPIRED), (1, 49, Cause.LOCKED_OUT), (2, 0, Cause.EXPIRED)],
)
def test_a_password_policy_says_it_in_its_control(error: int, code: int, expected: Cause) -> None:
    assert cause(Result(code, policy_error=error), entry()) is expected


@pytest.mark.parametrize(
    ("result", "account", "expected"),
    [
        (Result(49), entry(), Cause.WRONG_CREDENTIAL),
        (Result(48), entry(), Cause.WRONG_CREDENTIAL),
        (Result(49), entry(userAccountControl="514"), Cause.DISABLED),
        (Result(53), entry(nsAccountLock="TRUE"), Cause.DISABLED),
        (Result(49), entry(pwdAccountLockedTime="20231114120000Z"), Cause.LOCKED_OUT),
        (Result(19), entry(), Cause.LOCKED_OUT),
    ],
)
def test_a_refused_bind(result: Result, account: SearchEntry, expected: Cause) -> None:
    assert is_about_user(result, account, NOW)
    assert cause(result, account) is expected


@pytest.mark.parametrize("code", [1, 2, 3, 8, 10, 13, 32, 34, 50, 51, 52, 53, 80, 118, -1])
def test_a_server_s_own_trouble_says_nothing_of_the_user(code: int) -> None:
    assert not is_about_user(Result(code), entry(), NOW)


def test_reasons_repeat_nothing_that_the_server_wrote() -> None:
    found = obstacle(Result(49, "the passcode hunter2 is wrong"), entry(), NOW)
    assert found == Obstacle(
        Cause.WRONG_CREDENTIAL, "the directory does not take this passcode (49 invalid credentials)"
    )
