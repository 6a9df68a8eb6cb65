"""The parts of detection and response, put together for one running gate. `cli/run.py` owns one of these."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_network

from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import RecordSink
from dicomgate.cli.speech import fail
from dicomgate.config.load import Configuration
from dicomgate.detect.ban import Spared
from dicomgate.detect.guard import Trouble
from dicomgate.detect.response import Answer, Responder, finding_record
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.gate.settings import GateSettings
from dicomgate.segment.kernel import NftError, load
from dicomgate.segment.nftables import ban, lift
from dicomgate.sinks.alerts import Alerts, AlertsError, AlertSettings, Send, sender
from dicomgate.sinks.observed import ObservedSink, Observer
from dicomgate.sinks.sentry import Sentry
from dicomgate.store.ban_keeper import BanKeeper
from dicomgate.store.bans import Entry, new_identifier, remembered

_NO_ROOM = "found, but not held off: there are as many bans as a gate keeps"
Senders = Mapping[AlertSettings, Send]
"""Every sink of alerts, and its receivers ready to be sent to."""


class Detection:
    """Made before the gate, which needs `sink(…)`, `bans` and `push`; `attach` it before the gate starts."""

    def __init__(
        self,
        configuration: Configuration,
        engine: Engine,
        call_soon: Callable[[Callable[[], None]], object],
        journal: Journal,
    ) -> None:
        settings = configuration.settings
        self._gate: Gate | None = None
        self._journal = journal
        self.bans = BanKeeper(engine, call_soon, self._heard, self._bans_troubled)
        self._responder = Responder(settings.detect, _spared(settings), new_identifier)
        try:
            senders = self.prepare(configuration)
        except AlertsError as error:
            fail(str(error), "see docs/howto/detection.md")
        self._alerts = {each.name: self._begin(each, send) for each, send in senders.items()}
        self._leaving: list[Alerts] = []
        self._sink: ObservedSink | None = None
        self._sentry = Sentry(
            settings.detect,
            self._responder,
            call_soon,
            self._found,
            self._troubled,
            self.bans.remember,
            remembered(engine),
        )

    def sink(self, sink: RecordSink) -> ObservedSink:
        """What the gate is to write its records to."""
        self._sink = ObservedSink(sink, self._observers())
        return self._sink

    def notice(self, record: Record) -> None:
        """What the recorder itself has to say, on its own thread: it does not pass through `sink`."""
        self._sentry.offer((record,))

    def push(self, address: str, seconds: float) -> None:
        """Tell the packet filter; not on the event loop."""
        self.bans.run_errand(address, partial(self._tell_firewall, address, seconds))

    def attach(self, gate: Gate) -> None:
        """Bans of earlier days hold before anybody is let in. StoreError when they cannot be read."""
        self._gate = gate
        gate.bans.heard(self.bans.start())

    def prepare(self, configuration: Configuration) -> Senders:
        """The receivers of alerts, read anew; AlertsError when a file or a line of it cannot be used."""
        return {each: sender(each) for each in configuration.alerts}

    def reload(self, configuration: Configuration, senders: Senders) -> None:
        """New rules, settings and receivers; `senders` are of prepare(). What waits to be told is told."""
        self._sentry.reload(configuration.settings.detect, _spared(configuration.settings))
        self._leaving = [each for each in self._leaving if not each.ended]
        before, self._alerts = self._alerts, {}
        for settings, send in senders.items():
            kept = before.pop(settings.name, None)
            if kept is None:
                kept = self._begin(settings, send)
            else:
                kept.use(settings, send)
            self._alerts[settings.name] = kept
        for gone in before.values():
            gone.end()
            self._leaving.append(gone)
        if self._sink is not None:
            self._sink.observers = self._observers()

    def close(self, turn: Callable[[], None]) -> None:
        """Look at what waits, say what is to be said, keep what was learned. `turn` runs what the loop was asked."""
        self._sentry.close()
        turn()
        everybody = (*self._leaving, *self._alerts.values())
        for each in everybody:
            each.end()
        for each in everybody:
            each.close()
        self.bans.close()

    def _begin(self, settings: AlertSettings, send: Send) -> Alerts:
        return Alerts(settings, send, self._alerts_troubled)

    def _observers(self) -> tuple[Observer, ...]:
        return (self._sentry, *self._alerts.values())

    # -- on the event loop ---------------------------------------------------------------------------------

    def _heard(self, entries: Sequence[Entry]) -> None:
        if self._gate is not None:
            self._gate.bans.heard(entries)

    def _found(self, answers: Sequence[Answer]) -> None:
        gate = self._gate
        if gate is None:
            return
        no_room: Counter[str] = Counter()
        for answer in answers:
            if answer.ban is not None:
                answer = answer.held_by(gate.bans.place(answer.ban))  # noqa: PLW2901
            no_room[answer.finding.detector] += answer.no_room
            gate.write((finding_record(answer, time.time()),))
        self._troubled([Trouble(name, _NO_ROOM, count) for name, count in no_room.items() if count])

    def _troubled(self, troubles: Sequence[Trouble]) -> None:
        gate = self._gate
        if gate is None:
            return
        for trouble in troubles:
            detail: dict[str, object] = {"count": trouble.count}
            record = Record(
                time.time(),
                Event.DETECTION_DEGRADED,
                Outcome.FAILURE,
                rule=trouble.detector,
                reason=trouble.reason,
                detail=detail,
            )
            gate.write((record,))

    def _bans_troubled(self, reason: str | None) -> None:
        if reason is None:
            self._journal.say("warning", "bans_recovered")
        else:
            self._journal.say("error", "bans_failing", reason=reason)

    # -- on threads of their own ---------------------------------------------------------------------------

    def _alerts_troubled(self, name: str, reason: str | None) -> None:
        if reason is None:
            self._journal.say("warning", "alerts_recovered", sink=name)
        else:
            self._journal.say("error", "alerts_failing", sink=name, reason=reason)

    def _tell_firewall(self, address: str, seconds: float) -> None:
        networks = [ip_network(address)]
        try:
            load([ban(networks, max(1, round(seconds))) if seconds > 0 else lift(networks)])
        except NftError as error:
            self._journal.say("error", "firewall_not_told", reason=str(error).splitlines()[0])


def _spared(settings: GateSettings) -> Spared:
    return Spared.of(settings.rules, (each.proxy_protocol_from for each in settings.listeners))
