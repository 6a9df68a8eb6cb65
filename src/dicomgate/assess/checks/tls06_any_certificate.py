"""TLS-06: is a client certificate accepted that nobody trusts? It is made for this one handshake."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dicomgate.assess.checks.client_certificate import show
from dicomgate.assess.checks.reading import admission
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.line import KeyPair
from dicomgate.assess.model import Check, Judgement, Mode, Requirement, Severity
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure


def throwaway(folder: Path) -> KeyPair:
    """A certificate valid for an hour, of an authority that exists only here."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dicomgate-assess")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dicomgate-assess nobody")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    pair = KeyPair(folder / "client.crt", folder / "client.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return pair


def probe(prober: Prober) -> Answer | Judgement:
    with TemporaryDirectory(prefix="dicomgate-assess-") as folder:
        return show(prober, throwaway(Path(folder)))


def judge(seen: Answer) -> Judgement:
    return admission(seen, "A client certificate that nobody signed is accepted", "An unknown certificate is refused")


PROCEDURE = Procedure[Answer](
    Check(
        "TLS-06",
        "any client certificate is accepted",
        (Requirement.R6,),
        Severity.CRITICAL,
        Mode.NEGOTIATION,
        "a TLS handshake with a client certificate made for this moment, then an A-ASSOCIATE-RQ",
        "A-ASSOCIATE-AC, where without a certificate there is none",
        "A lock that every key opens: it looks protected and is not.",
        "Let the server verify client certificates against the site's authority (DCMTK: not --ignore-peer-cert).",
    ),
    probe,
    judge,
)
