"""A device's own request: its key is taken when it is strong and proven, and nothing else is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.pki import commands
from dicomgate.pki.authority import issuing_signer
from dicomgate.pki.keys import accepted
from dicomgate.pki.names import Holder
from dicomgate.pki.problem import PkiError
from dicomgate.pki.requests import requested_key
from dicomgate.pki.words import Usage
from pki.scene import NOBODY, NOW, Site

HOLDER = Holder.of("ct-1", ["CT1"], ["ct1.north.example"], [], Usage.CLIENT)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "I am the archive")])
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def request(key: object = EC_KEY, encoding: Encoding = Encoding.PEM) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(NAME)
    for extension in (
        x509.SubjectAlternativeName([x509.DNSName("archive.north.example"), x509.DNSName("*")]),
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
    ):
        builder = builder.add_extension(extension, critical=True)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(encoding)  # type: ignore[arg-type]


VALID = request(encoding=Encoding.DER)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_the_key_is_taken(encoding: Encoding) -> None:
    assert requested_key(request(encoding=encoding), "csr") == EC_KEY.public_key()


@pytest.mark.parametrize(
    ("make", "because"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "RSA of 1024 bits"),  # noqa: S505
        (lambda: rsa.generate_private_key(3, 2048), "exponent"),
        (lambda: ec.generate_private_key(ec.SECP192R1()), "secp192r1"),
        (lambda: ec.generate_private_key(ec.SECP224R1()), "secp224r1"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (lambda: dsa.generate_private_key(2048), "another kind of key"),
        (ed25519.Ed25519PrivateKey.generate, "another kind of key"),
    ],
)
def test_weak_and_strange_keys_are_refused(make: Callable[[], object], because: str) -> None:
    with pytest.raises(PkiError, match=because):
        requested_key(request(make()), "csr")


def test_a_large_key_is_refused() -> None:
    modulus = (1 << 16383) + 1  # a real one would take minutes to make
    with pytest.raises(PkiError, match="RSA of 16384 bits"):
        accepted(rsa.RSAPublicNumbers(65537, modulus).public_key(), "csr")


def test_a_weak_hash_is_refused(tmp_path: Path, openssl: str) -> None:
    key, csr = tmp_path / "key", tmp_path / "csr"
    made = subprocess.run(
        [
            openssl,
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-subj",
            "/CN=x",
            "-sha1",
            "-out",
            csr,
        ],
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    with pytest.raises(PkiError, match=r"SHA-256|known here"):
        requested_key(csr.read_bytes(), "csr")


def test_a_request_that_was_changed_is_refused() -> None:
    changed = VALID.replace(b"I am the archive", b"I am the arch1ve")
    assert changed != VALID
    with pytest.raises(PkiError, match="signature of the request is wrong"):
        requested_key(changed, "csr")


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----", b"\x30\x84\xff\xff\xff\xff"]
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(PkiError, match="expected a certification request"):
        requested_key(data, "csr")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(VALID) - 1), st.integers(1, 255), st.integers(0, len(VALID)))
def test_any_change_is_refused_or_changes_nothing_and_never_another_exception(place: int, flip: int, cut: int) -> None:
    data = bytearray(VALID)
    data[place] ^= flip
    for broken in (bytes(data), VALID[:cut]):
        try:
            found = requested_key(broken, "csr")
        except PkiError:
            continue
        # A few bits around a signature mean nothing (how many bits of its last byte count): the key is still its own.
        assert found.public_numbers() == EC_KEY.public_key().public_numbers()  # type: ignore[union-attr]
        assert broken == VALID or len(broken) == len(VALID)


def test_nothing_but_the_key_is_taken(north: Site, tmp_path: Path) -> None:
    file = tmp_path / "ct1.csr"
    file.write_bytes(request())
    report = commands.sign_request(north.folder, file, HOLDER, now=NOW, ask=NOBODY, days=30)
    certificate = north.current().certificate
    assert certificate.public_key() == EC_KEY.public_key()
    assert certificate.subject.rfc4514_string() == "CN=ct-1,O=North Clinic"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == ["ct1.north.example", "dicom-ae:CT1"]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not north.device("ct-1", "key.pem").exists()
    assert not any("key.pem" in line for line in report.lines)
    assert any(line.startswith("certificates = ") for line in report.lines)


def test_one_key_is_one_device(north: Site, tmp_path: Path) -> None:
    file = tmp_path / "ct1.csr"
    file.write_bytes(request())
    commands.sign_request(north.folder, file, HOLDER, now=NOW, ask=NOBODY, days=30)
    other = Holder.of("ct-2", ["CT2"], [], [], Usage.CLIENT)
    with pytest.raises(PkiError, match="the key belongs to ct-1 already"):
        commands.sign_request(north.folder, file, other, now=NOW, ask=NOBODY, days=30)
    north.revoke("ct-1")
    with pytest.raises(PkiError, match="the key belongs to the revoked certificate"):
        commands.sign_request(north.folder, file, HOLDER, now=NOW, ask=NOBODY, days=30)


def test_the_authority_signs_no_certificate_for_its_own_key(north: Site, tmp_path: Path) -> None:
    file = tmp_path / "evil.csr"
    file.write_bytes(request(issuing_signer(north.load(), NOBODY).key))
    with pytest.raises(PkiError, match="authority's own"):
        commands.sign_request(north.folder, file, HOLDER, now=NOW, ask=NOBODY, days=30)


def test_a_request_is_renewed_with_its_key_or_a_new_request(north: Site, tmp_path: Path) -> None:
    file = tmp_path / "ct1.csr"
    file.write_bytes(request())
    commands.sign_request(north.folder, file, HOLDER, now=NOW, ask=NOBODY, days=30)
    with pytest.raises(PkiError, match="made its key itself"):
        north.renew()
    north.renew(same_key=True)
    assert north.current().certificate.public_key() == EC_KEY.public_key()
    fresh = ec.generate_private_key(ec.SECP384R1())
    file.write_bytes(request(fresh))
    north.renew(request=file)
    assert north.current().certificate.public_key() == fresh.public_key()
    assert north.current().holder == HOLDER


def test_a_file_too_large_to_be_a_request_is_not_parsed(north: Site, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(100_000))
    with pytest.raises(PkiError, match="expected at most 65536 bytes"):
        commands.sign_request(north.folder, file, HOLDER, now=NOW, ask=NOBODY)
