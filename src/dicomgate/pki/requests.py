"""A device's own certification request (PKCS#10): bytes of the file in; a public key that may be certified out.

A request asks for names, purposes and more. None of that is taken: the key is, and the rest is said on the command
line by whom the authority trusts.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from dicomgate.pki.keys import PublicKey, accepted
from dicomgate.pki.problem import PkiError

LARGEST_REQUEST = 64 * 1024
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def requested_key(data: bytes, place: str) -> PublicKey:
    """The key of a request in PEM or DER, after its signature proved that the device holds the private half."""
    try:
        is_pem = b"-----BEGIN" in data
        request = x509.load_pem_x509_csr(data) if is_pem else x509.load_der_x509_csr(data)
        key = request.public_key()
        digest = request.signature_hash_algorithm
        signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise PkiError(
            place,
            "expected a certification request (PKCS#10, PEM or DER) with a key and signature that are known here",
            "look at it with: openssl req -text -verify -in FILE",
        ) from None
    strong = accepted(key, place)
    if not isinstance(digest, _HASHES):
        raise PkiError(
            place, "expected a signature with SHA-256, SHA-384 or SHA-512", "make the request anew with SHA-256"
        )
    if not signed:
        raise PkiError(
            place,
            "the signature of the request is wrong: who made it does not hold the key, or it was changed on the way",
            "have the device make it anew, and compare fingerprints",
        )
    return strong
