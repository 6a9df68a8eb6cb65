"""Attacks and an ordinary day, told as frames that go past every gate. Nothing here is a recording."""

from __future__ import annotations

import struct
from dataclasses import replace

from dicomgate.wire.codec import encode
from dicomgate.wire.codes import Reject, Rejection
from dicomgate.wire.pdu import AssociateReject, ProposedContext, ReleaseReply, ReleaseRequest
from playbook import message
from session.cast import EXPLICIT, ON_FIND, ON_MOVE, STUDY_FIND, accept, answer, find, move, request
from watch.wiretap import SERVER, Call

ATTACKER = "10.1.9.9"
PENDING, UNKNOWN_DESTINATION = 0xFF00, 0xA801
LEVEL = ((0x0008, 0x0052), b"CS", b"STUDY ")


def element(tag: tuple[int, int], vr: bytes, value: bytes) -> bytes:
    """Explicit VR Little Endian, the form of accept()."""
    return struct.pack("<HH2sH", *tag, vr, len(value)) + value


def keys(name: bytes = b"", date: bytes = b"") -> bytes:
    parts = (LEVEL, ((0x0008, 0x0020), b"DA", date), ((0x0010, 0x0010), b"PN", name))
    return b"".join(element(*part) for part in parts)


def dial(source: str = ATTACKER, port: int = 50000, server: tuple[str, int] = SERVER) -> Call:
    return Call(client=(source, port), server=server).opens()


def admitted(call: Call, calling: str = "WS1", called: str = "ARCHIVE", **told: object) -> Call:
    return call.says(encode(request(calling, called, **told))).answers(encode(accept(ON_FIND, ON_MOVE)))


def released(call: Call) -> list[bytes]:
    return call.says(encode(ReleaseRequest())).answers(encode(ReleaseReply())).ends().frames


def rejected(called: str, number: int, rejection: Rejection = Reject.CALLED_AE_TITLE_NOT_RECOGNIZED) -> list[bytes]:
    call = dial(port=40000 + number).says(encode(request("CT1", called)))
    return call.answers(encode(AssociateReject(rejection))).ends().frames


def asked(call: Call, identifier: bytes, number: int = 1, matches: int = 0) -> Call:
    """A C-FIND and its matches; each match is a data set of its own."""
    call.says(message(ON_FIND, find(number), identifier))
    match = message(ON_FIND, answer(find(number), PENDING, data=True), keys(b"DOE^JOHN"))
    for _ in range(matches):
        call.answers(match)
    return call.answers(message(ON_FIND, answer(find(number))))


def moved(call: Call, destination: str, number: int, status: int = 0) -> Call:
    asking = move(destination, number)
    call.says(message(ON_MOVE, asking, LEVEL_ONLY))
    return call.answers(message(ON_MOVE, answer(asking, status)))


LEVEL_ONLY = element(*LEVEL)


def titles_tried() -> list[bytes]:
    return [frame for number in range(5) for frame in rejected(f"PACS{number}", number)]


def harvest(matches: int = 30) -> list[bytes]:
    return released(asked(admitted(dial()), keys(), matches=matches))


def walk(days: int = 15) -> list[bytes]:
    """All that there is, one day after another."""
    call = admitted(dial())
    for day in range(days):
        asked(call, keys(date=f"202601{day + 1:02d}".encode()), number=day + 1, matches=3)
    return released(call)


def moved_away() -> list[bytes]:
    call = admitted(dial())
    for number in range(1, 4):
        moved(call, f"EVIL{number}", number, UNKNOWN_DESTINATION)
    return released(call)


def sweep() -> list[bytes]:
    """A scanner that says who it is, asks what is possible, and leaves."""
    frames = []
    for number in range(2):
        asking = request("CT1", implementation_version_name="NMAP_DICOM")
        many = tuple(ProposedContext(2 * n + 1, f"{STUDY_FIND}.{n + 1}", (EXPLICIT,)) for n in range(60))
        call = dial(port=41000 + number).says(encode(replace(asking, presentation_contexts=many)))
        frames += released(call.answers(encode(accept(ON_FIND))))
    return frames


def ordinary() -> list[bytes]:
    """A workstation asks for one patient, then for today, and has a study sent to itself."""
    call = admitted(dial("10.1.2.40"))
    asked(call, keys(b"DOE^JOHN"), 1, matches=2)
    asked(call, keys(date=b"20261122"), 2, matches=20)
    return released(moved(call, "WS1", 3))
