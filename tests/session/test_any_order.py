"""Properties of the session: any events in any order, damaged conversations, any cut; the witness is reference.py."""

from dataclasses import replace
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.audit.instance import Version
from dicomgate.audit.record import Event as About
from dicomgate.facts import Side
from dicomgate.policy.model import Verb
from dicomgate.session.events import (
    Connected,
    Event,
    HungUp,
    NotRecalled,
    Ordered,
    Recalled,
    Received,
    Recorded,
    Reloaded,
    Stalled,
    TimeUp,
    Unreachable,
)
from dicomgate.wire.command import encode_command
from playbook import ACCEPTOR, REQUESTOR, Playbook, acceptor, message, requestor
from session.cast import (
    ON_COMMIT,
    ON_ECHO,
    ON_FIND,
    ON_STORE,
    SCANNER,
    WORKSTATION,
    answer,
    commit,
    echo,
    find,
    hospital,
    monitoring,
    scanner,
    store,
    watchful,
    workstation,
)
from session.reference import Message, Pdv, elements, messages, pdus
from session.watch import CONVERSATION, SAID, Watch
from wire.strategies import damaged

said = st.one_of(st.sampled_from(SAID), damaged(st.sampled_from(SAID)), st.binary(max_size=30))
received = st.builds(Received, st.sampled_from(Side), said.map(memoryview))
policies = st.sampled_from(
    [
        hospital(),
        hospital(SCANNER),
        hospital(replace(WORKSTATION, may=frozenset({Verb.FIND}))),
        monitoring(SCANNER),
        watchful(),
        watchful(replace(SCANNER, corrections=True)),
    ]
)
anything = st.one_of(
    received,
    received,
    st.builds(HungUp, st.sampled_from(Side)),
    st.builds(Recorded, st.booleans()),
    st.just(Connected()),
    st.just(Unreachable("no route")),
    st.just(TimeUp()),
    st.builds(Stalled, st.sampled_from(Side)),
    st.builds(Reloaded, policies),
    st.just(Ordered("stopping")),
    st.builds(Recalled, st.integers(1, 3), st.sampled_from([None, Version("1.2.840.10008.1.2.1", "00" * 32)])),
    st.builds(NotRecalled, st.integers(1, 3), st.just("locked"), st.booleans()),
)


@settings(max_examples=250)
@given(st.integers(0, len(CONVERSATION)), st.lists(anything, max_size=8), policies, st.booleans())
def test_any_events_at_any_point_of_a_conversation(known, events, policy, by_the_clock):
    watch = Watch(policy)
    for event in [*CONVERSATION[:known], *events]:
        watch.feed(event)
    watch.end(by_the_clock)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, len(CONVERSATION)), anything), max_size=3), policies, st.booleans())
def test_a_conversation_with_surprises(surprises, policy, by_the_clock):
    events = list(CONVERSATION)
    for at, event in sorted(surprises, key=lambda surprise: -surprise[0]):
        events.insert(at, event)
    watch = Watch(policy)
    for event in events:
        watch.feed(event)
    watch.end(by_the_clock)


@settings(max_examples=50)
@given(st.permutations(CONVERSATION))
def test_a_conversation_in_any_order(events):
    watch = Watch(hospital())
    for event in events:
        watch.feed(event)
    watch.end(by_the_clock=False)


def test_the_conversation_itself_goes_well():
    watch = Watch(hospital())
    for event in CONVERSATION:
        watch.feed(event)
    assert watch.session.finished
    watch.end(by_the_clock=False)
    assert [record.status for record in watch.records if record.status] == ["0000", "A801", "FE00", "0000", "B000"]


# -- any cut -----------------------------------------------------------------------------------------------


def outcome(events: list[Event], cut: list[int] | None = None) -> tuple[object, ...]:
    """What came of it: the bytes each side got and the records. `cut` plays the driver with reads of those sizes."""
    watch = Watch(hospital())
    sizes = cycle(cut or [])
    for event in events:
        if isinstance(event, Received) and cut:
            rest = bytes(event.data)
            while rest:
                size = next(sizes)
                carry = watch.session.take_carry(event.side)
                watch.feed(Received(event.side, memoryview(carry + rest[:size])))
                rest = rest[size:]
        else:
            watch.feed(event)
    books = [(r.event, r.outcome, r.status, r.reason, r.command, r.rule) for r in watch.records]
    counted = [r.bytes for r in watch.records if r.event is About.OPERATION]
    return {side: bytes(stream) for side, stream in watch.sent.items()}, books, counted, watch.closed, watch.reset


@settings(max_examples=100)
@given(st.data())
def test_what_comes_of_a_conversation_does_not_depend_on_the_cut(data):
    events = list(CONVERSATION)
    at = data.draw(st.sampled_from([n for n, event in enumerate(events) if isinstance(event, Received)]))
    if data.draw(st.booleans()):
        broken = data.draw(damaged(st.just(bytes(events[at].data))))
        events[at] = Received(events[at].side, memoryview(broken))
    cut = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=20))
    assert outcome(events, cut) == outcome(events)


# -- what is relayed ---------------------------------------------------------------------------------------


@st.composite
def fragmented(draw, context_id: int, command: bytes, data: bytes | None) -> bytes:
    """A message in any PDVs, those in any PDUs, with any reserved bits."""
    pdvs = _pieces(draw, context_id, command, 1) + ([] if data is None else _pieces(draw, context_id, data, 0))
    stream = b""
    while pdvs:
        together = draw(st.integers(1, 3))
        body, pdvs = b"".join(pdvs[:together]), pdvs[together:]
        stream += bytes((4, draw(st.sampled_from([0, 0, 0, 0x55])))) + len(body).to_bytes(4, "big") + body
    return stream


def _pieces(draw, context_id: int, whole: bytes, control: int) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    reserved = draw(st.sampled_from([0, 0, 0, 0xFC]))
    last = len(pieces) - 1
    return [
        (len(p) + 2).to_bytes(4, "big") + bytes((context_id, control | reserved | (2 if n == last else 0))) + p
        for n, p in enumerate(pieces)
    ]


@st.composite
def sent_by_a_scanner(draw) -> tuple[bytes, list[int]]:
    """Some messages as a stream, and the message IDs of those that a scanner may send."""
    stream, allowed = b"", []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        data = draw(st.binary(max_size=300))
        context_id, command, fine = draw(
            st.sampled_from(
                [
                    (ON_STORE, store(number), True),
                    (ON_STORE, store(number), True),
                    (ON_STORE, store(number, "1/2"), False),
                    (ON_COMMIT, commit(number), True),
                    (ON_ECHO, echo(number), True),
                ]
            )
        )
        stream += draw(fragmented(context_id, encode_command(command), data if command.has_data_set else None))
        if fine:
            allowed.append(number)
    return stream, allowed


@st.composite
def cut(draw, stream: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


def relayed(play: Playbook, side: Side) -> list[Message]:
    """The messages a side was sent, all of them in canonical form."""
    parts, rest = pdus(bytes(play.sent[side]))
    assert rest == b""
    assert all(part.canonical for part in parts if isinstance(part, Pdv))
    return messages([part for part in parts if isinstance(part, Pdv)])


def came(stream: bytes) -> list[Message]:
    parts, rest = pdus(stream)
    assert rest == b""
    return messages([part for part in parts if isinstance(part, Pdv)])


def told(message_: Message) -> tuple[int, dict[int, bytes], bytes | None]:
    return message_.context_id, elements(message_.command), message_.data


@settings(max_examples=100)
@given(sent_by_a_scanner(), st.data())
def test_the_archive_gets_every_allowed_message_and_not_a_byte_of_the_others(sent, data):
    stream, allowed = sent
    play = scanner()
    for piece in data.draw(cut(stream)):
        play = play >> requestor(play.session.take_carry(REQUESTOR) + piece) << ...
    expected = [told(m) for m in came(stream) if int.from_bytes(elements(m.command)[0x0110], "little") in allowed]
    assert [told(m) for m in relayed(play, ACCEPTOR)] == expected
    refused = [m for m in relayed(play, REQUESTOR) if elements(m.command)[0x0900] == b"\x17\x01"]
    assert len(refused) == len(came(stream)) - len(allowed)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=300), max_size=4), st.data())
def test_the_workstation_gets_every_match(matches, data):
    pending, final = answer(find(), 0xFF00, data=True), answer(find())
    stream = b"".join(data.draw(fragmented(ON_FIND, encode_command(pending), match)) for match in matches)
    stream += data.draw(fragmented(ON_FIND, encode_command(final), None))
    play = workstation() >> requestor(message(ON_FIND, find(), b"keys")) << ...
    for piece in data.draw(cut(stream)):
        play = play >> acceptor(play.session.take_carry(ACCEPTOR) + piece) << ...
    assert [told(m) for m in relayed(play, REQUESTOR)] == [told(m) for m in came(stream)]
    assert play.records[-1].bytes == 4 + sum(map(len, matches))
