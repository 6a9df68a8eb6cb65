"""One-time codes of an authenticator app (TOTP, RFC 6238): six digits that change every half minute."""

from hmac import compare_digest

import pyotp

DIGITS = 6
STEP = 30
"""Seconds; with SHA-1 and six digits what every app can do."""
WINDOW = 1
"""Steps before and after the present one: the phone's clock, and the time to type."""


def new_secret() -> str:
    """160 bits in Base32 (RFC 4226 4: as long as the hash)."""
    return pyotp.random_base32(32)


def uri(secret: str, user: str, issuer: str) -> str:
    """The otpauth URI that an app takes, usually as a QR code. It is a secret."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP).provisioning_uri(name=user, issuer_name=issuer)


def step_of(secret: str, code: bytes, now: float) -> int | None:
    """The time step that this code belongs to; None when to none that counts now. Every step is compared."""
    codes = pyotp.TOTP(secret, digits=DIGITS, interval=STEP)
    present = int(now // STEP)
    found = None
    for step in range(max(0, present - WINDOW), present + WINDOW + 1):
        if compare_digest(codes.generate_otp(step).encode(), code):
            found = step
    return found
