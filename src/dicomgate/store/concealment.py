"""Patients concealed for records, and revealed again for a repository, with one key: destroy it, and both are gone.

A Patient ID is sealed with AES-SIV (RFC 5297), which needs no nonce: the same patient gives the same seal, as it gives
the same pseudonym. The pseudonym is bound to it, so that a seal cannot be moved to the record of somebody else.
"""

import hmac
import json
from base64 import b64decode, b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from dicomgate.audit.patient import Concealed, PatientId
from dicomgate.audit.pseudonym import Identifier, PseudonymKey
from dicomgate.audit.record import Record

BLOCK = 64
"""What is sealed is filled up to a multiple of so many bytes: its length tells nothing about most identifiers."""
_SEALING = (b"dicomgate sealed patient 1", b"dicomgate sealed patient 2")


class Concealment:
    """`sealing`: a repository is to be told. Any thread may ask."""

    def __init__(self, key: PseudonymKey, *, sealing: bool) -> None:
        self._means = (key, _box(key), sealing)

    def use(self, key: PseudonymKey, *, sealing: bool) -> None:
        """From now on this key. What another one has sealed is not revealed any more."""
        self._means = (key, _box(key), sealing)

    def conceal(self, patient: PatientId) -> Concealed:
        """The pseudonym of a patient, and the Patient ID sealed if it will be asked for."""
        key, box, sealing = self._means
        pseudonym = key.pseudonym(Identifier.PATIENT_ID, patient.value, patient.issuer)
        return Concealed(pseudonym, _sealed(box, patient, pseudonym) if sealing else None)

    def reveal(self, record: Record) -> PatientId | None:
        """The Patient ID that is sealed in a record; None: there is none, another key sealed it, or it was altered."""
        if record.sealed_patient is None or record.patient is None:
            return None
        try:
            content = self._means[1].decrypt(b64decode(record.sealed_patient), [record.patient.encode()])
            value, issuer = json.loads(content)
        except (InvalidTag, ValueError):
            return None
        return PatientId(value, issuer)


def _box(key: PseudonymKey) -> AESSIV:
    return AESSIV(b"".join(hmac.digest(key.secret, purpose, sha256) for purpose in _SEALING))


def _sealed(box: AESSIV, patient: PatientId, pseudonym: str) -> str:
    content = json.dumps([patient.value, patient.issuer]).encode("ascii")
    padded = content.ljust(-(-len(content) // BLOCK) * BLOCK)
    return b64encode(box.encrypt(padded, [pseudonym.encode()])).decode("ascii")
