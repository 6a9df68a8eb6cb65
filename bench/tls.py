"""One certificate for every relay that speaks TLS, and a client that takes it.

In: a directory; out: files and a context.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bench.process import LOOPBACK


@dataclass(frozen=True, slots=True)
class Identity:
    """ECDSA P-256, self-signed. `both` holds certificate and key in one file, as HAProxy wants them."""

    certificate: Path
    key: Path
    both: Path


def identity(directory: Path) -> Identity:
    """Make it, or take what an earlier row has made."""
    made = Identity(directory / "tls.crt", directory / "tls.key", directory / "tls.pem")
    if made.both.exists():
        return made
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(Encoding.PEM)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for path, content in ((made.certificate, public), (made.key, secret), (made.both, public + secret)):
        path.write_bytes(content)
        path.chmod(0o600)
    return made


def client_context() -> ssl.SSLContext:
    """TLS 1.3 and no look at the certificate: what a relay costs does not depend on whom its client believes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
