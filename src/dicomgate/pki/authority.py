"""The authority on disk: a folder in; its certificates, its lists and all it ever signed out; and each change of them.

The folder of an authority:

    root.pem issuing.pem    the two certificates; ca.pem holds both, for those who verify devices
    root.key.pem            the root's key; may be taken away, and should be
    issuing.key.pem         what signs devices and the list of revoked ones
    crl.pem                 the revocation lists of both, in one file so that a change is one rename
    issued/SERIAL/          one folder for each certificate: certificate.pem, key.pem, chain.pem, …
    devices/NAME            a link to the newest of a device in issued/

There is no index beside this, so none can disagree with it: what was signed is what has a `certificate.pem` in
issued/, and what is revoked is what crl.pem says. A folder in issued/ holds a file `pending` while it is not complete.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dicomgate.pki import files
from dicomgate.pki.certificates import (
    Revocation,
    Signer,
    holder_of,
    list_number,
    revocation_list,
    revocations,
)
from dicomgate.pki.keys import PrivateKey, is_encrypted, load_private, private_pem, spki_sha256
from dicomgate.pki.keystores import key_store, trust_store
from dicomgate.pki.names import Holder
from dicomgate.pki.passphrases import Ask
from dicomgate.pki.problem import PkiError, shown

ROOT, ISSUING, TRUST = "root.pem", "issuing.pem", "ca.pem"
ROOT_KEY, ISSUING_KEY = "root.key.pem", "issuing.key.pem"
LISTS = "crl.pem"
ISSUED, DEVICES = "issued", "devices"
KEY, CERTIFICATE, CHAIN = "key.pem", "certificate.pem", "chain.pem"
KEY_STORE, TRUST_STORE = "device.p12", "truststore.p12"
PENDING = "pending"

_SERIAL = re.compile(r"[0-9a-f]{40}")
_LIST = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


class State(StrEnum):
    """How a certificate stands at some moment."""

    VALID = "valid"
    NOT_YET_VALID = "not yet valid"
    EXPIRED = "expired"
    REVOKED = "revoked"

    @classmethod
    def between(cls, begin: datetime, end: datetime, now: datetime) -> "State":
        """By the dates alone."""
        if now < begin:
            return cls.NOT_YET_VALID
        return cls.EXPIRED if now > end else cls.VALID


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that this authority has signed, and its folder."""

    folder: Path
    certificate: x509.Certificate
    holder: Holder

    @property
    def serial(self) -> str:
        """The serial number, 40 hexadecimal digits."""
        return serial_text(self.certificate.serial_number)

    @property
    def sha256(self) -> str:
        """SHA-256 of the certificate in DER: changes with every renewal."""
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest()

    @property
    def spki(self) -> str:
        """SHA-256 of the public key: changes with a new key."""
        return spki_sha256(self.certificate.public_key())


@dataclass(frozen=True, slots=True)
class Authority:
    """All that an authority's folder says, read at one moment. No private key is in it."""

    folder: Path
    root: x509.Certificate
    issuing: x509.Certificate
    root_list: x509.CertificateRevocationList
    issuing_list: x509.CertificateRevocationList
    revoked: Mapping[int, Revocation]
    issued: tuple[Issued, ...]

    def state(self, certificate: x509.Certificate, now: datetime) -> State:
        """Revoked comes before expired: it says more."""
        if certificate.serial_number in self.revoked:
            return State.REVOKED
        return State.between(certificate.not_valid_before_utc, certificate.not_valid_after_utc, now)

    def current(self, name: str) -> Issued:
        """The certificate that a device's link points to."""
        path = self.folder / DEVICES / name
        with files.explained(path):
            serial = path.readlink().name if path.is_symlink() else None
        for one in self.issued:
            if one.serial == serial:
                return one
        raise PkiError(str(path), f"no device has the name {shown(name)}", "see dicomgate pki list")

    def of(self, name: str) -> list[Issued]:
        """Every certificate that was ever signed for a device."""
        return [one for one in self.issued if one.holder.name == name]


def serial_text(number: int) -> str:
    """A serial number as it is shown and as it names a folder."""
    return f"{number:040x}"


def load(folder: Path) -> Authority:
    """Read an authority; PkiError if a part is missing, unreadable or not signed by the one above it."""
    root = _certificate(folder / ROOT)
    issuing = _certificate(folder / ISSUING)
    _check_signed(root, root, folder / ROOT)
    _check_signed(issuing, root, folder / ISSUING)
    path = folder / LISTS
    lists = _lists(path)
    issuing_list = _list_of(issuing, lists, path)
    return Authority(
        folder,
        root,
        issuing,
        _list_of(root, lists, path),
        issuing_list,
        revocations(issuing_list),
        tuple(sorted(_all_issued(folder, issuing), key=_order)),
    )


@contextmanager
def changing(folder: Path, notes: list[str]) -> Iterator[Authority]:
    """Hold the lock, look after what an interrupted run left, and hand out the authority as it is then."""
    with files.explained(folder / ROOT):
        (folder / ROOT).stat()  # before a lock file is made in a folder that is no authority
    warning = files.check_folder(folder)
    notes.extend([warning] if warning else [])
    with files.locked(folder):
        notes.extend(_settle(folder))
        yield load(folder)


def issuing_signer(authority: Authority, ask: Ask) -> Signer:
    """The issuing authority with its key."""
    return _signer(authority.issuing, authority.folder / ISSUING_KEY, ask)


def root_signer(authority: Authority, path: Path, ask: Ask) -> Signer:
    """The root with its key, wherever that is kept."""
    return _signer(authority.root, path, ask)


def record(
    authority: Authority, certificate: x509.Certificate, key: PrivateKey | None, store_passphrase: bytes | None
) -> Issued:
    """Take a signed certificate into the index and put what the device needs beside it.

    Killed before `certificate.pem` is there: nothing was signed, and the next run sweeps up. Killed later: it is
    signed and known, and the next run finishes it, except for the key store, whose passphrase it does not have.
    """
    folder = authority.folder / ISSUED / serial_text(certificate.serial_number)
    files.make_folder(folder)
    files.write(folder / PENDING, b"with key store\n" if store_passphrase else b"", files.PRIVATE)
    if key is not None:
        files.write(folder / KEY, private_pem(key), files.PRIVATE)
    files.write(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM), files.PUBLIC)
    holder = holder_of(certificate)
    if store_passphrase is not None:
        authorities = [authority.issuing, authority.root]
        if key is not None:
            store = key_store(holder.name, key, certificate, authorities, store_passphrase)
            files.write(folder / KEY_STORE, store, files.PRIVATE)
        files.write(folder / TRUST_STORE, trust_store(authorities, store_passphrase), files.PRIVATE)
    _finish(authority.folder, folder, certificate)
    return Issued(folder, certificate, holder)


def revoke(authority: Authority, issuing: Signer, more: list[Revocation], now: datetime, days: int) -> Authority:
    """Replace the issuing authority's list by one that holds `more`, too."""
    listed = revocation_list(
        issuing, [*authority.revoked.values(), *more], list_number(authority.issuing_list) + 1, now, days
    )
    publish(authority.folder, listed, authority.root_list)
    return load(authority.folder)


def publish(folder: Path, issuing: x509.CertificateRevocationList, root: x509.CertificateRevocationList) -> None:
    """Both lists at one stroke."""
    files.write(folder / LISTS, issuing.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM), files.PUBLIC)


def _settle(folder: Path) -> list[str]:
    """Sweep up or finish what an interrupted run left in issued/. Says what it did."""
    said = []
    issuing = _certificate(folder / ISSUING)
    for entry in _entries(folder):
        pending = entry / PENDING
        if not (entry / CERTIFICATE).exists():
            _sweep(entry)
        elif pending.exists():
            (one,) = _all_issued(folder, issuing, entry)
            wanted_store = files.read(pending) != b""
            _finish(folder, entry, one.certificate)
            said.append(f"{one.holder.name}: certificate {one.serial} of an interrupted run is complete now")
            if wanted_store and not (entry / TRUST_STORE).exists():
                said.append(
                    f"{one.holder.name}: its PKCS#12 files are missing\n"
                    f"  hint: dicomgate pki renew {one.holder.name} --same-key --keystore-passphrase-file FILE"
                )
    return said


def _sweep(entry: Path) -> None:
    """Delete a folder without a certificate; `pending` last, so that this, too, may be interrupted."""
    content = {path.name for path in entry.iterdir()}
    if PENDING not in content and content - {PENDING + files.UNFINISHED}:
        raise PkiError(
            str(entry / CERTIFICATE), "does not exist", "restore it from a backup: this certificate was signed once"
        )
    for name in sorted(content - {PENDING}):
        files.remove(entry / name)
    if PENDING in content:
        files.remove(entry / PENDING)
    with files.explained(entry):
        entry.rmdir()
        files.flush_folder(entry.parent)


def _finish(authority: Path, folder: Path, certificate: x509.Certificate) -> None:
    """What can be derived: chain, trust and link. Done again it does no harm."""
    issuing = files.read(authority / ISSUING)
    files.write(folder / CHAIN, certificate.public_bytes(Encoding.PEM) + issuing, files.PUBLIC)
    files.write(folder / TRUST, issuing + files.read(authority / ROOT), files.PUBLIC)
    files.link(authority / DEVICES / holder_of(certificate).name, f"../{ISSUED}/{folder.name}")
    for left_over in folder.glob("*" + files.UNFINISHED):
        files.remove(left_over)
    files.remove(folder / PENDING)


def _entries(folder: Path) -> list[Path]:
    with files.explained(folder / ISSUED):
        return sorted(path for path in (folder / ISSUED).iterdir() if _SERIAL.fullmatch(path.name))


def _all_issued(folder: Path, issuing: x509.Certificate, *only: Path) -> Iterator[Issued]:
    for entry in only or _entries(folder):
        path = entry / CERTIFICATE
        if not path.exists():
            continue  # not signed yet
        certificate = _certificate(path)
        _check_signed(certificate, issuing, path)
        if serial_text(certificate.serial_number) != entry.name:
            raise PkiError(str(path), "its serial number is not the folder's name", "restore it from a backup")
        yield Issued(entry, certificate, holder_of(certificate))


def _order(one: Issued) -> tuple[str, datetime, str]:
    return one.holder.name, one.certificate.not_valid_before_utc, one.serial


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(files.read(path))
    except (ValueError, x509.InvalidVersion):
        raise PkiError(str(path), "expected a certificate in PEM", "restore it from a backup") from None


def _check_signed(certificate: x509.Certificate, by: x509.Certificate, path: Path) -> None:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise PkiError(
            str(path), "was not signed by this authority", "restore it from a backup; who could write here?"
        ) from None


def _lists(path: Path) -> list[x509.CertificateRevocationList]:
    try:
        return [x509.load_pem_x509_crl(pem + b"\n") for pem in _LIST.findall(files.read(path))]
    except (ValueError, x509.InvalidVersion):
        raise PkiError(str(path), "expected revocation lists in PEM", "restore it from a backup") from None


def _list_of(
    authority: x509.Certificate, lists: list[x509.CertificateRevocationList], path: Path
) -> x509.CertificateRevocationList:
    key = authority.public_key()
    for one in lists:
        if (
            isinstance(key, ec.EllipticCurvePublicKey)
            and one.issuer == authority.subject
            and one.is_signature_valid(key)
        ):
            return one
    raise PkiError(
        str(path),
        f"holds no revocation list that is signed by {authority.subject.rfc4514_string()}",
        "restore it from a backup: without it nobody knows what is revoked",
    )


def _signer(certificate: x509.Certificate, path: Path, ask: Ask) -> Signer:
    pem = files.read_secret(path)
    key = load_private(pem, ask(str(path)) if is_encrypted(pem) else None, str(path))
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise PkiError(
            str(path), f"is not the key of {certificate.subject.rfc4514_string()}", "is it another authority's key?"
        )
    return Signer(certificate, key)
