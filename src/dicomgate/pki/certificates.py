"""X.509 as this authority writes it (RFC 5280): names, keys and times in; certificates and revocation lists out.

No clock, no file, no randomness but the serial number: what is signed depends on the arguments alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import CRLEntryExtensionOID, ExtendedKeyUsageOID, NameOID

from dicomgate.pki.keys import PublicKey
from dicomgate.pki.names import Holder, Permitted, ae_title_of, ae_title_uri
from dicomgate.pki.words import Usage

BACKDATED = timedelta(hours=1)
"""Clocks of modalities are late."""
_PURPOSES = {
    Usage.SERVER: [ExtendedKeyUsageOID.SERVER_AUTH],
    Usage.CLIENT: [ExtendedKeyUsageOID.CLIENT_AUTH],
    Usage.BOTH: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
}
_NO_ADDRESS = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority that can sign: its certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Revocation:
    """One certificate that must not be trusted any more."""

    serial: int
    at: datetime
    reason: x509.ReasonFlags


def root_certificate(site: str, key: ec.EllipticCurvePrivateKey, now: datetime, days: int) -> x509.Certificate:
    """Self-signed; may sign authorities that sign no other authorities."""
    subject = _subject(site, f"{site} root CA")
    builder = _begin(subject, subject, key.public_key(), now - BACKDATED, now + timedelta(days=days))
    return _authority(builder, 1).sign(key, hashes.SHA256())


def issuing_certificate(
    site: str, key: ec.EllipticCurvePublicKey, root: Signer, permitted: Permitted | None, now: datetime, days: int
) -> x509.Certificate:
    """Signed by the root; may sign devices for TLS within the permitted names, and nothing else.

    The bounds stand here and not in the root: that stays offline, and may one day sign an authority with others.
    """
    subject = _subject(site, f"{site} issuing CA")
    issuer = root.certificate.subject
    builder = _authority(_begin(subject, issuer, key, now - BACKDATED, now + timedelta(days=days)), 0)
    builder = builder.add_extension(_issuer_key(root), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage(_PURPOSES[Usage.BOTH]), critical=False)
    if permitted is not None:
        builder = builder.add_extension(_constraints(permitted), critical=True)
    return builder.sign(root.key, hashes.SHA256())


def device_certificate(
    holder: Holder, key: PublicKey, issuing: Signer, serial: int, now: datetime, days: int
) -> x509.Certificate:
    """A device's certificate. All that stands in it comes from the arguments, nothing from a request."""
    authority = issuing.certificate
    begin = max(now - BACKDATED, authority.not_valid_before_utc)
    subject = _subject(site_of(authority), holder.name)
    builder = _begin(subject, authority.subject, key, begin, now + timedelta(days=days), serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(_PURPOSES[holder.usage]), critical=False)
    builder = builder.add_extension(_issuer_key(issuing), critical=False)
    names: list[x509.GeneralName] = [
        *map(x509.DNSName, holder.hosts),
        *map(x509.IPAddress, holder.addresses),
        *(x509.UniformResourceIdentifier(ae_title_uri(title)) for title in holder.ae_titles),
    ]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuing.key, hashes.SHA256())


def revocation_list(
    authority: Signer, revoked: Iterable[Revocation], number: int, now: datetime, days: int
) -> x509.CertificateRevocationList:
    """A complete list that has to be replaced within `days`."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + timedelta(days=days))
        .add_extension(_issuer_key(authority), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(one.at)
        if one.reason is not x509.ReasonFlags.unspecified:  # RFC 5280 5.3.1: then rather no reason at all
            entry = entry.add_extension(x509.CRLReason(one.reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())


def revocations(listed: x509.CertificateRevocationList) -> dict[int, Revocation]:
    """What a list says, by serial number."""
    return {entry.serial_number: _revocation(entry) for entry in listed}


def list_number(listed: x509.CertificateRevocationList) -> int:
    """The CRL number (RFC 5280 5.2.3)."""
    return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def list_end(listed: x509.CertificateRevocationList) -> datetime:
    """When the next list has to be there. One that does not say so has ended as it began."""
    return listed.next_update_utc or listed.last_update_utc


def list_days(listed: x509.CertificateRevocationList) -> int:
    """For how many days a list was made."""
    return (list_end(listed) - listed.last_update_utc - BACKDATED).days


def holder_of(certificate: x509.Certificate) -> Holder:
    """Read back what `device_certificate` wrote."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    purposes = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return Holder(
        _text(certificate.subject, NameOID.COMMON_NAME),
        tuple(title for title in map(ae_title_of, uris) if title is not None),
        tuple(names.get_values_for_type(x509.DNSName)),
        tuple(one for one in names.get_values_for_type(x509.IPAddress) if not hasattr(one, "prefixlen")),
        next(usage for usage, wanted in _PURPOSES.items() if set(wanted) == purposes),
    )


def site_of(authority: x509.Certificate) -> str:
    """The organisation that an authority belongs to."""
    return _text(authority.subject, NameOID.ORGANIZATION_NAME)


def permitted_by(issuing: x509.Certificate) -> Permitted | None:
    """The bounds that an issuing authority carries; None when it has none."""
    try:
        bounds = issuing.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    except x509.ExtensionNotFound:
        return None
    return Permitted(
        tuple(bound.value for bound in bounds if isinstance(bound, x509.DNSName)),
        tuple(
            bound.value
            for bound in bounds
            if isinstance(bound, x509.IPAddress) and isinstance(bound.value, IPv4Network | IPv6Network)
        ),
    )


def _subject(site: str, name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, site), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _begin(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, begin: datetime, end: datetime, serial: int | None = None
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _key_usage(signs_certificates=True), critical=True
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Devices sign handshakes only: static RSA key exchange is not to be used (RFC 9325 4.1)."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key(issuer: Signer) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _constraints(permitted: Permitted) -> x509.NameConstraints:
    """RFC 5280 4.2.1.10 bounds only the kinds of name it mentions: a kind without a permitted value is excluded."""
    inside: list[x509.GeneralName] = [
        *map(x509.DNSName, permitted.suffixes),
        *(x509.IPAddress(network) for network in permitted.networks),
    ]
    outside: list[x509.GeneralName] = [] if permitted.suffixes else [x509.DNSName("")]
    if not permitted.networks:
        outside.extend(x509.IPAddress(network) for network in _NO_ADDRESS)
    return x509.NameConstraints(inside, outside or None)


def _revocation(entry: x509.RevokedCertificate) -> Revocation:
    try:
        value = entry.extensions.get_extension_for_oid(CRLEntryExtensionOID.CRL_REASON).value
        reason = value.reason if isinstance(value, x509.CRLReason) else x509.ReasonFlags.unspecified
    except x509.ExtensionNotFound:
        reason = x509.ReasonFlags.unspecified
    return Revocation(entry.serial_number, entry.revocation_date_utc, reason)


def _text(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    value = name.get_attributes_for_oid(oid)[0].value
    return value if isinstance(value, str) else value.decode("utf-8", errors="replace")


def utc(moment: datetime) -> str:
    """A time as all output shows it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
