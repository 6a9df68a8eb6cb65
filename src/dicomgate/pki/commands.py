"""What `dicomgate pki` can do: parsed arguments and the time in; lines for stdout and notes for stderr out."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from dicomgate.pki import files
from dicomgate.pki.authority import (
    DEVICES,
    ISSUING_KEY,
    KEY,
    LISTS,
    ROOT_KEY,
    TRUST,
    TRUST_STORE,
    Authority,
    Issued,
    State,
    changing,
    issuing_signer,
    load,
    publish,
    revoke,
    root_signer,
)
from dicomgate.pki.certificates import (
    Revocation,
    list_days,
    list_end,
    list_number,
    revocation_list,
    utc,
)
from dicomgate.pki.creation import create
from dicomgate.pki.instructions import instructions
from dicomgate.pki.keys import PrivateKey, PublicKey, accepted, generate, load_private
from dicomgate.pki.listing import rows, table, warnings
from dicomgate.pki.names import Holder, Permitted, device_name, site_name
from dicomgate.pki.passphrases import Ask
from dicomgate.pki.problem import PkiError, shown
from dicomgate.pki.requests import LARGEST_REQUEST, requested_key
from dicomgate.pki.signing import check_clock, check_free, sign
from dicomgate.pki.words import DEVICE_DAYS, KeyKind, Reason, Validity

_FLAGS = {
    Reason.UNSPECIFIED: x509.ReasonFlags.unspecified,
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    Reason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
}


@dataclass(frozen=True, slots=True)
class Report:
    """`lines` are data; `notes` are talk, warnings among them. No secret is in either."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]


def init(
    folder: Path,
    *,
    name: str,
    permit: list[str],
    now: datetime,
    choose: Ask | None = None,
    root_key: Path | None = None,
    validity: Validity | None = None,
) -> Report:
    """Make a root and an issuing authority. `choose` asks for a new passphrase; None leaves the keys unencrypted."""
    site = site_name(name)
    permitted = Permitted.of(permit)
    passphrase = choose("the authority's keys") if choose else None
    create(folder, root_key, site, permitted, passphrase, validity or Validity(), now)
    where = root_key or folder / ROOT_KEY
    bounds = "anything" if permitted is None else ", ".join([*permitted.suffixes, *map(str, permitted.networks)])
    notes = [f"{where}: keep it away from this machine; it is needed once a year, for pki crl"]
    if passphrase is None:
        notes.append(
            f"{folder / ISSUING_KEY}: warning: whoever can read it can be any device\n"
            "  hint: --passphrase or --passphrase-file encrypts both keys"
        )
    if permitted is None:
        notes.append("warning: this authority may vouch for any name, on your devices that trust it")
    return Report(
        (
            f"{folder / TRUST}  what devices and the gate shall trust",
            f"{folder / LISTS}  what is revoked; renew it with pki crl before it ends",
            f"may vouch for {bounds}",
        ),
        tuple(notes),
    )


def issue(
    folder: Path,
    holder: Holder,
    *,
    now: datetime,
    ask: Ask,
    days: int = DEVICE_DAYS,
    kind: KeyKind = KeyKind.ECDSA,
    choose_keystore: Ask | None = None,
) -> Report:
    """Make a key and a certificate for a device. `choose_keystore`: also write PKCS#12 under this passphrase."""
    notes: list[str] = []
    with changing(folder, notes) as authority:
        check_free(authority, holder.name, now)
        key = generate(kind)
        one = sign(authority, holder, key, key.public_key(), days, now, ask, choose_keystore, notes)
    return _told(folder, one, notes)


def sign_request(
    folder: Path, request: Path, holder: Holder, *, now: datetime, ask: Ask, days: int = DEVICE_DAYS
) -> Report:
    """Sign a device's own request: its key is taken, nothing else."""
    notes: list[str] = []
    key = _requested(request)
    with changing(folder, notes) as authority:
        check_free(authority, holder.name, now)
        one = sign(authority, holder, None, key, days, now, ask, None, notes)
    return _told(folder, one, notes)


def renew(
    folder: Path,
    name: str,
    *,
    now: datetime,
    ask: Ask,
    days: int = DEVICE_DAYS,
    same_key: bool = False,
    request: Path | None = None,
    choose_keystore: Ask | None = None,
) -> Report:
    """A new certificate with the names of the present one: with a new key, the same, or that of a new request."""
    notes: list[str] = []
    fresh = _requested(request) if request else None
    with changing(folder, notes) as authority:
        old = authority.current(device_name(name))
        if authority.state(old.certificate, now) is State.REVOKED:
            raise PkiError(
                name,
                f"certificate {old.serial} is revoked",
                f"dicomgate pki revoke {name}, if others of it are left, and then issue anew",
            )
        held = (old.folder / KEY).exists()
        if not held and fresh is None and not same_key:
            raise PkiError(name, "the device made its key itself", "give its new request with --csr, or --same-key")
        key: PrivateKey | None = None
        if fresh is None:
            if not same_key:
                is_rsa = isinstance(old.certificate.public_key(), rsa.RSAPublicKey)
                key = generate(KeyKind.RSA if is_rsa else KeyKind.ECDSA)
            elif held:
                key = load_private(files.read_secret(old.folder / KEY), None, str(old.folder / KEY))
            fresh = key.public_key() if key else accepted(old.certificate.public_key(), str(old.folder))
        one = sign(authority, old.holder, key, fresh, days, now, ask, choose_keystore, notes)
    until = utc(old.certificate.not_valid_after_utc)
    if choose_keystore is None and (old.folder / TRUST_STORE).exists():
        notes.append(f"{name}: there are no PKCS#12 files for the new one\n  hint: --keystore-passphrase-file FILE")
    notes.append(
        f"{name}: the certificate before this one is valid until {until}\n"
        f"  hint: when the device has the new one: dicomgate pki revoke {old.serial} --reason superseded"
    )
    return _told(folder, one, notes)


def revoke_device(folder: Path, target: str, *, now: datetime, ask: Ask, reason: Reason = Reason.UNSPECIFIED) -> Report:
    """Revoke one certificate by its serial number, or all of a device that have not ended by its name."""
    notes: list[str] = []
    with changing(folder, notes) as authority:
        check_clock(authority, now)
        found = _targets(authority, target, now)
        signer = issuing_signer(authority, ask)
        more = [Revocation(one.certificate.serial_number, now, _FLAGS[reason]) for one in found]
        changed = revoke(authority, signer, more, now, list_days(authority.issuing_list))
    lines = [f"revoked {one.serial} {one.holder.name}" for one in found]
    end = utc(list_end(changed.issuing_list))
    lines.append(f"{folder / LISTS}  number {list_number(changed.issuing_list)}, until {end}")
    notes.append("it takes effect where this list is read: copy it to the gate and to every device that checks lists")
    return Report(tuple(lines), tuple(notes))


def refresh_lists(
    folder: Path, *, now: datetime, ask: Ask, days: int | None = None, root_key: Path | None = None
) -> Report:
    """New revocation lists: the issuing authority's always, the root's if its key is there."""
    notes: list[str] = []
    with changing(folder, notes) as authority:
        check_clock(authority, now)
        signer = issuing_signer(authority, ask)
        number = list_number(authority.issuing_list) + 1
        span = days or list_days(authority.issuing_list)
        issuing_list = revocation_list(signer, authority.revoked.values(), number, now, span)
        root_list = authority.root_list
        path = root_key or folder / ROOT_KEY
        if root_key is not None or path.exists():
            root = root_signer(authority, path, ask)
            root_list = revocation_list(root, [], list_number(root_list) + 1, now, Validity().root_list)
        else:
            notes.append(f"the root's list is as it was: its key is not at {path}\n  hint: --root-key FILE")
        publish(folder, issuing_list, root_list)
    return Report(
        tuple(
            f"{folder / LISTS}  {whose}: number {list_number(listed)}, until {utc(list_end(listed))}"
            for whose, listed in (("issuing", issuing_list), ("root", root_list))
        ),
        tuple(notes),
    )


def show(folder: Path, name: str, *, now: datetime) -> Report:
    """The lines of `issue` once more."""
    authority = load(folder)
    one = authority.current(device_name(name))
    state = authority.state(one.certificate, now)
    return _told(folder, one, [] if state is State.VALID else [f"{name}: warning: certificate {one.serial} is {state}"])


def listing(folder: Path, *, now: datetime, as_json: bool = False) -> Report:
    """The authorities, their lists and every certificate, with the days that are left. Takes no lock."""
    authority = load(folder)
    found = rows(authority, now)
    return Report(
        tuple(row.as_json() for row in found) if as_json else tuple(table(found)), tuple(warnings(authority, now))
    )


def _told(folder: Path, one: Issued, notes: list[str]) -> Report:
    return Report(tuple(instructions(one, folder / DEVICES / one.holder.name)), tuple(notes))


def _requested(path: Path) -> PublicKey:
    data = files.read(path)
    if len(data) > LARGEST_REQUEST:
        raise PkiError(str(path), f"expected at most {LARGEST_REQUEST} bytes, came {len(data)}", "is it a request?")
    return requested_key(data, str(path))


def _targets(authority: Authority, target: str, now: datetime) -> list[Issued]:
    serial = target.lower().replace(":", "")
    by_serial = [one for one in authority.issued if one.serial == serial.zfill(40)]
    known = by_serial or authority.of(target)
    if not known:
        raise PkiError(shown(target), "is neither a device nor a serial number here", "see dicomgate pki list")
    found = [
        one
        for one in known
        if one.certificate.serial_number not in authority.revoked
        and (by_serial or one.certificate.not_valid_after_utc >= now)
    ]
    if not found:
        raise PkiError(shown(target), "has nothing left to revoke", "see dicomgate pki list")
    return found
