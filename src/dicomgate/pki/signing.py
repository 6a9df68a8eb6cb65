"""A device's certificate: an authority, names and a key in; a recorded certificate out, or what stands against it."""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from dicomgate.pki.authority import (
    ISSUING,
    LISTS,
    ROOT,
    Authority,
    Issued,
    State,
    issuing_signer,
    record,
)
from dicomgate.pki.certificates import device_certificate, permitted_by, utc
from dicomgate.pki.keys import PrivateKey, PublicKey, spki_sha256
from dicomgate.pki.names import Holder
from dicomgate.pki.passphrases import Ask
from dicomgate.pki.problem import PkiError, shown


def sign(
    authority: Authority,
    holder: Holder,
    key: PrivateKey | None,
    public: PublicKey,
    days: int,
    now: datetime,
    ask: Ask,
    choose_keystore: Ask | None,
    notes: list[str],
) -> Issued:
    """The one place where devices are signed; all that could be wrong is looked at before.

    `key` is None when the device keeps it. Passphrases are asked for last: who has typed one should not see an error
    that was there before.
    """
    check_clock(authority, now)
    _check_end(authority, now, days)
    permitted = permitted_by(authority.issuing)
    if permitted is not None:
        permitted.check(holder)
    _check_key(authority, holder, public)
    notes.extend(_shared(authority, holder, now))
    store_passphrase = choose_keystore("the PKCS#12 files of the device") if choose_keystore else None
    signer = issuing_signer(authority, ask)
    certificate = device_certificate(holder, public, signer, x509.random_serial_number(), now, days)
    one = record(authority, certificate, key, store_passphrase)
    notes.append(f"{holder.name}: certificate {one.serial}, until {utc(certificate.not_valid_after_utc)}")
    return one


def check_free(authority: Authority, name: str, now: datetime) -> None:
    for one in authority.of(name):
        if authority.state(one.certificate, now) in (State.VALID, State.NOT_YET_VALID):
            raise PkiError(
                name,
                f"has a certificate already: {one.serial}, until {utc(one.certificate.not_valid_after_utc)}",
                f"dicomgate pki renew {name}, or show {name} for its lines, or revoke {name} first",
            )


def check_clock(authority: Authority, now: datetime) -> None:
    """Nothing is signed before, or long after, what the authority says of itself."""
    for certificate, name in ((authority.root, ROOT), (authority.issuing, ISSUING)):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begin:
            raise PkiError(
                str(authority.folder / name),
                f"begins at {utc(begin)}, and this machine's clock says {utc(now)}",
                "set the clock; certificates of a wrong time are of no use",
            )
        if now > end:
            raise PkiError(
                str(authority.folder / name),
                f"has ended at {utc(end)}; this machine's clock says {utc(now)}",
                "is the clock right? Otherwise begin a new authority with pki init, and let all trust both for a while",
            )
    latest = authority.issuing_list.last_update_utc
    if now < latest:
        raise PkiError(
            str(authority.folder / LISTS),
            f"was signed after {utc(latest)}, and this machine's clock says {utc(now)}",
            "the clock went back; set it",
        )


def _check_end(authority: Authority, now: datetime, days: int) -> None:
    left = (authority.issuing.not_valid_after_utc - now).days
    if not 1 <= days <= left:
        raise PkiError(
            "--days",
            f"expected 1 to {left} days, came {days}: the issuing authority ends then",
            f"give at most --days {left}, or begin a new authority with pki init",
        )


def _check_key(authority: Authority, holder: Holder, key: PublicKey) -> None:
    """One key proves one device, and a key that was revoked proves nobody: except one whose certificate was renewed."""
    wanted = spki_sha256(key)
    if wanted in (spki_sha256(authority.root.public_key()), spki_sha256(authority.issuing.public_key())):
        raise PkiError(holder.name, "the key is an authority's own", "make a key on the device")
    for one in authority.issued:
        if one.spki != wanted:
            continue
        revocation = authority.revoked.get(one.certificate.serial_number)
        if revocation is not None and revocation.reason is not x509.ReasonFlags.superseded:
            raise PkiError(holder.name, f"the key belongs to the revoked certificate {one.serial}", "make a new key")
        if one.holder.name != holder.name:
            raise PkiError(
                holder.name, f"the key belongs to {one.holder.name} already", "make a key on each device of its own"
            )


def _shared(authority: Authority, holder: Holder, now: datetime) -> Iterator[str]:
    """Names that another device has, too: a rule that goes by one of them lets both in."""
    mine = {*holder.ae_titles, *holder.hosts, *map(str, holder.addresses)}
    for one in authority.issued:
        if one.holder.name == holder.name or authority.state(one.certificate, now) is not State.VALID:
            continue
        theirs = {*one.holder.ae_titles, *one.holder.hosts, *map(str, one.holder.addresses)}
        for name in sorted(mine & theirs):
            yield f"{holder.name}: warning: {shown(name)} is also in the certificate of {one.holder.name}"
