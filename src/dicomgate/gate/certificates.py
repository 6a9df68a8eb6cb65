"""Certificates, keys, authorities and revocation lists in; plain facts about them, and what is wrong with them, out.

OpenSSL judges certificates during a handshake. Here they are read to know who somebody is, and to say before a
handshake fails that it would, and in whose file the reason lies.
"""

import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from dicomgate.facts import CertificateFacts
from dicomgate.gate.settings import ClientTls, ServerTls

WARN_DAYS = (1, 7, 30)
"""`check` warns when a certificate ends within these; the nearest one is named."""
_LARGEST = 4 * 1024**2
_DAY = 86400.0
_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about one file. `setting` is its key in the `tls` table; with `fatal` TLS cannot be spoken with it."""

    setting: str
    path: Path
    fatal: bool
    text: str
    hint: str


@lru_cache(maxsize=1024)
def facts_of(der: bytes) -> CertificateFacts:
    """What the rules ask of a certificate; ValueError when it cannot be read."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    except x509.DuplicateExtension as error:
        raise ValueError("an extension stands in it twice") from error
    return CertificateFacts(
        sha256=sha256(der).hexdigest(),
        spki_sha256=sha256(_spki(certificate.public_key())).hexdigest(),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        issuer=certificate.issuer.rfc4514_string(),
        serial_number=f"{certificate.serial_number:x}",
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def read_certificate(path: Path) -> CertificateFacts:
    """The first certificate of a PEM file. OSError, or ValueError when there is none."""
    return facts_of(x509.load_pem_x509_certificates(path.read_bytes())[0].public_bytes(Encoding.DER))


def examine(tls: ServerTls | ClientTls, now: float) -> list[Finding]:
    """What is wrong with the files of one `tls` table; `now` is seconds since 1970."""
    examination = _Examination(now)
    match tls:
        case ServerTls(certificate, key, client_ca, _, crl, _, others):
            examination.identity(certificate, key)
            for other in others:
                examination.identity(other.certificate, other.key, "sni.")
            authorities = [] if client_ca is None else examination.authorities("client_ca", client_ca)
            if crl is not None:
                examination.revocations(crl, authorities)
        case ClientTls(ca, own, own_key):
            if own is not None and own_key is not None:
                examination.identity(own, own_key)
            examination.authorities("ca", ca)
    return examination.findings


def examine_dates(setting: str, path: Path, certificates: Iterable[x509.Certificate], now: float) -> list[Finding]:
    """Which certificates of a file are not valid now, or soon are no longer; none of it is fatal."""
    examination = _Examination(now)
    for certificate in certificates:
        examination.dates(setting, path, certificate, fatal=False)
    return examination.findings


class _Examination:
    """Reads files and collects what is wrong with them."""

    def __init__(self, now: float) -> None:
        self._now = now
        self.findings: list[Finding] = []

    def _find(self, setting: str, path: Path, text: str, hint: str, *, fatal: bool = True) -> None:
        self.findings.append(Finding(setting, path, fatal, text, hint))

    def identity(self, certificate: Path, key: Path, within: str = "") -> None:
        certificate_setting, key_setting = f"{within}certificate", f"{within}key"
        chain = self._certificates(certificate_setting, certificate)
        for link in chain:
            self.dates(certificate_setting, certificate, link, fatal=link is chain[0])
        content = self._content(key_setting, key)
        if content is None:
            return
        if key.stat().st_mode & stat.S_IRWXO:
            text = f"every user of this machine may read {key}"
            self._find(key_setting, key, text, "take the rights of others away: chmod o= FILE", fatal=False)
        try:
            private = load_pem_private_key(content, None)
        except TypeError:
            hint = "store it without a passphrase, readable by the gate's user only: nobody is there to type one"
            self._find(key_setting, key, f"expected a key without a passphrase, came {key} with one", hint)
        except (ValueError, UnsupportedAlgorithm):
            hint = "name the private key that the certificate was made for, as PEM"
            self._find(key_setting, key, f"expected a private key (PEM), came something else in {key}", hint)
        else:
            if chain and _spki(private.public_key()) != _spki(chain[0].public_key()):
                text = f"{key} is not the key of the first certificate in {certificate}"
                self._find(key_setting, key, text, "name the key it was made for; the gate's certificate stands first")

    def authorities(self, setting: str, path: Path) -> list[x509.Certificate]:
        found = self._certificates(setting, path)
        for authority in found:
            self.dates(setting, path, authority, fatal=False)
        return found

    def revocations(self, path: Path, authorities: list[x509.Certificate]) -> None:
        content = self._content("crl", path)
        if content is None:
            return
        try:
            lists = [x509.load_pem_x509_crl(block) for block in _CRL.findall(content)]
        except ValueError:
            lists = []
        if not lists:
            text, hint = f"expected revocation lists (PEM), came something else in {path}", "write one or more blocks"
            self._find("crl", path, text, f"{hint} that begin with -----BEGIN X509 CRL-----")
            return
        if _CERTIFICATE.search(content):
            text = f"expected revocation lists only, came certificates as well in {path}"
            self._find("crl", path, text, "take them out: every certificate in that file would vouch for clients")
        for each in lists:
            until = each.next_update_utc
            if until is not None and until.timestamp() < self._now:
                text = f"the revocation list of {each.issuer.rfc4514_string()} in {path} ended on {_day(until)}"
                self._find("crl", path, text, "fetch the current list: with an old one every client is refused")
        issuers = {each.issuer for each in lists}
        for authority in authorities:
            if authority.subject not in issuers:
                text = f"{path} has no revocation list of {authority.subject.rfc4514_string()}"
                hint = "add it, or clients that this authority vouches for are refused"
                self._find("crl", path, text, hint, fatal=False)

    def _content(self, setting: str, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
        except FileNotFoundError:
            self._find(setting, path, f"expected a file, but there is no {path}", "relative paths begin at this file")
        except OSError as error:
            text = f"expected a readable file, came {path}: {(error.strerror or 'unreadable').lower()}"
            self._find(setting, path, text, "let the user that runs the gate read it")
        else:
            if len(content) <= _LARGEST:
                return content
            self._find(setting, path, f"expected at most {_LARGEST} bytes, came more in {path}", "is it this file?")
        return None

    def _certificates(self, setting: str, path: Path) -> list[x509.Certificate]:
        content = self._content(setting, path)
        if content is None:
            return []
        try:
            return x509.load_pem_x509_certificates(content)
        except ValueError:
            hint = "write one or more blocks that begin with -----BEGIN CERTIFICATE-----"
            self._find(setting, path, f"expected certificates (PEM), came something else in {path}", hint)
            return []

    def dates(self, setting: str, path: Path, certificate: x509.Certificate, *, fatal: bool) -> None:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        who = f"the certificate of {certificate.subject.rfc4514_string() or 'nobody'} in {path}"
        if begins.timestamp() > self._now:
            self._find(setting, path, f"{who} is not valid before {_day(begins)}", "is the clock right?", fatal=fatal)
        left = (ends.timestamp() - self._now) / _DAY
        if left < 0:
            self._find(setting, path, f"{who} expired on {_day(ends)}", "renew it", fatal=fatal)
            return
        for days in WARN_DAYS:
            if left <= days:
                text = f"{who} expires within {days} {'day' if days == 1 else 'days'}, on {_day(ends)}"
                self._find(setting, path, text, "renew it; the gate takes a new file without a restart", fatal=False)
                return


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
