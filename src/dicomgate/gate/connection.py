"""Carry out what one session orders: two sockets, readiness callbacks, no task and no queue.

In: readiness of the sockets, commits, the sweep of the clock. Out: bytes, records, and a free place.
"""

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

from dicomgate.audit.instance import Known
from dicomgate.audit.record import Record
from dicomgate.facts import Address, Origin, Side
from dicomgate.gate.certificates import facts_of
from dicomgate.gate.handshake import Handshake
from dicomgate.gate.host import Host
from dicomgate.gate.kept import KeptDataSet
from dicomgate.gate.link import Buffer, Link, acknowledge_at_once, keep_alive, send_at_once
from dicomgate.gate.tls import reason
from dicomgate.gate.tls_link import TlsLink
from dicomgate.gate.upstream import SocketAddress
from dicomgate.identity.verifier import Verification
from dicomgate.policy.verdict import AssociationPermit, Deny, Route
from dicomgate.session.events import (
    Answered,
    Close,
    Command,
    Connect,
    Connected,
    Discard,
    Event,
    Finish,
    HungUp,
    Keep,
    NotKept,
    NotRecalled,
    Ordered,
    Pause,
    Recall,
    Recalled,
    Received,
    Recorded,
    Relay,
    Reloaded,
    Resume,
    Return,
    Returned,
    Say,
    Stalled,
    TimeUp,
    Unreachable,
    Verify,
    Write,
)
from dicomgate.session.session import Session

_SHORT = 32 * 1024
"""Below this a read was no bulk, and its ACK is worth hurrying."""
_LASTING = 30.0
"""Seconds after which an association is worth the system calls of keepalive towards the called party."""
_TOO_MUCH_TO_SAY = 64 * 1024
"""A side that lets this much of what it asked for lie is not read any further."""


class Connection:
    """One association being driven."""

    __slots__ = (
        "_began",
        "_called_host",
        "_candidates",
        "_connect_deadline",
        "_connecting",
        "_counted",
        "_gate",
        "_gone",
        "_half_open",
        "_kept",
        "_kept_alive",
        "_links",
        "_paused",
        "_return",
        "_route",
        "origin",
        "session",
    )

    def __init__(self, gate: Host, sock: socket.socket, origin: Origin, association: str, now: float) -> None:
        self._gate = gate
        self.origin = origin
        self._links: dict[Side, Link] = {Side.REQUESTOR: self._link(Side.REQUESTOR, sock)}
        self._connecting: tuple[socket.socket, SocketAddress] | None = None
        self._candidates: list[SocketAddress] = []
        self._connect_deadline = 0.0
        self._began = now
        self._kept_alive = False
        self._route: Route | None = None
        self._called_host: str | None = None
        self._counted: AssociationPermit | None = None
        self._half_open = True
        self._gone = False
        self._paused: Side | None = None
        self._kept: KeptDataSet | None = None
        self._return = False
        """The next piece of what is kept is wanted, once the acceptor has taken the one before."""
        self.session = Session(
            association,
            origin,
            gate.policy,
            gate.settings.session,
            admission=self._admit,
            upstream_token=gate.upstream_token,
            under_way=gate.under_way,
            conceal=gate.conceal,
            new_refusal_id=gate.new_refusal_id,
            wall=gate.wall,
            now=now,
        )

    def begin(self) -> None:
        """Start reading."""
        self._regulate()

    def give_way(self) -> None:
        """A newer connection needs the place: go, unless a whole request has come and only waits to be read."""
        self._readable(Side.REQUESTOR)
        if self._half_open:
            self.handle(Ordered("gave way to a newer connection"))

    @property
    def address(self) -> Address:
        return self.origin.address

    @property
    def permit(self) -> AssociationPermit | None:
        """What it was admitted with; None before and after."""
        return self._counted

    def send_away(self, why: str) -> None:
        """A ban hits it: end it now."""
        self.handle(Ordered(why))

    # -- events up -----------------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Ask the session and do what it says. A bug, there or here, ends this association and no other."""
        if self._gone:
            return
        try:
            self._handle(event, self._gate.now())
        except Exception as bug:
            self._collapse(bug)

    def _handle(self, event: Event, now: float) -> None:
        try:
            commands = self.session.handle(event, now)
        except Exception as bug:
            self._gate.report_bug(self.session, bug)
            commands = self._after_bug(now)
        if self._half_open and not self.session.half_open:
            self._half_open = False
            self._gate.half_open.leave(self.origin.address, self)
        if len(commands) == 1 and isinstance(commands[0], Relay):  # the bulk path
            self._send(commands[0].side, (commands[0].data,), now)
        else:
            self._carry_out(commands, now)

    def _after_bug(self, now: float) -> list[Command]:
        try:
            return self.session.crashed(now)
        except Exception as bug:
            self._gate.report_bug(self.session, bug)
            return [Close(Side.REQUESTOR, reset=True), Close(Side.ACCEPTOR, reset=True), Finish()]

    def _collapse(self, bug: Exception) -> None:
        """A bug while orders were carried out: nobody knows what has gone out, so both sides are reset."""
        self._gate.report_bug(self.session, bug)
        if self._gone:
            return
        self._gone = True
        for command in self._after_bug(self._gate.now()):
            if isinstance(command, Write):
                self._gate.write(command.records)
        self._finish(reset=True)

    def _guarded(self, step: Callable[..., None], *arguments: object) -> None:
        """What is called from outside goes through here: a bug in it must not leave the association hanging."""
        try:
            step(*arguments)
        except Exception as bug:
            self._collapse(bug)

    def _link(self, side: Side, sock: socket.socket) -> Link:
        gate = self._gate
        callbacks = partial(self._guarded, self._readable, side), partial(self._guarded, self._writable, side)
        if isinstance(sock, ssl.SSLSocket):
            return TlsLink(sock, gate.poller, gate.buffers, *callbacks)
        return Link(sock, gate.poller, gate.buffers, *callbacks)

    def _readable(self, side: Side) -> None:
        link = self._links[side]
        view = self._gate.buffers.current
        carry = self.session.take_carry(side)
        start = len(carry)
        if start:
            view[:start] = carry
        try:
            got = link.receive(view[start:])
            if not got:
                self.handle(HungUp(side))
                return
            self.handle(Received(side, view[: start + got]))
            if got < _SHORT and self.session.hurried(side) and side in self._links:
                acknowledge_at_once(link.sock)
        except BlockingIOError:
            self.handle(Received(side, view[:start]))  # the carry goes back to where it came from
        except OSError as error:
            self.handle(HungUp(side, error.strerror or "connection lost"))

    def _writable(self, side: Side) -> None:
        try:
            self._links[side].flush(self._gate.now())
        except OSError as error:
            self.handle(HungUp(side, error.strerror or "connection lost"))
            return
        self._regulate()
        if side is Side.ACCEPTOR:
            self._fetch()

    # -- commands down -------------------------------------------------------------------------------------

    def _carry_out(self, commands: Sequence[Command], now: float) -> None:
        """In order; what goes to one side in a row leaves in one system call."""
        pieces: list[Buffer] = []
        to: Side | None = None
        for command in commands:
            if isinstance(command, Relay | Say):
                if to is not command.side and to is not None:
                    self._send(to, pieces, now)
                    pieces = []
                to = command.side
                pieces.append(command.data)
                continue
            if to is not None:
                self._send(to, pieces, now)
                pieces, to = [], None
            match command:
                case Write(records, durable):
                    self._gate.write(records, partial(self._recorded, records) if durable else None)
                case Verify(claims, verifiers):
                    self._gate.verify(claims, verifiers, self._answered)
                case Connect(permit):
                    self._route = permit.route
                    self._gate.upstreams.candidates(permit.route.endpoints, now, partial(self._guarded, self._connect))
                case Close(side, reset):
                    self._close(side, reset)
                case Recall(number, instance):
                    self._gate.recall(instance, partial(self._recalled, number))
                case Pause(side):
                    self._paused = side
                    self._regulate()
                case Resume():
                    self._paused = None
                    self._regulate()
                case Keep(data):
                    self._keep(data)
                case Return():
                    self._return = True
                    self._fetch()
                case Discard():
                    self._forget_kept()
                case Finish():
                    self._finish()
                case _:
                    assert_never(command)
        if to is not None:
            self._send(to, pieces, now)

    def _send(self, side: Side, pieces: Sequence[Buffer], now: float) -> None:
        link = self._links.get(side)
        if link is None:
            return
        try:
            if link.send(pieces, now):
                return
        except OSError:
            # What the peer sent before it left may still be there to read; its end of file tells the session.
            link.discard()
        self._regulate()

    def _regulate(self) -> None:
        """Read a side only while the other takes what it says and it takes what it asked for."""
        for side, link in self._links.items():
            other = self._links.get(side.other)
            blocked = (other is not None and other.pending_bytes > 0) or link.pending_bytes > _TOO_MUCH_TO_SAY
            link.watch(reading=not blocked and side is not self._paused and not self._keeps_too_much(side))

    def _close(self, side: Side, reset: bool) -> None:
        if side is Side.ACCEPTOR and self._connecting is not None:
            self._stop_connecting()
        link = self._links.pop(side, None)
        if link is None:
            return
        link.close(reset)
        self._regulate()

    def _finish(self, reset: bool = False) -> None:
        self._gone = True
        self._forget_kept()
        for side in (Side.REQUESTOR, Side.ACCEPTOR):
            self._close(side, reset)
        if self._counted is not None:
            self._gate.associations.leave(self._counted)
            self._counted = None
        self._gate.forget(self)

    def _admit(self, permit: AssociationPermit) -> Deny | None:
        full = self._gate.bans.at_association(permit) or self._gate.associations.admit(permit)
        if full is None:
            self._counted = permit
        return full

    def _answered(self, verification: Verification) -> None:
        self.handle(Answered(verification))

    def _recorded(self, records: Sequence[Record], durable: bool) -> None:
        if not durable and self._gate.settings.on_audit_failure == "continue":
            self._gate.write(records)  # once more, to be kept when the store recovers
            durable = True
        self.handle(Recorded(durable))

    def _recalled(self, number: int, known: Known) -> None:
        if isinstance(known, str):
            self.handle(NotRecalled(number, known, self._gate.settings.on_audit_failure != "continue"))
        else:
            self.handle(Recalled(number, known))

    # -- data sets that are held back as a whole -----------------------------------------------------------

    def _keep(self, data: Buffer) -> None:
        if self._kept is None:
            self._kept = self._gate.kept.begin(
                partial(self._guarded, self._regulate), partial(self._guarded, self._not_kept)
            )
        self._kept.add(data)
        self._regulate()

    def _keeps_too_much(self, side: Side) -> bool:
        return side is Side.REQUESTOR and self._kept is not None and self._kept.full

    def _fetch(self) -> None:
        link = self._links.get(Side.ACCEPTOR)
        if self._return and self._kept is not None and (link is None or not link.pending_bytes):
            self._return = False
            self._kept.fetch(partial(self._guarded, self._returned))

    def _returned(self, data: bytes, last: bool) -> None:
        if last:
            self._forget_kept()
        self.handle(Returned(data, last))

    def _not_kept(self, why: str) -> None:
        self._forget_kept()
        self.handle(NotKept(why))

    def _forget_kept(self) -> None:
        self._return = False
        if self._kept is not None:
            self._kept.close()
            self._kept = None
            self._regulate()  # its sender may have been waiting for the disk

    # -- connecting ----------------------------------------------------------------------------------------

    def _connect(self, candidates: list[SocketAddress]) -> None:
        self._candidates = candidates
        if not candidates:
            self.handle(Unreachable("its host name cannot be resolved"))
            return
        self._try_next("")

    def _try_next(self, failure: str) -> None:
        if self._gone or not self.session.connecting:
            return  # it was given up while a name was looked up
        while self._candidates:
            address = self._candidates.pop(0)
            now = self._gate.now()
            closed = self._closed_to(address[1][0])
            if closed is not None:
                failure = f"channel {closed} is down"
                self._gate.report_unreachable(address, failure)
                continue
            try:
                sock = socket.socket(address[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            except OSError as error:
                failure = error.strerror or "no socket"
                continue
            send_at_once(sock)
            self._connecting = (sock, address)
            self._connect_deadline = now + self._gate.settings.session.archive_connect
            try:
                sock.connect(address[1])
            except BlockingIOError:
                self._gate.poller.watch(sock.fileno(), None, partial(self._guarded, self._connect_done))
                return
            except OSError as error:
                failure = error.strerror or "connect failed"
                self._connect_failed(address, sock, failure)
                continue
            self._connect_done()
            return
        self.handle(Unreachable(failure))

    def _connect_done(self) -> None:
        if self._connecting is None:
            return
        sock, address = self._connecting
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            why = os.strerror(error)
            self._connect_failed(address, sock, why)
            self._try_next(why)
            return
        route = self._route
        if route is not None:
            context = self._gate.credentials.of_called(route)
            if context is not None:
                self._encrypt(context, sock, address, route)
                return
        self._reached(sock, address)

    def _encrypt(self, context: ssl.SSLContext, sock: socket.socket, address: SocketAddress, route: Route) -> None:
        """TLS towards the party that is called, within the same deadline as its TCP connect."""
        settings = self._gate.settings.called_tls(route)
        name = (settings and settings.name) or self._gate.upstreams.host_of(address, route.endpoints)
        pins = settings.spki if settings is not None else frozenset()
        self._gate.poller.watch(sock.fileno(), None, None)
        try:
            secured = context.wrap_socket(
                sock,
                do_handshake_on_connect=False,
                server_hostname=name.removesuffix("."),  # certificates name hosts without it
            )
        except OSError as error:
            self._not_encrypted(sock, address, reason(error))
            return
        self._connecting = (secured, address)

        def shaken(failure: str | None) -> None:
            failure = failure or _unpinned(secured, pins)
            if failure is not None:
                self._not_encrypted(secured, address, failure)
                return
            self._reached(secured, address)

        Handshake(secured, self._gate.poller, shaken).step()

    def _not_encrypted(self, sock: socket.socket, address: SocketAddress, failure: str) -> None:
        why = f"TLS: {failure}"
        self._connect_failed(address, sock, why)
        self._try_next(why)

    def _reached(self, sock: socket.socket, address: SocketAddress) -> None:
        self._links[Side.ACCEPTOR] = self._link(Side.ACCEPTOR, sock)
        self._connecting = None
        self._called_host = address[1][0]
        self._gate.upstreams.answered(address)
        self.handle(Connected())
        self._regulate()

    def _connect_failed(self, address: SocketAddress, sock: socket.socket, why: str) -> None:
        self._connecting = None
        self._gate.poller.forget(sock.fileno())
        sock.close()
        self._gate.upstreams.failed(address, self._gate.now())
        self._gate.report_unreachable(address, why)

    def _stop_connecting(self) -> None:
        if self._connecting is not None:
            sock = self._connecting[0]
            self._gate.poller.forget(sock.fileno())
            sock.close()
            self._connecting = None

    # -- the clock -----------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Whose time is up? Called a few times a second for every connection, so it only compares."""
        if self._connecting is not None and now >= self._connect_deadline:
            sock, address = self._connecting
            why = "TLS: no handshake in time" if isinstance(sock, ssl.SSLSocket) else "connect timed out"
            self._connect_failed(address, sock, why)
            self._try_next(why)
        if now >= self.session.deadline:
            self.handle(TimeUp())
            return
        if not self._kept_alive and now >= self._began + _LASTING and Side.ACCEPTOR in self._links:
            self._kept_alive = True
            keep_alive(self._links[Side.ACCEPTOR].sock)
        for side, link in tuple(self._links.items()):
            if link.pending_bytes and now - link.stalled_since >= self._gate.settings.session.write_stall:
                self.handle(Stalled(side))
                return

    def channel_lost(self, name: str) -> None:
        """A channel is down: who was let in because of it goes, and so does who was called through it."""
        if self.origin.channel == name and self._demands_a_channel():
            self.handle(Ordered(f"channel {name} is down"))
        elif self._called_host is not None and self._closed_to(self._called_host) == name:
            self.handle(Ordered(f"channel {name} to the called party is down"))

    def _demands_a_channel(self) -> bool:
        """Who has no route yet may still turn out to be somebody who does."""
        rules = self._gate.settings.rules
        asked = any(each.channels is not None for each in rules.listeners if each.name == self.origin.listener)
        return asked or self._route is None or self._route.peer.channels is not None

    def _closed_to(self, host: str) -> str | None:
        channels = self._gate.channels
        return None if channels is None else channels.closed_to(host)

    def reloaded(self) -> None:
        """The rules have changed."""
        self.handle(Reloaded(self._gate.policy))


def _unpinned(sock: ssl.SSLSocket, pins: frozenset[str]) -> str | None:
    """Why the certificate of the other side is not the one that was written down; None when it is, or none was."""
    if not pins:
        return None
    der = sock.getpeercert(binary_form=True)
    try:
        found = None if der is None else facts_of(der).spki_sha256
    except ValueError:
        found = None
    return None if found in pins else f"certificate refused: its public key (spki:{found}) is not one of those listed"
