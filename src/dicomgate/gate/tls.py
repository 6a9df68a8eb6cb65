"""TLS settings in; OpenSSL contexts out, by profile. And what OpenSSL says of a failure, in words for a record.

BCP 195 is RFC 9325: TLS 1.2 and 1.3, forward secrecy, authenticated ciphers; no compression, no renegotiation, and
(as OpenSSL has it unless asked) no early data. DICOM's application protocol is `dicom` (IANA's ALPN registry).
"""

import re
import ssl
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from dicomgate.gate.certificates import examine
from dicomgate.gate.settings import ClientTls, ServerTls, TlsProfile

ALPN = "dicom"
_BCP195 = [
    f"ECDHE-{kind}-{cipher}" for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256") for kind in ("ECDSA", "RSA")
]
_B13 = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-CCM",
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-CCM8",
]
_STRONG, _ANY = "@SECLEVEL=2", "@SECLEVEL=0"
"""Level 2 refuses keys below 112 bits of strength (RSA 2048) and signatures with SHA-1; TLS 1.0 needs level 0."""
_SUITES = {
    TlsProfile.BCP195: [*_BCP195, _STRONG],
    TlsProfile.MODIFIED_BCP195: [*_B13, _STRONG],
    TlsProfile.TLS13_ONLY: [*_BCP195, _STRONG],
    TlsProfile.UNSAFE_LEGACY: [*_BCP195, "ECDHE+AES", "DHE+AES", "RSA+AES", "!aNULL", "!eNULL", _ANY],
}
_LONGEST_REASON = 120
_CURVE = "prime256v1"


class TlsFilesError(Exception):
    """A context cannot be made. `path` is the file that is at fault, when one is."""

    def __init__(self, path: Path | None, text: str) -> None:
        self.path = path
        self.text = text
        super().__init__(text)


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """A context for accepted connections; TlsFilesError when a file cannot be used."""
    _refuse_bad_files(tls)
    context = _server_context(tls, tls.certificate, tls.key)
    named = {
        name.lower().removesuffix("."): _server_context(tls, identity.certificate, identity.key)
        for identity in tls.others
        for name in identity.names
    }
    if named:
        context.sni_callback = partial(_choose, named)
    return context


def _choose(
    named: Mapping[str, ssl.SSLContext], sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext
) -> int | None:
    """Show the certificate that was asked for; whoever asks for another name judges the usual one."""
    chosen = named.get((name or "").lower().removesuffix("."))
    if chosen is not None:
        sock.context = chosen
    return None


def _server_context(tls: ServerTls, certificate: Path, key: Path) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls.profile)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.profile is not TlsProfile.UNSAFE_LEGACY:
        # Python's ssl takes one curve or all that OpenSSL has, and some of those no profile names. This is the one
        # that every client of TLS 1.3 has to know (RFC 8446 9.1).
        context.set_ecdh_curve(_CURVE)
    try:
        context.load_cert_chain(certificate, key, _no_passphrase)
        if tls.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED if tls.client_certificate_required else ssl.CERT_OPTIONAL
            context.load_verify_locations(tls.client_ca)
        if tls.crl is not None:
            context.load_verify_locations(tls.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    except OSError as error:
        raise TlsFilesError(certificate, reason(error)) from None
    return context


def client_context(tls: ClientTls, protocols: Sequence[str] = (ALPN,)) -> ssl.SSLContext:
    """A context for connections to a party that speaks one of these; TlsFilesError when a file cannot be used."""
    _refuse_bad_files(tls)
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls.profile, protocols)  # chain and name are checked
    context.hostname_checks_common_name = False
    try:
        context.load_verify_locations(tls.ca)
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, _no_passphrase)
    except OSError as error:
        raise TlsFilesError(tls.certificate or tls.ca, reason(error)) from None
    return context


def reason(error: OSError) -> str:
    """What went wrong with a TLS connection or file, in a few words of OpenSSL or the system; no secrets."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {_plain(error.verify_message)}"
    if isinstance(error, ssl.SSLEOFError):
        return "connection closed amid the handshake"
    if isinstance(error, ssl.SSLError):
        # Python leaves the attribute out when OpenSSL gave no reason.
        name: str | None = getattr(error, "reason", None)
        return _plain(name.replace("_", " ").lower() if name else "unknown TLS error")
    return (error.strerror or "connection lost").lower()


def _plain(text: object) -> str:
    return re.sub(r"[^ -~]", "?", str(text))[:_LONGEST_REASON].rstrip(".")


def _context(side: int, profile: TlsProfile, protocols: Sequence[str] = (ALPN,)) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    with warnings.catch_warnings():
        # TLS 1.0 is deprecated. That is what "unsafe" means.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _oldest(profile)
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.set_ciphers(":".join(_SUITES[profile]))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def _oldest(profile: TlsProfile) -> ssl.TLSVersion:
    match profile:
        case TlsProfile.TLS13_ONLY:
            return ssl.TLSVersion.TLSv1_3
        case TlsProfile.UNSAFE_LEGACY:
            return ssl.TLSVersion.TLSv1
        case _:
            return ssl.TLSVersion.TLSv1_2


def _refuse_bad_files(tls: ServerTls | ClientTls) -> None:
    for finding in examine(tls, time.time()):
        if finding.fatal:
            raise TlsFilesError(finding.path, finding.text)


def _no_passphrase() -> bytes:
    """OpenSSL would ask on the terminal."""
    return b""
