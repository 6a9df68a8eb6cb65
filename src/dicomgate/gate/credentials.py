"""The TLS contexts of one configuration, made anew when a file behind them changes. Files in, contexts out.

A context is replaced as a whole: handshakes begun before go on with the old one, later ones get the new one, and
running associations notice nothing. What cannot be used keeps the old context.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dicomgate.gate.settings import ClientTls, GateSettings, ServerTls
from dicomgate.gate.tls import TlsFilesError, client_context, server_context
from dicomgate.policy.verdict import Direction, Route

_LOOK_EVERY = 2.0
"""Seconds between two looks at the files."""
_KEEP = 3600.0
"""Seconds after which a context is made anew in any case: with it go the keys of the session tickets it gave out."""

Signature = tuple[tuple[int, ...] | None, ...]
Reported = Callable[[str, TlsFilesError | None], None]
"""Called with `listener[NAME]`, `archive[NAME]` or `peer[NAME]`: a new context is used (None), or the old one kept."""


@dataclass(slots=True)
class _Credential:
    tls: ServerTls | ClientTls
    context: ssl.SSLContext
    seen: Signature
    made: float


class Credentials:
    """`now` is seconds of one steady clock. TlsFilesError on construction: then there is nothing to fall back on."""

    def __init__(self, settings: GateSettings, now: float) -> None:
        self._next_look = now + _LOOK_EVERY
        self._held: dict[str, _Credential] = {}
        for listener in settings.listeners:
            if listener.tls is not None:
                self._held[f"listener[{listener.name}]"] = _made(listener.tls, now)
        for table, parties in (("archive", settings.archive_tls), ("peer", settings.peer_tls)):
            for name, tls in parties.items():
                self._held[f"{table}[{name}]"] = _made(tls, now)

    def of_listener(self, name: str) -> ssl.SSLContext | None:
        """What its clients are met with; None for plaintext."""
        held = self._held.get(f"listener[{name}]")
        return None if held is None else held.context

    def of_called(self, route: Route) -> ssl.SSLContext | None:
        """What the party at the end of this route is connected to with; None for plaintext."""
        table = "archive" if route.direction is Direction.TO_ARCHIVE else "peer"
        held = self._held.get(f"{table}[{route.name}]")
        return None if held is None else held.context

    def sweep(self, now: float, reported: Reported) -> None:
        """Look at the files now and then."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        for place, held in self._held.items():
            seen = _signature(held.tls)
            if seen == held.seen and now - held.made < _KEEP:
                continue
            changed = seen != held.seen
            # Whatever comes of it, these very files are not tried again before the hour is over.
            held.seen, held.made = seen, now
            try:
                held.context = _context(held.tls)
            except TlsFilesError as error:
                reported(place, error)
            else:
                if changed:
                    reported(place, None)


def _made(tls: ServerTls | ClientTls, now: float) -> _Credential:
    seen = _signature(tls)  # before reading: a change in between is seen as one
    return _Credential(tls, _context(tls), seen, now)


def _context(tls: ServerTls | ClientTls) -> ssl.SSLContext:
    return server_context(tls) if isinstance(tls, ServerTls) else client_context(tls)


def _signature(tls: ServerTls | ClientTls) -> Signature:
    """Changes when a file is written, replaced, moved, or given other rights."""
    paths: tuple[Path | None, ...]
    if isinstance(tls, ServerTls):
        named = (path for identity in tls.others for path in (identity.certificate, identity.key))
        paths = (tls.certificate, tls.key, tls.client_ca, tls.crl, *named)
    else:
        paths = (tls.certificate, tls.key, tls.ca)
    return tuple(_stamp(path) for path in paths if path is not None)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
