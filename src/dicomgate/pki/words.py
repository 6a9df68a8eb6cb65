"""Words and numbers of the command line. Apart from the rest, so that other commands need not load the cryptography."""

from dataclasses import dataclass
from enum import StrEnum

DEVICE_DAYS = 730
"""Every renewal is a visit to a modality, and every day more is a day that a stolen key is of use."""
MOST_DAYS = 36500


class Usage(StrEnum):
    """Which side of a TLS connection a certificate may prove."""

    SERVER = "server"
    CLIENT = "client"
    BOTH = "both"


class KeyKind(StrEnum):
    """What key to make. RSA is for devices whose TLS 1.2 knows only the suites of PS3.15 B.9 and B.10."""

    ECDSA = "ecdsa"
    RSA = "rsa"


class Reason(StrEnum):
    """Why a certificate is revoked (RFC 5280 5.3.1, those that fit a device)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"
    PRIVILEGE_WITHDRAWN = "privilege-withdrawn"


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a new authority and its lists hold, in days."""

    root: int = 7300
    issuing: int = 3650
    root_list: int = 365
    issuing_list: int = 30
