"""An authority for tests and short words for what is done with it. In: a folder; out: reports, certificates, errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dicomgate.pki import commands
from dicomgate.pki.authority import Authority, Issued, load
from dicomgate.pki.commands import Report
from dicomgate.pki.names import Holder
from dicomgate.pki.passphrases import Ask, asking, choosing
from dicomgate.pki.words import KeyKind, Usage, Validity

NOW = datetime.now(UTC).replace(microsecond=0)
"""The real time: openssl and TLS libraries look at the real clock."""
PERMIT = ["north.example", "localhost", "127.0.0.0/8"]
NOBODY = asking(None)
"""Fails when a passphrase is asked for: tests have no terminal."""


def secret(path: Path, text: str) -> Path:
    """A file with a passphrase."""
    path.write_text(text + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


@dataclass(frozen=True, slots=True)
class Site:
    """An authority in a folder."""

    folder: Path

    def load(self) -> Authority:
        return load(self.folder)

    def issue(
        self,
        name: str = "ct-1",
        ae: str = "CT1",
        host: str | None = "ct1.north.example",
        address: str | None = None,
        usage: Usage = Usage.BOTH,
        *,
        at: datetime = NOW,
        ask: Ask = NOBODY,
        days: int = 30,
        kind: KeyKind = KeyKind.ECDSA,
        p12: Path | None = None,
    ) -> Report:
        holder = Holder.of(name, [ae] if ae else [], [host] if host else [], [address] if address else [], usage)
        choose = choosing(p12) if p12 else None
        return commands.issue(self.folder, holder, now=at, ask=ask, days=days, kind=kind, choose_keystore=choose)

    def renew(self, name: str = "ct-1", *, at: datetime = NOW, **more: object) -> Report:
        return commands.renew(self.folder, name, now=at, ask=NOBODY, days=30, **more)  # type: ignore[arg-type]

    def revoke(self, target: str, *, at: datetime = NOW, **more: object) -> Report:
        return commands.revoke_device(self.folder, target, now=at, ask=NOBODY, **more)  # type: ignore[arg-type]

    def current(self, name: str = "ct-1") -> Issued:
        return self.load().current(name)

    def device(self, name: str, file: str) -> Path:
        return self.folder / "devices" / name / file


def site(
    folder: Path, *, permit: list[str] | None = None, at: datetime = NOW, validity: Validity | None = None
) -> Site:
    """A new authority without a passphrase."""
    commands.init(folder, name="North Clinic", permit=permit or PERMIT, now=at, validity=validity)
    return Site(folder)


def days(count: float) -> timedelta:
    return timedelta(days=count)
