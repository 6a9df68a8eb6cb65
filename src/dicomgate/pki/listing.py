"""What an authority has signed and how long it holds: an authority and the time in; rows for eyes and programs out."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from cryptography import x509

from dicomgate.pki.authority import Authority, Issued, State, serial_text
from dicomgate.pki.certificates import list_end, list_number, site_of, utc

WARNING_DAYS = 30
"""Long enough for a visit to a modality in another building."""
LIST_WARNING_DAYS = 7
"""An authority's list is made for 30 days by default."""


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate or one revocation list. Times are UTC; `serial` of a list is its number."""

    kind: str
    name: str
    state: str
    days_left: int
    not_before: str
    not_after: str
    serial: str
    ae_titles: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    usage: str | None = None
    sha256: str | None = None
    spki: str | None = None
    revoked_at: str | None = None
    reason: str | None = None

    def as_json(self) -> str:
        """One object in one line, every field present."""
        return json.dumps(asdict(self), ensure_ascii=False)


COLUMNS = ("KIND", "NAME", "STATE", "DAYS LEFT", "AE TITLES", "SERIAL")


def rows(authority: Authority, now: datetime) -> list[Row]:
    """The two authorities, their two lists, then devices by name and age."""
    return [
        _authority(authority.root, "root", now),
        _authority(authority.issuing, "issuing", now),
        _list(authority.root_list, "root-crl", authority, now),
        _list(authority.issuing_list, "issuing-crl", authority, now),
        *(_device(one, authority, now) for one in authority.issued),
    ]


def table(all_rows: list[Row]) -> list[str]:
    """The rows for the eye."""
    cells = [COLUMNS, *(_cells(row) for row in all_rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def warnings(authority: Authority, now: datetime) -> list[str]:
    """What ends soon or has ended, and nothing has taken its place."""
    found = rows(authority, now)
    newest = {row.name: row for row in found if row.kind == "device" and row.state != State.REVOKED}
    watched = [*(row for row in found if row.kind != "device"), *newest.values()]
    return [
        f"{row.name}: warning: {row.kind} {'ends' if row.days_left >= 0 else 'has ended'} at {row.not_after}"
        for row in watched
        if row.days_left <= (LIST_WARNING_DAYS if row.kind.endswith("-crl") else WARNING_DAYS)
    ]


def _cells(row: Row) -> tuple[str, ...]:
    return (row.kind, row.name, row.state, str(row.days_left), ", ".join(row.ae_titles) or "-", row.serial)


def _authority(certificate: x509.Certificate, kind: str, now: datetime) -> Row:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    serial = serial_text(certificate.serial_number)
    return Row(
        kind, site_of(certificate), State.between(begin, end, now), (end - now).days, utc(begin), utc(end), serial
    )


def _list(listed: x509.CertificateRevocationList, kind: str, authority: Authority, now: datetime) -> Row:
    begin, end = listed.last_update_utc, list_end(listed)
    site, number = site_of(authority.root), str(list_number(listed))
    return Row(kind, site, State.between(begin, end, now), (end - now).days, utc(begin), utc(end), number)


def _device(one: Issued, authority: Authority, now: datetime) -> Row:
    begin, end = one.certificate.not_valid_before_utc, one.certificate.not_valid_after_utc
    revocation = authority.revoked.get(one.certificate.serial_number)
    return Row(
        "device",
        one.holder.name,
        authority.state(one.certificate, now),
        (end - now).days,
        utc(begin),
        utc(end),
        one.serial,
        one.holder.ae_titles,
        one.holder.hosts,
        tuple(map(str, one.holder.addresses)),
        one.holder.usage,
        one.sha256,
        one.spki,
        utc(revocation.at) if revocation else None,
        revocation.reason.value if revocation else None,
    )
