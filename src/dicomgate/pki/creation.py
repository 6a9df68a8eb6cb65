"""A new authority: its name and bounds in; a complete folder out, or none."""

import os
import shutil
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dicomgate.pki import files
from dicomgate.pki.authority import (
    DEVICES,
    ISSUED,
    ISSUING,
    ISSUING_KEY,
    ROOT,
    ROOT_KEY,
    TRUST,
    publish,
)
from dicomgate.pki.certificates import Signer, issuing_certificate, revocation_list, root_certificate
from dicomgate.pki.keys import private_pem
from dicomgate.pki.names import Permitted
from dicomgate.pki.problem import PkiError
from dicomgate.pki.words import Validity

UNFINISHED = ".unfinished"


def create(
    folder: Path,
    root_key: Path | None,
    site: str,
    permitted: Permitted | None,
    passphrase: bytes | None,
    validity: Validity,
    now: datetime,
) -> None:
    """Make an authority. All is written into a folder beside it that gets its name at the end.

    `root_key`: where else to put the root's key, such as a stick that is kept in a safe.
    """
    if validity.issuing > validity.root:
        raise PkiError(
            "--issuing-days", "the issuing authority would outlive the root", f"give at most {validity.root} days"
        )
    if folder.exists():
        raise PkiError(str(folder), "exists already", "give the name of a new folder; nothing is overwritten")
    if root_key is not None and root_key.exists():
        raise PkiError(str(root_key), "exists already", "nothing is overwritten; if an earlier init ended, delete it")
    beside = folder.parent / f".{folder.name}{UNFINISHED}"
    if not beside.exists():
        files.make_folder(beside)
    with files.locked(beside):
        _sweep(beside)
        try:
            _fill(beside, site, permitted, passphrase, validity, now, root_key or beside / ROOT_KEY)
            files.move_folder(beside, folder)
        except BaseException:
            # A key that nothing was signed with but what is deleted here must not lie around.
            with suppress(OSError):
                shutil.rmtree(beside)
            with suppress(OSError):
                (root_key or beside / ROOT_KEY).unlink()
            raise


def _fill(
    folder: Path,
    site: str,
    permitted: Permitted | None,
    passphrase: bytes | None,
    validity: Validity,
    now: datetime,
    root_key: Path,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = Signer(root_certificate(site, key, now, validity.root), key)
    below = ec.generate_private_key(ec.SECP256R1())
    issuing = Signer(issuing_certificate(site, below.public_key(), root, permitted, now, validity.issuing), below)
    files.make_folder(folder / ISSUED)
    files.make_folder(folder / DEVICES)
    files.write(folder / ISSUING_KEY, private_pem(issuing.key, passphrase), files.PRIVATE)
    for name, certificates in {
        ROOT: [root.certificate],
        ISSUING: [issuing.certificate],
        TRUST: [issuing.certificate, root.certificate],
    }.items():
        files.write(folder / name, b"".join(_pem(one) for one in certificates), files.PUBLIC)
    publish(
        folder,
        revocation_list(issuing, [], 1, now, validity.issuing_list),
        revocation_list(root, [], 1, now, validity.root_list),
    )
    files.write(root_key, private_pem(root.key, passphrase), files.PRIVATE)


def _sweep(folder: Path) -> None:
    """What an init left that was killed. Nobody is at work on it: we hold its lock."""
    with files.explained(folder):
        for path in folder.iterdir():
            if path.name == files.LOCK:
                continue
            if path.is_dir():
                os.rmdir(path)
            else:
                path.unlink()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
