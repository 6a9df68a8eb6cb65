"""The sinks of a running gate: settings in, a spool with its outlet for each; started, replaced and ended here."""

import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, assert_never

from dicomgate.audit.patient import Reveal, reveal_nobody
from dicomgate.audit.record import Record
from dicomgate.audit.sink import CheckpointSource, RecordSource, SignedCheckpoint, Source, SourceError
from dicomgate.config.load import Configuration
from dicomgate.gate.settings import ClientTls
from dicomgate.gate.tls import TlsFilesError, client_context
from dicomgate.sinks.fhir_feed import RENEW, FhirOutlet
from dicomgate.sinks.jsonl import JsonlOutlet
from dicomgate.sinks.metrics import Labels
from dicomgate.sinks.settings import CheckpointSettings, FhirSettings, JsonlSettings, SinkSettings, SyslogSettings
from dicomgate.sinks.spool import DeliveryError, Outlet, PassedOver, Report, Spool
from dicomgate.sinks.syslog import SyslogOutlet
from dicomgate.sinks.witness import FileWitness, SyslogWitness, WebhookWitness
from dicomgate.sinks.words import spoken

T = TypeVar("T")
AnySpool = Spool[Record] | Spool[SignedCheckpoint]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """All that a spool depends on: when it changes, another one takes over."""

    settings: SinkSettings
    tls: ClientTls | None
    gate: str


@dataclass(frozen=True, slots=True)
class _Running:
    wanted: _Wanted
    spool: AnySpool


class Delivery:
    """`report`, `passed_over` and `reveal` are called on the threads of the spools; `reveal` only for sinks that are to
    name patients."""

    def __init__(
        self,
        source: RecordSource,
        checkpoints: CheckpointSource,
        report: Report,
        passed_over: PassedOver,
        reveal: Reveal = reveal_nobody,
    ) -> None:
        self._source = source
        self._checkpoints = checkpoints
        self._report = report
        self._passed_over = passed_over
        self._reveal = reveal
        self._running: dict[str, _Running] = {}
        self._leaving: list[AnySpool] = []
        self._applied = False

    def apply(self, configuration: Configuration, newcomer: int | None = None) -> None:
        """Run these sinks and no others; those that have not changed are not touched. Does not block.

        A sink that is new begins behind `newcomer`, the sequence of a record.
        """
        wanted = {
            each.name: _Wanted(each, configuration.sink_tls.get(each.name), configuration.settings.name)
            for each in configuration.sinks
        }
        before = self._running
        self._leaving = [spool for spool in self._leaving if not spool.join(0)]
        running: dict[str, _Running] = {}
        for name, each in wanted.items():
            held = before.get(name)
            if held is not None and held.wanted == each:
                running[name] = held
            else:
                running[name] = _Running(each, self._spool(each, newcomer, held))
        for name, held in before.items():
            if running.get(name) is not held:
                held.spool.end()
                self._leaving.append(held.spool)
        self._applied = True
        self._running = running  # replaced as a whole: the threads of the recorder and of the metrics look at it

    def needed(self) -> int | None:
        """The first record that a sink has still to read, also after a restart; None without sinks. From any thread."""
        if not self._applied:
            return 1  # which sinks there are is not known yet
        return min((each.spool.needed for each in self._running.values()), default=None)

    def wake(self) -> None:
        """Records were committed. From any thread."""
        for each in self._running.values():
            if not isinstance(each.wanted.settings, CheckpointSettings):
                each.spool.wake()

    def wake_witnesses(self) -> None:
        """A checkpoint was committed. From any thread."""
        for each in self._running.values():
            if isinstance(each.wanted.settings, CheckpointSettings):
                each.spool.wake()

    def close(self, timeout: float) -> list[str]:
        """Deliver what is in the store, at most for `timeout` seconds; the sinks that were not done by then."""
        spools = [*self._leaving, *(each.spool for each in self._running.values())]
        for spool in spools:
            spool.end()
        deadline = time.monotonic() + timeout
        return [spool.name for spool in spools if not spool.join(max(0.0, deadline - time.monotonic()))]

    def up(self) -> Iterable[tuple[Labels, float]]:
        return [((name,), float(each.spool.failing is None)) for name, each in self._running.items()]

    def behind(self) -> Iterable[tuple[Labels, float]]:
        for name, each in self._running.items():
            try:
                yield (name,), each.spool.behind()
            except SourceError:
                return  # dicomgate_store_up says so

    def failures(self) -> Iterable[tuple[Labels, float]]:
        return [((name,), each.spool.failures) for name, each in self._running.items()]

    def passed_over(self) -> Iterable[tuple[Labels, float]]:
        return [((name,), each.spool.passed_over) for name, each in self._running.items()]

    def _spool(self, wanted: _Wanted, newcomer: int | None, before: _Running | None) -> AnySpool:
        settings = wanted.settings
        if isinstance(settings, CheckpointSettings):
            return self._following(self._checkpoints, _witness(settings, wanted.tls), settings, newcomer, before)
        return self._following(self._source, _outlet(settings, wanted, self._reveal), settings, newcomer, before)

    def _following(
        self,
        source: Source[T],
        outlet: Outlet[T],
        settings: SinkSettings,
        newcomer: int | None,
        before: _Running | None,
    ) -> Spool[T]:
        return Spool(
            settings.name,
            source,
            outlet,
            self._report,
            self._passed_over,
            replay=settings.replay,
            newcomer=newcomer,
            after=None if before is None else before.spool,
        )


def _outlet(settings: SyslogSettings | FhirSettings | JsonlSettings, wanted: _Wanted, reveal: Reveal) -> Outlet[Record]:
    match settings:
        case SyslogSettings(_, addresses, message_id, bom, patient_ids=named):
            known = reveal if named else reveal_nobody
            tls = _mutual(wanted.tls)
            return SyslogOutlet(addresses, tls, wanted.gate, message_id=message_id, bom=bom, reveal=known)
        case FhirSettings(_, url, together, token_file, patient_ids=named):
            known = reveal if named else reveal_nobody
            context = _https(url, wanted.tls)
            return FhirOutlet(url, context, wanted.gate, together=together, token_file=token_file, reveal=known)
        case JsonlSettings(_, file):
            return JsonlOutlet(file, wanted.gate)
        case impossible:
            assert_never(impossible)


def _witness(settings: CheckpointSettings, tls: ClientTls | None) -> Outlet[SignedCheckpoint]:
    if settings.file is not None:
        return FileWitness(settings.file)
    if settings.url is not None:
        return WebhookWitness(settings.url, _https(settings.url, tls), token_file=settings.token_file)
    return SyslogWitness(settings.addresses, _mutual(tls))


def _mutual(tls: ClientTls | None) -> Callable[[], ssl.SSLContext] | None:
    """As the settings say; None is plaintext."""
    return None if tls is None else _Context(tls)


def _https(url: str, tls: ClientTls | None) -> Callable[[], ssl.SSLContext] | None:
    if url.startswith("http://"):
        return None
    return ssl.create_default_context if tls is None else _Context(tls)


class _Context:
    """Made of the files as they are now: they may have been renewed since the last connection.

    Reading and examining them takes longer than a connection, so what was made is used until one of them changes.
    """

    def __init__(self, tls: ClientTls) -> None:
        self._tls = tls
        self._files = [path for path in (tls.ca, tls.certificate, tls.key) if path is not None]
        self._made: ssl.SSLContext | None = None
        self._of: list[tuple[int, int, int]] = []
        self._at = 0.0

    def __call__(self) -> ssl.SSLContext:
        try:
            now, of = time.monotonic(), [_version(path) for path in self._files]
            if self._made is None or of != self._of or now - self._at >= RENEW:
                self._made, self._of, self._at = client_context(self._tls, protocols=()), of, now
        except TlsFilesError as error:
            raise DeliveryError(f"cannot speak TLS with {error.path}: {error.text}") from None
        except OSError as error:
            raise DeliveryError(f"cannot speak TLS with {error.filename}: {spoken(error)}") from None
        return self._made


def _version(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
