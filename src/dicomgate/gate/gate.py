"""One running gate: doors, connections, the clock, reload and drain. It is handed its sink and its settings.

Nothing here decides about DICOM; it connects what decides (session, policy) with what the world does.
"""

import asyncio
import secrets
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path

from dicomgate import __version__
from dicomgate.audit.instance import Instance, Known, Recollection
from dicomgate.audit.patient import Conceal
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import Recorded, RecordSink
from dicomgate.detect.ban import Spared
from dicomgate.facts import Address, Origin
from dicomgate.gate.bans import Bans, BanStore, Push
from dicomgate.gate.buffers import Buffers
from dicomgate.gate.census import Associations, HalfOpen
from dicomgate.gate.connection import Connection
from dicomgate.gate.credentials import Credentials
from dicomgate.gate.damper import Damper
from dicomgate.gate.door import Door
from dicomgate.gate.host import Channels, Guest, Revocations
from dicomgate.gate.journal import Journal
from dicomgate.gate.kept import Kept
from dicomgate.gate.patience import Patience
from dicomgate.gate.poller import Poller
from dicomgate.gate.settings import GateSettings, ListenerSettings
from dicomgate.gate.tls import TlsFilesError
from dicomgate.gate.upstream import SocketAddress, Upstreams
from dicomgate.identity.account import Standing
from dicomgate.identity.claims import Claims
from dicomgate.identity.verifier import IdentityDesk, Unavailable, Verification
from dicomgate.policy.model import Endpoint
from dicomgate.policy.policy import Policy
from dicomgate.session.events import Ordered
from dicomgate.session.session import Session, UpstreamToken, no_token
from dicomgate.session.under_way import UnderWay

_SWEEP = 0.25
_REPEATED = 60.0
"""Seconds before the log says again that there is no descriptor left."""
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""No letters and digits that look alike: refusal IDs are read out on the telephone."""


class Gate:
    """Runs on one event loop; every method is called on it. TlsFilesError when a TLS file cannot be used.

    `desk` is where users are verified; None stands for a gate without verifiers. `upstream_token` makes what tells
    an archive who the user is. `revocations` is asked about client certificates where a listener wants that; without
    it, nobody gets in there. `channels` knows what came through which tunnel; without it, nothing has.
    `recollection` knows which SOP instances are stored; `under_way.settled` is to be called when what came of a C-STORE
    is on disk. `conceal` says what records may have of a patient. `kept_in` is the directory for data sets that are
    held back as a whole; None is the system's own.
    """

    def __init__(
        self,
        settings: GateSettings,
        sink: RecordSink,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        *,
        desk: IdentityDesk | None = None,
        upstream_token: UpstreamToken = no_token,
        revocations: Revocations | None = None,
        ban_store: BanStore | None = None,
        push: Push | None = None,
        channels: Channels | None = None,
        recollection: Recollection | None = None,
        conceal: Conceal | None = None,
        kept_in: Path | None = None,
    ) -> None:
        self.loop = loop
        self.settings = settings
        self.policy = _policy(settings)
        self.buffers = Buffers()
        self.poller = Poller(loop)
        self.upstreams = Upstreams(loop)
        self.credentials = Credentials(settings, self.now())
        self.half_open: HalfOpen[Guest] = HalfOpen(self._is_known)
        self.associations = Associations(settings.connections)
        self.desk = desk
        self.upstream_token = upstream_token
        self.revocations = revocations
        self._connections: dict[Guest, Connection] = {}
        self.bans = Bans(ban_store, self._connections.values, self.write, self._wall_now, push)
        self._heed(settings)
        self.channels = channels
        self.under_way = UnderWay()
        self.conceal = conceal
        self.kept = Kept(kept_in, loop.call_soon_threadsafe, settings.connections.held_objects)
        self._recollection = recollection
        self._sink = sink
        self._journal = journal
        self._damper = Damper()
        self._doors: dict[str, Door] = {}
        self._wall_offset = time.time() - self.now()
        self._numbers = count(1)
        self._run = f"{int(time.time()):x}{secrets.token_hex(1)}"  # grows with time: the store appends
        self._out_of_places_said = float("-inf")
        self._swept = self.now()
        self._drained: Callable[[], None] | None = None
        self._stopped = False
        self._known = lru_cache(maxsize=4096)(self._named_by_a_peer)

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> list[tuple[str, str]]:
        """Open every listener; returns (name, address) of each. OSError, with the others closed, if one fails."""
        try:
            for listener in self.settings.listeners:
                self._doors[listener.name] = Door(self, listener)
        except OSError:
            for door in self._doors.values():
                door.close()
            raise
        for door in self._doors.values():
            door.open()
        self._sweep()
        self._note(Event.GATE_STARTED)
        return [(name, door.address) for name, door in self._doors.items()]

    def reload(self, settings: GateSettings) -> list[tuple[str, str]]:
        """Take new settings as a whole. Returns the listeners that were opened.

        OSError when a new address cannot be had, TlsFilesError when a file of TLS cannot be used; then nothing has
        changed. TLS files are read anew, also when no setting has changed. Associations that the new rules do
        not allow are aborted; all others go on undisturbed.
        """
        wanted = {listener.name: listener for listener in settings.listeners}
        if self._drained is not None:
            wanted = {}  # the rules still change; but whoever is draining lets nobody in
        credentials = Credentials(settings, self.now())
        # A listener is its address; port 0, which stands for any, is told apart by the name.
        doors = {_place(door.settings): door for door in self._doors.values()}
        kept = {name: doors[_place(each)] for name, each in wanted.items() if _place(each) in doors}
        opened: dict[str, Door] = {}
        try:
            for name, listener in wanted.items():
                if name not in kept:
                    opened[name] = Door(self, listener)
        except OSError:
            for door in opened.values():
                door.close()
            raise
        for door in self._doors.values():
            if door not in kept.values():
                door.close()
        for name, door in kept.items():
            door.settings = wanted[name]
        self._doors = kept | opened
        self.settings = settings
        self.credentials = credentials
        self.policy = _policy(settings)
        self.associations.limits = settings.connections
        self.kept.most = settings.connections.held_objects
        self._heed(settings)
        self._known.cache_clear()
        for door in opened.values():
            door.open()
        for connection in tuple(self._connections.values()):
            connection.reloaded()
        self._note(Event.CONFIGURATION_LOADED)
        return [(name, door.address) for name, door in opened.items()]

    def refuse_reload(self, reason: str) -> None:
        """A bad file: the old settings stay in force, and that is said."""
        self._note(Event.CONFIGURATION_REFUSED, Outcome.FAILURE, reason)

    def drain(self, then: Callable[[], None]) -> None:
        """Accept nobody any more, let running associations end for `limits.drain` seconds, then abort the rest."""
        if self._drained is not None:
            return
        self._drained = then
        for door in self._doors.values():
            door.close()
        self._doors.clear()
        for connection in tuple(self._connections.values()):
            if connection.session.half_open:
                connection.handle(Ordered("the gate is stopping"))
        self.loop.call_later(self.settings.connections.drain, self._end_all)
        self._check_drained()

    def channel_changed(self, name: str, up: bool, why: str) -> None:
        """A channel went up or down. What came through one that is down has lost its proof, and ends."""
        event, outcome = (Event.CHANNEL_UP, Outcome.SUCCESS) if up else (Event.CHANNEL_DOWN, Outcome.FAILURE)
        self.write((Record(self.wall(self.now()), event, outcome, reason=why, detail={"channel": name}),))
        if up:
            return
        for door in self._doors.values():
            door.channel_lost(name)
        for connection in tuple(self._connections.values()):
            connection.channel_lost(name)

    def _end_all(self) -> None:
        for connection in tuple(self._connections.values()):
            connection.handle(Ordered("the gate is stopping"))
        self.loop.call_later(self.settings.session.close + 2 * _SWEEP, self._check_drained, True)

    def _check_drained(self, at_last: bool = False) -> None:
        if self._drained is not None and not self._stopped and (at_last or not self._connections):
            self._stopped = True
            self._keep(self._damper.sweep(float("inf")))
            self._note(Event.GATE_STOPPED)
            self._drained()

    # -- what doors and connections ask --------------------------------------------------------------------

    def now(self) -> float:
        """Seconds of a steady clock."""
        return time.monotonic()

    def wall(self, now: float) -> float:
        """Seconds since 1970 for a moment of the steady clock."""
        return now + self._wall_offset

    def new_refusal_id(self) -> str:
        """Eight characters that are not guessed and can be said aloud."""
        return "".join(secrets.choice(_ALPHABET) for _ in range(8))

    def admit(self, sock: socket.socket, origin: Origin) -> None:
        """Start a session on an accepted socket, at the cost of an older silent connection if need be."""
        connection = Connection(self, sock, origin, f"{self._run}-{next(self._numbers):x}", self.now())
        self._connections[connection] = connection
        self.make_room(origin, connection)
        connection.begin()

    def make_room(self, origin: Origin, guest: Guest) -> None:
        """Count a half-open connection in, at the cost of an older one if need be."""
        leaving = self.half_open.enter(origin.address, guest, self.settings.connections)
        if leaving is not None:
            leaving.give_way()

    def verify(self, claims: Claims, verifiers: tuple[str, ...], done: Callable[[Verification], None]) -> None:
        """Ask those who can vouch for a user; `done` is called once, later, on the event loop."""
        if self.desk is None:
            self.loop.call_soon(done, Unavailable("no verifier is running"))
        else:
            self.desk.submit(claims, verifiers, done)

    def recall(self, instance: Instance, done: Callable[[Known], None]) -> None:
        """Ask what is stored of an instance; `done` is called once, later, and within `limits.recall`."""
        if self._recollection is None:
            self.loop.call_soon(done, "no store is there to be asked")
        else:
            self._recollection.ask(instance, Patience(self.loop, self.settings.connections.recall, done).answered)

    def hold_to(self, standing: Standing) -> None:
        """End the associations of users who are none any more."""
        for connection in tuple(self._connections.values()):
            permit = connection.session.permit
            why = standing.fallen(permit.principal) if permit is not None and permit.principal is not None else None
            if why is not None:
                connection.handle(Ordered(why, "verifier"))

    def refuse_connection(self, origin: Origin, rule: str, reason: str) -> None:
        """Record that a connection was closed before anything was read from it."""
        record = Record(
            time=self.wall(self.now()),
            event=Event.CONNECTION_REFUSED,
            outcome=Outcome.REFUSED,
            refusal_id=self.new_refusal_id(),
            rule=rule,
            reason=reason,
            listener=origin.listener,
            address=str(origin.address),
            port=origin.port,
        )
        self.write((record,))

    def write(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        """Keep records, and log those worth a line. What somebody waits for is never thinned out."""
        self._keep(records if done is not None else self._damper.thin(records), done)

    def _keep(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        if records:
            self._sink.submit(records, done)
            for record in records:
                self._journal.record(record)

    def forget(self, guest: Guest) -> None:
        """The connection is closed on both sides."""
        self.half_open.leave(guest.origin.address, guest)
        self._connections.pop(guest, None)
        if self._drained is not None:
            self._check_drained()

    # -- what went wrong -----------------------------------------------------------------------------------

    def report_bug(self, session: Session, bug: Exception) -> None:
        """Where it happened and of what kind; not its text, which may hold what a peer sent."""
        where = traceback.extract_tb(bug.__traceback__)
        frames = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in where[-6:]]
        self._journal.say("error", "bug", kind=type(bug).__name__, where=frames, association=session.association)

    def report_unreachable(self, address: SocketAddress, why: str) -> None:
        host, port = address[1]
        self._journal.say("warning", "connect_failed", to=f"{host}:{port}", reason=why)

    def report_tls_files(self, place: str, error: TlsFilesError | None) -> None:
        """The files of a listener or an archive have changed: a new context is in use, or the old one is kept."""
        if error is None:
            self._journal.say("info", "tls_reloaded", of=place)
        else:
            self._journal.say("error", "tls_reload_failed", of=place, file=error.path, reason=error.text)

    def report_out_of_places(self, error: OSError) -> None:
        if self.now() >= self._out_of_places_said + _REPEATED:
            self._out_of_places_said = self.now()
            self._journal.say(
                "error", "cannot_accept", reason=error.strerror, hint="raise the limit on open files (LimitNOFILE)"
            )

    def report_sink(self, reason: str | None) -> None:
        """The record store failed, or has recovered (None). Said once each time."""
        if reason is None:
            self._journal.say("warning", "audit_recovered")
        else:
            self._journal.say("critical", "audit_failing", reason=reason, consequence=self.settings.on_audit_failure)

    def report_delivery(self, sink: str, reason: str | None) -> None:
        """A sink beside the store cannot deliver, or delivers again (None). One record each time, and no more."""
        event, outcome = (
            (Event.SINK_RECOVERED, Outcome.SUCCESS) if reason is None else (Event.SINK_FAILED, Outcome.FAILURE)
        )
        self.write((Record(self.wall(self.now()), event, outcome, reason=reason, detail={"sink": sink}),))

    # -- how it is: from any thread --------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        """Do all listeners accept? Not before `start`, and not while draining."""
        return bool(self._doors) and self._drained is None

    @property
    def idle_for(self) -> float:
        """Seconds since the event loop last came round; more than a few and it is stuck."""
        return self.now() - self._swept

    # -- the clock -----------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        self.loop.call_later(_SWEEP, self._sweep)  # first: whatever happens below, the clock goes on
        now = self._swept = self.now()
        self._wall_offset = time.time() - now
        for connection in tuple(self._connections.values()):
            try:
                connection.sweep(now)
            except Exception as bug:
                self.report_bug(connection.session, bug)
        for door in self._doors.values():
            door.sweep(now)
        self.credentials.sweep(now, self.report_tls_files)
        self._keep(self._damper.sweep(now))

    # -- inside --------------------------------------------------------------------------------------------

    def _note(self, event: Event, outcome: Outcome = Outcome.SUCCESS, reason: str | None = None) -> None:
        detail = {"gate": self.settings.name, "version": __version__}
        self.write((Record(self.wall(self.now()), event, outcome, reason=reason, detail=detail),))

    def _wall_now(self) -> float:
        return self.wall(self.now())

    def _heed(self, settings: GateSettings) -> None:
        """Whom no detector may hold off, and how far an answer goes."""
        self.bans.delay, self.bans.cap = settings.detect.delay, settings.detect.cap
        senders = (each.proxy_protocol_from for each in settings.listeners)
        self.bans.heed(Spared.of(settings.rules, senders), firewall=settings.detect.firewall)

    def _is_known(self, address: Address) -> bool:
        return self._known(address)

    def _named_by_a_peer(self, address: Address) -> bool:
        """Does a peer name this address, or is it an archive's? `any` names nobody, also when written in numbers."""
        rules = self.settings.rules
        named = (*(peer.networks for peer in rules.peers), *(archive.networks for archive in rules.archives))
        return any(network.prefixlen and address in network for each in named for network in each.members)


def _place(listener: ListenerSettings) -> tuple[Endpoint, str]:
    return listener.bind, listener.name if not listener.bind.port else ""


def _policy(settings: GateSettings) -> Policy:
    return Policy(settings.rules, settings.session.pdu, settings.session.outstanding_operations)
