"""Invariant: any bytes are frames, Broken only as the last; a cut changes nothing, and little is ever kept."""

import sys

import atheris

with atheris.instrument_imports(include=["dicomgate"]):
    from dicomgate.wire.framer import Broken, CommandFragment, DataRun, Frame, Framer

ASSOCIATE_LIMIT, DATA_LIMIT = 4096, 512


def fuzz_one(data: bytes) -> None:
    """`data` is the size of the reads, and the stream of one side."""
    if not data:
        return
    size, stream = data[0] % 32 + 1, data[1:]
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    whole = said(frames([stream], False))
    if said(frames(pieces, False)) != whole or said(frames(pieces, True)) != whole:
        raise AssertionError(f"another reading in pieces of {size}")


def frames(pieces: list[bytes], fetches_carry: bool) -> list[Frame]:
    framer = Framer(ASSOCIATE_LIMIT, DATA_LIMIT)
    found: list[Frame] = []
    for piece in pieces:
        carry = framer.take_carry() if fetches_carry else b""
        found += framer.feed(memoryview(carry + piece))
        held = (getattr(framer, name) for name in Framer.__slots__)
        if sum(len(value) for value in held if isinstance(value, bytes | bytearray)) > ASSOCIATE_LIMIT:
            raise AssertionError("more is kept than the longest PDU")
    if any(isinstance(frame, Broken) for frame in found[:-1]):
        raise AssertionError("a frame after Broken")
    return found


def said(found: list[Frame]) -> list[object]:
    """Neighbours joined, so that where a read ended does not show."""
    joined: list[object] = []
    for frame in found:
        match joined[-1] if joined else None, frame:
            case (CommandFragment(a, before, False), CommandFragment(b, more, last)) if a == b:
                joined[-1] = CommandFragment(a, before + more, last)
            case (DataRun(a, before, size, False, _), DataRun(b, more, added, last, whole)) if a == b:
                joined[-1] = DataRun(a, bytes(before) + bytes(more), size + added, last, whole)
            case (_, DataRun(a, wire, size, last, whole)):
                joined.append(DataRun(a, bytes(wire), size, last, whole))
            case _:
                joined.append(frame)
    return joined


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
