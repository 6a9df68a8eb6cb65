"""May this account sign in at all? The result of a bind and what the entry says in; a cause and its reason out.

Directories say it in three ways: attributes, the password policy's control, and numbers in Active Directory's text.
"""

import re
from dataclasses import dataclass

from dicomgate.iam.ldap.messages import PolicyError, Result, ResultCode, SearchEntry
from dicomgate.identity.verifier import Cause

ATTRIBUTES = ("userAccountControl", "accountExpires", "nsAccountLock", "pwdAccountLockedTime", "shadowExpire")
"""What is asked for besides; a directory returns those it has and lets the service account see."""

DAY = 86400.0
_ACCOUNT_DISABLE = 0x2
_FILETIME_PER_SECOND = 10_000_000
_SECONDS_1601_TO_1970 = 11_644_473_600
_NEVER = (0, 0x7FFF_FFFF_FFFF_FFFF)
_LOCKED_FOR_GOOD = "000001010000Z"
_DATA = re.compile(r"\bdata ([0-9a-f]{3,8})\b")
_ACTIVE_DIRECTORY = {
    0x525: (Cause.UNKNOWN_USER, "the directory no longer has this account"),
    0x530: (Cause.DISABLED, "the account may not sign in at this time"),
    0x531: (Cause.DISABLED, "the account may not sign in from here"),
    0x532: (Cause.EXPIRED, "the passcode has expired"),
    0x533: (Cause.DISABLED, "the account is disabled"),
    0x701: (Cause.EXPIRED, "the account has expired"),
    0x773: (Cause.EXPIRED, "the passcode has to be changed first"),
    0x775: (Cause.LOCKED_OUT, "the directory has locked the account"),
}
"""By the number after `data` in the text of a refused bind: Windows' own error codes."""
_POLICY = {
    PolicyError.PASSWORD_EXPIRED: (Cause.EXPIRED, "the passcode has expired"),
    PolicyError.ACCOUNT_LOCKED: (Cause.LOCKED_OUT, "the directory has locked the account"),
    PolicyError.CHANGE_AFTER_RESET: (Cause.EXPIRED, "the passcode has to be changed first"),
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a user who exists does not get in."""

    cause: Cause
    reason: str


def obstacle(result: Result, entry: SearchEntry, now: float) -> Obstacle | None:
    """None: the passcode was right and nothing speaks against the account. `now` is seconds since 1970.

    Only for results that say something of the user; `is_about_user` tells them apart.
    """
    if result.policy_error in _POLICY:
        return Obstacle(*_POLICY[PolicyError(result.policy_error)])
    barred = _barred(entry, now)
    if result.code == ResultCode.SUCCESS:
        return barred
    if found := _DATA.search(result.diagnostic):
        known = _ACTIVE_DIRECTORY.get(int(found[1], 16))
        if known is not None:
            return Obstacle(*known)
    if barred is not None:
        return barred
    if result.code == ResultCode.CONSTRAINT_VIOLATION or entry.texts("pwdAccountLockedTime"):
        return Obstacle(Cause.LOCKED_OUT, "the directory has locked the account after too many failures")
    return Obstacle(Cause.WRONG_CREDENTIAL, f"the directory does not take this passcode ({result.words})")


def is_about_user(result: Result, entry: SearchEntry, now: float) -> bool:
    """False when a bind failed for a reason that lies with the server, and says nothing of the passcode."""
    match result.code:
        case (
            ResultCode.SUCCESS
            | ResultCode.INVALID_CREDENTIALS
            | ResultCode.INAPPROPRIATE_AUTHENTICATION
            | ResultCode.CONSTRAINT_VIOLATION
        ):
            return True
        case ResultCode.UNWILLING_TO_PERFORM:
            # 389 Directory Server answers so for an inactivated account; others when they are read-only or ill.
            return _barred(entry, now) is not None
        case _:
            return False


def _barred(entry: SearchEntry, now: float) -> Obstacle | None:
    """What the attributes say, whatever the passcode was."""
    control = _number(entry, "userAccountControl")
    if control is not None and control & _ACCOUNT_DISABLE:
        return Obstacle(Cause.DISABLED, "the account is disabled (userAccountControl)")
    if (entry.text("nsAccountLock") or "").lower() == "true":
        return Obstacle(Cause.DISABLED, "the account is disabled (nsAccountLock)")
    if entry.text("pwdAccountLockedTime") == _LOCKED_FOR_GOOD:
        return Obstacle(Cause.DISABLED, "the account is locked until somebody unlocks it (pwdAccountLockedTime)")
    expires = _number(entry, "accountExpires")
    if expires not in (None, *_NEVER) and expires / _FILETIME_PER_SECOND - _SECONDS_1601_TO_1970 <= now:
        return Obstacle(Cause.EXPIRED, "the account has expired (accountExpires)")
    day = _number(entry, "shadowExpire")
    if day is not None and 0 <= day <= now / DAY:
        return Obstacle(Cause.EXPIRED, "the account has expired (shadowExpire)")
    return None


def _number(entry: SearchEntry, attribute: str) -> int | None:
    text = entry.text(attribute)
    return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,19}", text) else None
