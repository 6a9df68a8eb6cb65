"""Captured frames in, conversations out: which connections there are, and what each of them says. Pure and bounded."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from dicomgate.facts import Side
from dicomgate.watch.conversation import Conversation, Kind, Listener
from dicomgate.watch.packets import ACK, FIN, RST, SYN, Address, Segment, address_of, segment_of
from dicomgate.watch.streams import Stream

MOST_CONNECTIONS = 20_000
"""Connections followed at a time. The one that has been silent for longest gives way."""
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
    first: float
    last: float
    bytes: dict[Side, int]
    finished: set[Side] = field(default_factory=set)


class Watcher:
    """Feed it frames in the order of their capture; it yields each connection of interest once it is over."""

    def __init__(self, ports: frozenset[int] = frozenset(), most: int = MOST_CONNECTIONS) -> None:
        self.totals = Totals()
        self._ports = ports | DICOM_PORTS
        self._most = most
        self._open: OrderedDict[tuple[Endpoint, Endpoint], _Connection] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def frame(self, link: int, content: memoryview, time: float) -> Iterator[Seen]:
        """One captured frame; `link` is the capture's LINKTYPE, `time` seconds since 1970."""
        self.totals.frames += 1
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
        if connection is not None and fresh and used and segment.source == connection.requestor:
            yield from self._close(key)  # the port is used again
            connection = None
        if connection is None:
            if not (segment.payload or segment.missing or fresh):
                return
            connection = self._opened(segment, time, known=bool(fresh))
            self._open[key] = connection
            if len(self._open) > self._most:
                self.totals.forgotten += 1
                yield from self._close(next(iter(self._open)))
        else:
            self._open.move_to_end(key)
        yield from self._segment(key, connection, segment, time)

    def finish(self) -> Iterator[Seen]:
        """The capture has ended: what is still open, as far as it got."""
        for key in tuple(self._open):
            yield from self._close(key)

    def _opened(self, segment: Segment, time: float, *, known: bool) -> _Connection:
        self.totals.connections += 1
        start = (segment.sequence + 1) & 0xFFFF_FFFF if known else segment.sequence
        return _Connection(
            segment.source,
            segment.destination,
            Listener(known=known),
            {Side.REQUESTOR: Stream(start)},
            time,
            time,
            dict.fromkeys(Side, 0),
        )

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
        if segment.payload or segment.missing:
            connection.bytes[side] += len(segment.payload) + segment.missing
            for piece in stream.take(sequence, segment.payload, segment.missing):
                connection.listener.hear(side, piece)
        if segment.flags & FIN:
            connection.finished.add(side)
        if segment.flags & RST or len(connection.finished) == len(Side):
            yield from self._close(key)

    def _close(self, key: tuple[Endpoint, Endpoint]) -> Iterator[Seen]:
        connection = self._open.pop(key)
        told = connection.listener.conversation
        for side, stream in connection.streams.items():
            for piece in stream.finish():
                connection.listener.hear(side, piece)
        connection.listener.hang_up()
        self.totals.lost_bytes += told.lost
        self.totals.kinds[told.kind.value] += 1
        port = connection.acceptor[1]
        if told.kind is Kind.DICOM or (told.kind is Kind.TLS and (told.offers_dicom or port in self._ports)):
            yield Seen(
                address_of(connection.requestor[0]),
                connection.requestor[1],
                address_of(connection.acceptor[0]),
                port,
                connection.first,
                connection.last,
                connection.bytes[Side.REQUESTOR],
                connection.bytes[Side.ACCEPTOR],
                told,
            )
