"""Captured frames in; out: each conversation once it is over, and records of what is said in it, at once.

Pure and bounded.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from dicomgate.audit.record import Record
from dicomgate.detect.windows import Recent
from dicomgate.facts import Side
from dicomgate.watch.chronicle import Chronicle, Ends, Tell
from dicomgate.watch.conversation import PATIENCE, Conversation, Kind, Listener
from dicomgate.watch.packets import ACK, FIN, RST, SYN, Address, Segment, address_of, segment_of
from dicomgate.watch.streams import Stream
from dicomgate.watch.surroundings import Surroundings

MOST_CONNECTIONS = 20_000
"""Connections followed at a time. The one that has been silent for longest gives way."""
MOST_HELD = 256 * 1024 * 1024
"""Bytes that wait for others before they can be understood, all connections together. The same one gives way."""
DICOM_PORTS = frozenset({104, 2761, 2762, 4242, 11112})
"""Where DICOM usually listens: TLS to one of these is worth telling, also without the application protocol."""

Endpoint = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """A finished or forgotten connection. Times are seconds since 1970, bytes are those of TCP payloads."""

    client: Address
    client_port: int
    server: Address
    server_port: int
    first: float
    last: float
    sent: int
    received: int
    conversation: Conversation


@dataclass(slots=True)
class Totals:
    """What came by. `unread` frames are no TCP that can be read; `forgotten` connections gave way to newer ones."""

    frames: int = 0
    unread: int = 0
    segments: int = 0
    connections: int = 0
    forgotten: int = 0
    lost_bytes: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Connection:
    requestor: Endpoint
    acceptor: Endpoint
    listener: Listener
    streams: dict[Side, Stream]
    start: int
    """The sequence number of the requestor's first byte, as far as that is known."""
    first: float
    last: float
    bytes: dict[Side, int]
    finished: list[Side] = field(default_factory=list)
    held: int = 0


def _unheard(record: Record) -> None:
    """Nobody wants records."""


class Watcher:
    """Feed it frames in the order of their capture; it yields each connection of interest once it is over.

    `tell` takes the records of all but those that the gate makes itself: of these it has told the gate's detectors.
    """

    def __init__(
        self,
        ports: frozenset[int] = frozenset(),
        most: int = MOST_CONNECTIONS,
        *,
        most_held: int = MOST_HELD,
        surroundings: Surroundings | None = None,
        tell: Tell = _unheard,
    ) -> None:
        self.totals = Totals()
        self.held = 0
        """Bytes that are kept for the moment."""
        self._ports = ports | DICOM_PORTS
        self._most = most
        self._most_held = most_held
        self._surroundings = surroundings or Surroundings()
        self._tell = tell
        self._servers: Recent[bool] = Recent()
        self._now = 0.0
        self._patient: OrderedDict[tuple[Endpoint, Endpoint], _Connection] = OrderedDict()
        """Those that may still take their time before they make a request, the eldest first."""
        self._due = inf
        """When the eldest of them has had its time."""
        self._open: OrderedDict[tuple[Endpoint, Endpoint], _Connection] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def frame(self, link: int, content: memoryview, time: float) -> Iterator[Seen]:
        """One captured frame; `link` is the capture's LINKTYPE, `time` seconds since 1970."""
        self.totals.frames += 1
        self._now = time
        if time >= self._due:
            self._look_at_the_clock()
        segment = segment_of(link, content)
        if segment is None:
            self.totals.unread += 1
            return
        self.totals.segments += 1
        one, other = segment.source, segment.destination
        key = (one, other) if one < other else (other, one)
        connection = self._open.get(key)
        fresh = segment.flags & SYN and not segment.flags & ACK
        used = connection is not None and (connection.bytes[Side.REQUESTOR] or connection.finished)
        late = connection is not None and (segment.sequence + 1) & 0xFFFF_FFFF == connection.start
        if connection is not None and fresh and used and not late and segment.source == connection.requestor:
            yield from self._close(key)  # the port is used again
            connection = None
        if connection is None:
            if not (segment.payload or segment.missing or fresh):
                return
            connection = self._opened(segment, time, known=bool(segment.flags & SYN))
            self._open[key] = connection
            if segment.flags & SYN:
                self._patient[key] = connection
                self._due = min(self._due, time + PATIENCE)
            if len(self._open) > self._most:
                self.totals.forgotten += 1
                yield from self._close(next(iter(self._open)))
        else:
            self._open.move_to_end(key)
        yield from self._segment(key, connection, segment, time)
        while self.held > self._most_held and self._open:
            self.totals.forgotten += 1
            yield from self._close(next(iter(self._open)))

    def finish(self) -> Iterator[Seen]:
        """The capture has ended: what is still open, as far as it got."""
        for key in tuple(self._open):
            yield from self._close(key)

    def _opened(self, segment: Segment, time: float, *, known: bool) -> _Connection:
        self.totals.connections += 1
        caller, called = segment.source, segment.destination
        start = (segment.sequence + 1) & 0xFFFF_FFFF if known else segment.sequence
        streams = {Side.REQUESTOR: Stream(start)}
        if segment.flags & SYN and segment.flags & ACK:  # the answer came by first: on some ways the order changes
            caller, called, streams = called, caller, {}
        client, server = address_of(caller[0]), address_of(called[0])
        ends = Ends(self.totals.connections, client, caller[1], server, called[1])
        tell = _unheard if self._surroundings.is_gate(client) else self._tell
        listener = Listener(Chronicle(ends, self._surroundings, tell), time, known=known)
        return _Connection(caller, called, listener, streams, start, time, time, dict.fromkeys(Side, 0))

    def _look_at_the_clock(self) -> None:
        while self._patient:
            key, connection = next(iter(self._patient.items()))
            self._due = connection.first + PATIENCE
            if self._now < self._due:
                return
            del self._patient[key]
            if self._open.get(key) is connection:
                connection.listener.lose_patience(self._now, dicom_server=self._is_dicom_server(connection))
        self._due = inf

    def _is_dicom_server(self, connection: _Connection) -> bool:
        """Is it known that DICOM is spoken there: from the configuration, or because somebody was admitted?"""
        address, port = connection.acceptor
        server = address_of(address)
        return self._surroundings.is_protected(server, port) or self._servers.get(f"{server} {port}") is not None

    def _segment(
        self, key: tuple[Endpoint, Endpoint], connection: _Connection, segment: Segment, time: float
    ) -> Iterator[Seen]:
        connection.last = time
        side = Side.REQUESTOR if segment.source == connection.requestor else Side.ACCEPTOR
        sequence = segment.sequence
        if segment.flags & SYN:
            sequence = (sequence + 1) & 0xFFFF_FFFF  # the SYN itself takes one number
        stream = connection.streams.get(side)
        if stream is None:
            stream = connection.streams[side] = Stream(sequence)
        opposite = connection.streams.get(side.other)
        if opposite is not None and opposite.held and segment.flags & ACK:
            for piece in opposite.acknowledge(segment.acknowledged):
                connection.listener.hear(side.other, piece, time)
            self._weigh(connection)
        if segment.payload or segment.missing:
            connection.bytes[side] += len(segment.payload) + segment.missing
            for piece in stream.take(sequence, segment.payload, segment.missing):
                connection.listener.hear(side, piece, time)
            self._weigh(connection)
        # A reset that the other side would not believe ends nothing (RFC 5961 3.2): it is how a watcher is blinded.
        reset = segment.flags & RST and stream.is_next(sequence)
        if (reset or segment.flags & FIN) and side not in connection.finished:
            connection.finished.append(side)
        if reset or len(connection.finished) == len(Side):
            yield from self._close(key)

    def _weigh(self, connection: _Connection) -> None:
        held = connection.listener.held
        for stream in connection.streams.values():
            held += stream.held
        self.held += held - connection.held
        connection.held = held

    def _close(self, key: tuple[Endpoint, Endpoint]) -> Iterator[Seen]:
        connection = self._open.pop(key)
        self._patient.pop(key, None)
        self.held -= connection.held
        told = connection.listener.conversation
        for side, stream in connection.streams.items():
            for piece in stream.finish():
                connection.listener.hear(side, piece, self._now)
        server, port = address_of(connection.acceptor[0]), connection.acceptor[1]
        if told.accepted:
            self._servers.put(f"{server} {port}", True)
        connection.listener.hang_up(
            self._now,
            sum(connection.bytes.values()),
            connection.finished[0] if connection.finished else None,
            dicom_server=self._is_dicom_server(connection),
        )
        self.totals.lost_bytes += told.lost
        self.totals.kinds[told.kind.value] += 1
        if told.kind is Kind.DICOM or (told.kind is Kind.TLS and (told.offers_dicom or port in self._ports)):
            yield Seen(
                address_of(connection.requestor[0]),
                connection.requestor[1],
                server,
                port,
                connection.first,
                connection.last,
                connection.bytes[Side.REQUESTOR],
                connection.bytes[Side.ACCEPTOR],
                told,
            )
