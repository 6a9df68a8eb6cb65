"""A throw-away certificate authority. In: who is to be named how; out: PEM files as servers and clients want them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dicomgate.facts import CertificateFacts
from dicomgate.gate.certificates import facts_of

DAY = timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Identity:
    """A certificate (with what stands between it and the root) and its key, as files."""

    certificate: Path
    key: Path
    leaf: x509.Certificate

    @property
    def facts(self) -> CertificateFacts:
        return facts_of(self.leaf.public_bytes(Encoding.DER))

    def context(self, ca: Path, *, protocols: Sequence[str] = ("dicom",)) -> ssl.SSLContext:
        """A client that shows this certificate."""
        context = trusting(ca, protocols=protocols)
        context.load_cert_chain(self.certificate, self.key)
        return context


def trusting(ca: Path, *, protocols: Sequence[str] = ("dicom",)) -> ssl.SSLContext:
    """A client without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # what it may show is for the gate to judge
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class Authority:
    """A root that issues certificates; its own stands in `certificate`."""

    def __init__(self, directory: Path, name: str = "ca", issuer: Authority | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.name = name
        self.issuer = issuer
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = _name(f"{name} of the lab")
        parent = issuer or self
        self.authority = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(parent.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() - 30 * DAY)
            .not_valid_after(now() + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(keyCertSign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()), critical=False)
            .sign(parent.key, hashes.SHA256())
        )
        self.certificate = self._write("crt", _pem(self.authority))

    def issue(
        self,
        name: str,
        *,
        names: Sequence[str] = (),
        uris: Sequence[str] = (),
        usage: Sequence[x509.ObjectIdentifier] = (CLIENT,),
        begins: timedelta = -DAY,
        ends: timedelta = 90 * DAY,
        key: PrivateKey | None = None,
        self_signed: bool = False,
    ) -> Identity:
        """`names` are host names and addresses; `begins` and `ends` count from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [_general(text) for text in names or (f"{name}.lab.example",)]
        alternatives += [x509.UniformResourceIdentifier(uri) for uri in uris]
        subject = _name(name)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + begins)
            .not_valid_after(now() + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(keyCertSign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(key if self_signed else self.key, hashes.SHA256())
        )
        chain = _pem(leaf) + (_pem(self.authority) if self.issuer is not None else b"")
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Identity(self._write("crt", chain, name), self._write("key", secret, name), leaf)

    def revoke(self, *identities: Identity, ends: timedelta = 30 * DAY) -> bytes:
        """The revocation list that names them (PEM)."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.subject)
            .last_update(now() - 2 * DAY)
            .next_update(now() + ends)
        )
        for identity in identities:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(identity.leaf.serial_number)
                .revocation_date(now() - DAY)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _write(self, ending: str, content: bytes, name: str = "") -> Path:
        path = self.directory / f"{name or self.name}.{ending}"
        path.write_bytes(content)
        path.chmod(0o600)
        return path


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, keyCertSign: bool) -> x509.KeyUsage:  # noqa: N803 - the standard's name (RFC 5280 4.2.1.3)
    return x509.KeyUsage(
        digital_signature=not keyCertSign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=keyCertSign,
        crl_sign=keyCertSign,
        encipher_only=False,
        decipher_only=False,
    )
