"""Keyed pseudonyms: an identifier of a patient in, a name that means nothing without the key out.

The same identifier has the same pseudonym as long as the key lives, so that an alert or a search can follow one patient
through the trail. Without the key nobody can try identifiers against it, and when the key is gone, nobody ever can.
"""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

KEY_BYTES = 32
PSEUDONYM_BYTES = 16
"""Truncated HMAC (RFC 2104 5): two of a thousand million patients share one with a chance of 1 in 10^20."""


class Identifier(StrEnum):
    """What is replaced. Equal texts of two kinds have different pseudonyms."""

    PATIENT_ID = "patient-id"
    PATIENT_NAME = "patient-name"
    ACCESSION_NUMBER = "accession-number"


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """A secret of 32 random bytes; `id` says which key made a pseudonym, and nothing of the key."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"expected a key of {KEY_BYTES} bytes, came {len(self.secret)}")

    @property
    def id(self) -> str:
        """Eight hexadecimal digits."""
        return hmac.digest(self.secret, b"dicomgate pseudonym key", sha256).hex()[:8]

    def pseudonym(self, kind: Identifier, value: str, issuer: str = "") -> str:
        """`KEYID:32 hexadecimal digits` for a value as DICOM has it; `issuer` as in (0010,0021), where it is known.

        Spaces around a value mean nothing in DICOM (PS3.5 6.2); case does.
        """
        parts = (kind.value, issuer.strip(" "), value.strip(" "))
        message = b"".join(
            len(part).to_bytes(4) + part for part in (each.encode(errors="backslashreplace") for each in parts)
        )
        return f"{self.id}:{hmac.digest(self.secret, message, sha256)[:PSEUDONYM_BYTES].hex()}"
