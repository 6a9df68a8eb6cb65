"""What a gate says of itself over HTTP: metrics, health, readiness. The readings are put together here."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from dicomgate import __version__
from dicomgate.audit.sink import RecordSink, SourceError
from dicomgate.channel.watch import Watcher
from dicomgate.cli.delivery import Delivery
from dicomgate.config.load import Configuration
from dicomgate.gate.certificates import read_certificate
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.policy.model import Endpoint
from dicomgate.sinks.http import HttpServer, Page, Routes
from dicomgate.sinks.metrics import CONTENT_TYPE, Exposition, Gauges, Labels, Metric, Reading, Tally
from dicomgate.store.ban_keeper import BanKeeper

KEY_SET = "/.well-known/jwks.json"
"""Where the keys of the tokens that the gate signs are served."""
STUCK = 10.0
"""Seconds without a turn of the event loop, after which the gate is neither healthy nor ready."""
_DAY = 86400.0
Readings = Iterable[tuple[Labels, float]]


@dataclass
class Observed:
    """What the readings look at."""

    gate: Gate
    store: RecordSink
    delivery: Delivery
    tally: Tally
    configuration: Configuration
    channels: Watcher
    newest_checkpoint: Callable[[], float | None]
    """When it was signed, in seconds since 1970; None: there is none. SourceError when the store cannot be asked."""
    bans: BanKeeper

    def __post_init__(self) -> None:
        self._name()

    def use(self, configuration: Configuration) -> None:
        """A reload was taken: its sinks, and its names as labels."""
        self.configuration = configuration
        self._name()
        self.delivery.apply(configuration)

    def _name(self) -> None:
        rules = self.configuration.settings.rules
        self.tally.name((peer.name for peer in rules.peers), (archive.name for archive in rules.archives))

    def problems(self) -> list[str]:
        """Why the gate should get no associations now."""
        found = [] if self.gate.listening else ["the listeners are not open"]
        if self.store.failing is not None:
            found.append("records cannot be kept")
        if self.gate.idle_for > STUCK:
            found.append(f"the event loop has not turned for {self.gate.idle_for:.0f} s")
        return found

    def readings(self) -> Mapping[Metric, Reading]:
        return {
            Gauges.RUNNING: lambda: _one(self.gate.associations.total),
            Gauges.HALF_OPEN: lambda: _one(len(self.gate.half_open)),
            Gauges.ARCHIVE_RUNNING: self._archive_associations,
            Gauges.ARCHIVE_UP: self._archives_up,
            Gauges.CERTIFICATE_DAYS: self._certificate_days,
            Gauges.STORE_UP: lambda: _one(self.store.failing is None),
            Gauges.READY: lambda: _one(not self.problems()),
            Gauges.SINK_UP: self.delivery.up,
            Gauges.SINK_BEHIND: self.delivery.behind,
            Gauges.SINK_FAILURES: self.delivery.failures,
            Gauges.SINK_PASSED_OVER: self.delivery.passed_over,
            Gauges.CHANNEL_UP: self._channels_up,
            Gauges.BANS: lambda: _one(len(self.gate.bans)),
            Gauges.BANS_WAITING: lambda: _one(self.bans.waiting),
            Gauges.CHECKPOINT_AGE: self._checkpoint_age,
            Gauges.BUILD: lambda: [((__version__,), 1.0)],
        }

    def _archive_associations(self) -> Readings:
        archives = self.configuration.settings.rules.archives
        return [((each.name,), self.gate.associations.of_archive(each.name)) for each in archives]

    def _archives_up(self) -> Readings:
        archives = self.configuration.settings.rules.archives
        return [((each.name,), not self.gate.upstreams.all_failed(each.endpoints)) for each in archives]

    def _channels_up(self) -> Readings:
        ours = [each for each in self.configuration.channels if each.own is not None]
        return [((each.name,), self.channels.is_up(each)) for each in ours]

    def _checkpoint_age(self) -> Readings:
        try:
            newest = self.newest_checkpoint()
        except SourceError:
            return []  # dicomgate_store_up says so
        return [] if newest is None else _one(max(0.0, time.time() - newest))

    def _certificate_days(self) -> Readings:
        now = time.time()
        for place, path in _certificates(self.configuration):
            try:
                yield (place,), (read_certificate(path).not_after - now) / _DAY
            except (OSError, ValueError):
                continue  # being replaced at this moment, or gone: the log says tls_reload_failed


def key_set_page(key_set: Callable[[], Mapping[str, object]]) -> Page:
    """What archives verify the gate's own tokens with."""
    return Page(json.dumps(key_set()).encode(), "application/jwk-set+json")


class MetricsServer:
    """Serves where the configuration says; `more` are further routes, by path."""

    def __init__(self, observed: Observed, journal: Journal, more: Routes | None = None) -> None:
        self._journal = journal
        exposition = Exposition(observed.tally, observed.readings())
        self._routes: Routes = {
            "/metrics": lambda: Page(exposition.text(), CONTENT_TYPE),
            "/healthz": lambda: _health([] if observed.gate.idle_for <= STUCK else ["stuck"], "alive"),
            "/readyz": lambda: _health(observed.problems(), "ready"),
            **(more or {}),
        }
        self._server: HttpServer | None = None

    def prepare(self, bind: Endpoint | None) -> HttpServer | None:
        """Open what is not open yet, so that nothing can fail later. OSError when the address cannot be had."""
        if bind is None or (self._server is not None and self._server.bind == bind):
            return self._server if bind is not None else None
        return HttpServer(bind, self._routes, lambda kind: self._journal.say("error", "metrics_bug", kind=kind))

    def use(self, prepared: HttpServer | None) -> None:
        """Serve there from now on, and nowhere else."""
        before, self._server = self._server, prepared
        if before is not prepared:
            if before is not None:
                before.close()
            if prepared is not None:
                self._journal.say("info", "metrics_listening", address=prepared.address)

    def discard(self, prepared: HttpServer | None) -> None:
        """What was prepared is not wanted after all."""
        if prepared is not None and prepared is not self._server:
            prepared.close()


def _certificates(configuration: Configuration) -> Iterable[tuple[str, Path]]:
    settings = configuration.settings
    for listener in settings.listeners:
        if listener.tls is not None:
            yield f"listener[{listener.name}]", listener.tls.certificate
    for kind, held in (("archive", settings.archive_tls), ("sink", configuration.sink_tls)):
        for name, tls in held.items():
            if tls.certificate is not None:
                yield f"{kind}[{name}]", tls.certificate


def _one(value: float) -> Readings:
    return [((), float(value))]


def _health(problems: list[str], good: str) -> Page:
    if not problems:
        return Page(f"{good}\n".encode())
    return Page("".join(f"{problem}\n" for problem in problems).encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
