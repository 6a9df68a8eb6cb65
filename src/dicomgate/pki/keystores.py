"""PKCS#12 for those who take no PEM: keys and certificates in, encrypted stores out."""

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import KeySerializationEncryption, PrivateFormat, pkcs12

from dicomgate.pki.keys import PrivateKey

ROUNDS = 100_000
"""Of PBKDF2. Java and OpenSSL take part of a second for it."""


def key_store(
    alias: str, key: PrivateKey, certificate: x509.Certificate, authorities: list[x509.Certificate], passphrase: bytes
) -> bytes:
    """A device's key with its chain. AES-256 and SHA-256: Java 17 and OpenSSL 3 read it, very old ones do not."""
    return pkcs12.serialize_key_and_certificates(alias.encode(), key, certificate, authorities, _encryption(passphrase))


def trust_store(authorities: list[x509.Certificate], passphrase: bytes) -> bytes:
    """The authorities, marked as trusted: Java ignores certificates in PKCS#12 that are not."""
    trusted = [pkcs12.PKCS12Certificate(one, f"ca-{number}".encode()) for number, one in enumerate(authorities, 1)]
    return pkcs12.serialize_java_truststore(trusted, _encryption(passphrase))


def _encryption(passphrase: bytes) -> KeySerializationEncryption:
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(passphrase)
    )
