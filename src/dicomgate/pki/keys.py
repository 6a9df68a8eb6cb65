"""Private and public keys: kinds in, new keys out; foreign keys in, what is wrong with them out."""

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from dicomgate.pki.problem import PkiError
from dicomgate.pki.words import KeyKind

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

SMALLEST_RSA = 2048
"""RFC 9325 4.5, PS3.15 B.12."""
LARGEST_RSA = 8192
"""Every handshake pays for the size, and each that checks one."""
SMALLEST_EXPONENT = 65537
NEW_RSA = 3072
"""As strong as P-256 (NIST SP 800-57)."""
CURVES = ("secp256r1", "secp384r1", "secp521r1")


def generate(kind: KeyKind) -> PrivateKey:
    """A new key: P-256, or RSA of 3072 bits."""
    if kind is KeyKind.RSA:
        return rsa.generate_private_key(SMALLEST_EXPONENT, NEW_RSA)
    return ec.generate_private_key(ec.SECP256R1())


def accepted(key: PublicKeyTypes, place: str) -> PublicKey:
    """The same key if this authority may certify it; PkiError if it is weak or of an unknown kind."""
    wanted = f"expected ECDSA on P-256, P-384 or P-521, or RSA of {SMALLEST_RSA} to {LARGEST_RSA} bits"
    hint = "make a new key and request on the device, or let pki issue make the key"
    match key:
        case rsa.RSAPublicKey():
            if not SMALLEST_RSA <= key.key_size <= LARGEST_RSA:
                raise PkiError(place, f"{wanted}, came RSA of {key.key_size} bits", hint)
            if key.public_numbers().e < SMALLEST_EXPONENT:
                raise PkiError(place, f"expected an RSA exponent of {SMALLEST_EXPONENT} or more", hint)
            return key
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in CURVES:
                raise PkiError(place, f"{wanted}, came the curve {key.curve.name}", hint)
            return key
        case _:
            raise PkiError(place, f"{wanted}, came another kind of key", hint)


def spki_sha256(key: PublicKeyTypes) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in DER, as hexadecimal digits: it stays while the key stays."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def private_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """PKCS#8 in PEM, encrypted if there is a passphrase."""
    protection: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def is_encrypted(pem: bytes) -> bool:
    """Whether a passphrase is needed to read it."""
    return b"ENCRYPTED" in pem


def load_private(pem: bytes, passphrase: bytes | None, place: str) -> PrivateKey:
    """Read PKCS#8 in PEM. PkiError tells a wrong passphrase from a broken file; it holds neither."""
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if passphrase is not None:
            raise PkiError(place, "the passphrase does not open this key", "is it the passphrase of init?") from None
        raise PkiError(place, "expected a private key in PEM", "restore it from a backup") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError(place, "expected an ECDSA or RSA key, came another kind", "restore it from a backup")
    return key
