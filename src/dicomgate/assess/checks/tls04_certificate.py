"""TLS-04: is the server's certificate one that a careful client could accept?"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from dicomgate.assess.model import (
    Check,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure

SOON_DAYS = 30
LEAST_RSA, LEAST_CURVE = 2048, 224


@dataclass(frozen=True, slots=True)
class Seen:
    certificate: bytes | None
    """DER."""
    host_name: str | None
    now: datetime


def probe(prober: Prober) -> Seen | Judgement:
    if prober.entry is None:
        return skipped(SkipReason.NOT_APPLICABLE, "The target does not speak TLS")
    if prober.server_certificate is None:
        prober.health()  # with TLS 1.2 a refusal of the client comes before the handshake is done
    return Seen(prober.server_certificate, prober.inputs.host_name, datetime.now(UTC))


def judge(seen: Seen) -> Judgement:
    if seen.certificate is None:
        return inconclusive("The handshake was refused before a certificate was seen")
    try:
        certificate = x509.load_der_x509_certificate(seen.certificate)
        faults = _faults(certificate, seen)
        days = (certificate.not_valid_after_utc - seen.now).days
    except ValueError:
        return failed("The certificate cannot be read")
    if faults:
        return failed(f"The certificate {', and it '.join(faults)}", days_left=days, faults=len(faults))
    return passed(f"The certificate is in order and has {days} days left", days_left=days)


def _faults(certificate: x509.Certificate, seen: Seen) -> list[str]:
    faults = []
    left = certificate.not_valid_after_utc - seen.now
    if left.total_seconds() < 0:
        faults.append("has expired")
    elif left.days < SOON_DAYS:
        faults.append(f"ends in {left.days} days")
    if certificate.not_valid_before_utc > seen.now:
        faults.append("is not valid yet")
    if certificate.issuer == certificate.subject:
        faults.append("is signed by itself")
    if isinstance(certificate.signature_hash_algorithm, SHA1 | MD5):
        faults.append(f"is signed with {certificate.signature_hash_algorithm.name.upper()}")
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA:
        faults.append(f"has an RSA key of {key.key_size} bits")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < LEAST_CURVE:
        faults.append(f"has a curve of {key.key_size} bits")
    if seen.host_name is not None and not _names(certificate, seen.host_name):
        faults.append("does not name the host")
    return faults


def _names(certificate: x509.Certificate, host: str) -> bool:
    """Whether a DNS name of the certificate is this host's (RFC 9525 6.3); the common name does not count."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    host = host.lower().rstrip(".")
    for written in alternatives.get_values_for_type(x509.DNSName):
        name = written.lower().rstrip(".")
        if name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:]):
            return True
    return False


PROCEDURE = Procedure(
    Check(
        "TLS-04",
        "the server's certificate is weak, wrong or about to end",
        (Requirement.R6,),
        Severity.MEDIUM,
        Mode.NEGOTIATION,
        "one TLS handshake",
        "expired, less than 30 days left, signed by itself, SHA-1, RSA below 2048 bits, or another host's name",
        "Careful clients refuse it; careless ones talk to whoever sits in between.",
        "Give it a certificate of the site's authority (dicomgate pki issue), and watch when it ends.",
    ),
    probe,
    judge,
)
