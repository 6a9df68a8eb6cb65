"""The parts of detection and response, put together for one running gate. `cli/run.py` owns one of these."""

import time
from collections.abc import Callable, Sequence
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
from dicomgate.sinks.alerts import Alerts, AlertsError, sender
from dicomgate.sinks.observed import ObservedSink
from dicomgate.sinks.sentry import Sentry
from dicomgate.store.ban_keeper import BanKeeper
from dicomgate.store.bans import Entry, new_identifier, remembered


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
        self._firewall = settings.detect.firewall
        self.bans = BanKeeper(engine, call_soon, self._heard, self._bans_troubled)
        self._responder = Responder(settings.detect, _spared(settings), new_identifier)
        try:
            senders = [(each, sender(each)) for each in configuration.alerts]
        except AlertsError as error:
            fail(str(error), "see docs/howto/detection.md")
        self._alerts = [Alerts(each, send, self._alerts_troubled) for each, send in senders]
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
        return ObservedSink(sink, (self._sentry, *self._alerts))

    def notice(self, record: Record) -> None:
        """What the recorder itself has to say, on its own thread: it does not pass through `sink`."""
        self._sentry.offer((record,))

    def push(self, address: str, seconds: float) -> None:
        """Tell the packet filter, if there is one to be told; not on the event loop."""
        if self._firewall:
            self.bans.do(partial(self._tell_firewall, address, seconds))

    def attach(self, gate: Gate) -> None:
        """Bans of earlier days hold before anybody is let in. StoreError when they cannot be read."""
        self._gate = gate
        gate.bans.heard(self.bans.start())

    def reload(self, configuration: Configuration) -> None:
        """New rules and settings. Receivers of alerts, and whether a firewall is told, change with a restart only."""
        self._sentry.reload(configuration.settings.detect, _spared(configuration.settings))

    def close(self, turn: Callable[[], None]) -> None:
        """Look at what waits, say what is to be said, keep what was learned. `turn` runs what the loop was asked."""
        self._sentry.close()
        turn()
        for each in self._alerts:
            each.close()
        self.bans.close()

    # -- on the event loop ---------------------------------------------------------------------------------

    def _heard(self, entries: Sequence[Entry]) -> None:
        if self._gate is not None:
            self._gate.bans.heard(entries)

    def _found(self, answers: Sequence[Answer]) -> None:
        gate = self._gate
        if gate is None:
            return
        for answer in answers:
            if answer.ban is not None:
                gate.bans.place(answer.ban)
            gate.write((finding_record(answer, time.time()),))

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
