"""Invariant: any events in any order raise nothing, relay nothing unjudged, and end (tests/session/watch.py)."""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.facts import Side
    from dicomgate.session.events import (
        Connected,
        Event,
        HungUp,
        Ordered,
        Received,
        Recorded,
        Reloaded,
        Stalled,
        TimeUp,
        Unreachable,
    )
    from session.cast import SCANNER, hospital, monitoring
    from session.watch import CONVERSATION, SAID, Watch

POLICY = hospital()
WORLD: list[Event] = [
    HungUp(Side.REQUESTOR),
    HungUp(Side.ACCEPTOR),
    Recorded(True),
    Recorded(False),
    Connected(),
    Unreachable("no route"),
    TimeUp(),
    Stalled(Side.REQUESTOR),
    Stalled(Side.ACCEPTOR),
    Reloaded(hospital(SCANNER)),
    Reloaded(monitoring()),
    Ordered("stopping"),
]


def fuzz_one(data: bytes) -> None:
    """`data` says how much of a known conversation comes first, and what happens then."""
    source = atheris.FuzzedDataProvider(data)
    watch = Watch(POLICY)
    for event in CONVERSATION[: source.ConsumeIntInRange(0, len(CONVERSATION))]:
        watch.feed(event)
    by_the_clock = source.ConsumeBool()
    while source.remaining_bytes():
        watch.feed(next_event(source))
    watch.end(by_the_clock)


def next_event(source: atheris.FuzzedDataProvider) -> Event:
    """Known bytes, whole, damaged or cut; unknown bytes; or something else that happens."""
    kind = source.ConsumeIntInRange(0, 7)
    if kind == 0:
        return WORLD[source.ConsumeIntInRange(0, len(WORLD) - 1)]
    side = Side.ACCEPTOR if source.ConsumeBool() else Side.REQUESTOR
    if kind == 1:
        return Received(side, memoryview(source.ConsumeBytes(source.ConsumeIntInRange(0, 64))))
    said = bytearray(SAID[source.ConsumeIntInRange(0, len(SAID) - 1)])
    place = source.ConsumeIntInRange(0, len(said))
    match kind:
        case 2:
            del said[place:]
        case 3:
            del said[:place]
        case 4 | 5:
            said[place : place + 1] = source.ConsumeBytes(1)
        case _:
            pass
    return Received(side, memoryview(said))


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
