"""Another implementation judges the chains: purposes, names, bounds, dates and revocation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dicomgate.pki import commands
from dicomgate.pki.authority import issuing_signer
from dicomgate.pki.certificates import device_certificate
from dicomgate.pki.names import Holder
from dicomgate.pki.passphrases import asking, choosing
from dicomgate.pki.words import KeyKind, Reason, Usage
from pki.scene import NOBODY, NOW, PERMIT, Site, days, secret, site


@pytest.fixture
def verify(openssl: str) -> Verify:
    return Verify(openssl)


class Verify:
    """`openssl verify`, strict and with both revocation lists."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __call__(self, north: Site, file: Path, purpose: str, *more: str) -> str:
        """What it says: `OK`, or its errors."""
        trust = ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "-CRLfile", "crl.pem", "-crl_check_all"]
        ended = subprocess.run(
            [self.program, "verify", *trust, "-x509_strict", "-purpose", purpose, *more, file],
            cwd=north.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return "OK" if ended.returncode == 0 and ended.stdout.endswith(": OK\n") else ended.stderr


def forged(north: Site, hosts: list[str], addresses: list[str]) -> Path:
    """What a thief of the issuing key might sign: nobody looked at the bounds."""
    holder = Holder.of("forged", ["CT1"], hosts, addresses, Usage.BOTH)
    signer = issuing_signer(north.load(), NOBODY)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    path = north.folder / "forged.pem"
    path.write_bytes(device_certificate(holder, key, signer, 1, NOW, 30).public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("kind", KeyKind)
def test_a_device_is_good_for_both_purposes(north: Site, verify: Verify, kind: KeyKind) -> None:
    north.issue(kind=kind, address="127.0.0.1")
    file = north.device("ct-1", "certificate.pem").absolute()
    assert verify(north, file, "sslclient") == "OK"
    assert verify(north, file, "sslserver", "-verify_hostname", "ct1.north.example") == "OK"
    assert verify(north, file, "sslserver", "-verify_ip", "127.0.0.1") == "OK"
    assert "hostname mismatch" in verify(north, file, "sslserver", "-verify_hostname", "ct2.north.example")


@pytest.mark.parametrize(("usage", "not_for"), [(Usage.CLIENT, "sslserver"), (Usage.SERVER, "sslclient")])
def test_one_purpose_is_not_the_other(north: Site, verify: Verify, usage: Usage, not_for: str) -> None:
    north.issue(usage=usage)
    file = north.device("ct-1", "certificate.pem")
    fine = {"sslclient": "sslserver", "sslserver": "sslclient"}[not_for]
    assert verify(north, file, fine) == "OK"
    assert "purpose" in verify(north, file, not_for)


def test_what_is_revoked_is_refused_and_what_is_renewed_is_not(north: Site, verify: Verify) -> None:
    north.issue()
    old = north.current()
    north.renew()
    north.revoke(old.serial, reason=Reason.KEY_COMPROMISE)
    assert "certificate revoked" in verify(north, old.folder / "certificate.pem", "sslclient")
    assert verify(north, north.current().folder / "certificate.pem", "sslclient") == "OK"


@pytest.mark.parametrize(
    ("permit", "hosts", "addresses", "because"),
    [
        (["north.example"], ["ct1.north.example"], [], "OK"),
        (["north.example"], ["ct1.south.example"], [], "permitted subtree violation"),
        (["north.example"], ["ct1.north.example"], ["10.1.2.3"], "excluded subtree violation"),
        (["north.example"], [], ["::1"], "excluded subtree violation"),
        (["10.1.0.0/16"], [], ["10.1.2.3"], "OK"),
        (["10.1.0.0/16"], [], ["10.2.2.3"], "permitted subtree violation"),
        (["10.1.0.0/16"], [], ["::1"], "permitted subtree violation"),
        (["10.1.0.0/16"], ["ct1.north.example"], [], "excluded subtree violation"),
        (["fd00::/8", "north.example"], ["north.example"], ["fd00::1"], "OK"),
        (["any"], ["ct1.south.example"], ["10.2.2.3"], "OK"),
    ],
)
def test_the_bounds_hold_even_for_a_thief(
    tmp_path: Path, verify: Verify, permit: list[str], hosts: list[str], addresses: list[str], because: str
) -> None:
    it = site(tmp_path / "pki", permit=permit)
    assert because in verify(it, forged(it, hosts, addresses), "sslclient")


def test_a_device_signs_no_certificates(north: Site, verify: Verify, tmp_path: Path) -> None:
    signer = issuing_signer(north.load(), NOBODY)
    below = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "below")])
    third = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject)
        .public_key(below.public_key())
        .serial_number(2)
        .not_valid_before(NOW)
        .not_valid_after(NOW + days(9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(signer.key, hashes.SHA256())
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(subject)
        .public_key(below.public_key())
        .serial_number(3)
        .not_valid_before(NOW)
        .not_valid_after(NOW + days(9))
        .sign(below, hashes.SHA256())
    )
    (tmp_path / "third.pem").write_bytes(third.public_bytes(Encoding.PEM))
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    chain = ["-CAfile", north.folder / "root.pem", "-untrusted", north.folder / "issuing.pem"]
    ended = subprocess.run(
        [verify.program, "verify", *chain, "-untrusted", tmp_path / "third.pem", tmp_path / "leaf.pem"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "path length constraint exceeded" in ended.stderr


def test_a_list_that_has_ended_is_not_believed_and_a_new_one_is(north: Site, verify: Verify) -> None:
    north.issue(days=300)
    file = north.device("ct-1", "certificate.pem").absolute()
    later = NOW + days(31)
    at = ("-attime", str(int(later.timestamp())))
    assert "CRL has expired" in verify(north, file, "sslclient", *at)
    commands.refresh_lists(north.folder, now=later, ask=NOBODY)
    assert verify(north, file, "sslclient", *at) == "OK"


def test_openssl_reads_key_store_and_encrypted_keys(tmp_path: Path, openssl: str) -> None:
    passphrase = secret(tmp_path / "pw", "correct horse battery")
    commands.init(tmp_path / "pki", name="N", permit=PERMIT, now=NOW, choose=choosing(passphrase))
    it = Site(tmp_path / "pki")
    it.issue(p12=passphrase, ask=asking(passphrase))
    for store in ("device.p12", "truststore.p12"):
        read = subprocess.run(
            [openssl, "pkcs12", "-in", it.device("ct-1", store), "-passin", f"file:{passphrase}", "-info", "-noout"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "PBES2, PBKDF2, AES-256-CBC, Iteration 100000" in read.stderr
    key = subprocess.run(
        [openssl, "pkey", "-in", it.folder / "issuing.key.pem", "-passin", f"file:{passphrase}", "-noout"],
        check=False,
    )
    assert key.returncode == 0
