"""The tamper alarm over real sockets: what is held, who is not read meanwhile, what the archive never gets whole."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

import pytest

from dicomgate.audit.instance import Instance, Known, Version
from dicomgate.audit.record import Event, Outcome
from dicomgate.gate.settings import GateSettings
from dicomgate.policy.model import Tamper
from gate.standins import House, Party, answering, asking, echo, house, message, storing, until
from policy.scene import CT

IMPLICIT = "1.2.840.10008.1.2"
UID = "1.2.3.4"


def image(pixels: bytes, size: int = 200_000) -> bytes:
    """A CT image in implicit VR little endian: its instance, and pixels."""
    uid = UID.encode() + b"\0"
    return b"\x08\0\x18\0" + len(uid).to_bytes(4, "little") + uid + pixels * (size // len(pixels))


ORIGINAL, ALTERED = image(b"pixels"), image(b"forged")
KNOWN = Version(IMPLICIT, sha256(ORIGINAL).hexdigest())


class Shelf:
    """A Recollection that answers when it is told to. `at_once` is what is known; ... waits."""

    def __init__(self) -> None:
        self.at_once: Known | None = None
        self.holds = False
        self.asked: list[tuple[Instance, Callable[[Known], None]]] = []
        self.call_soon: Callable[..., object] = print

    def ask(self, instance: Instance, done: Callable[[Known], None]) -> None:
        self.asked.append((instance, done))
        if not self.holds:
            self.call_soon(done, self.at_once)


def guarded(tamper: Tamper = Tamper.REFUSE, **changes: object) -> Callable[[GateSettings], GateSettings]:
    def change(settings: GateSettings) -> GateSettings:
        archives = tuple(replace(archive, tamper=tamper) for archive in settings.rules.archives)
        rules = replace(settings.rules, archives=archives)
        return replace(settings, rules=rules, **changes)  # type: ignore[arg-type]

    return change


def shelved(running: House) -> Shelf:
    shelf = Shelf()
    shelf.call_soon = running.loop.call_soon
    running.call(lambda: setattr(running.gate, "_recollection", shelf))
    return shelf


@pytest.fixture
def hospital() -> Iterator[House]:
    with house(guarded()) as running:
        yield running


def association(running: House) -> tuple[Party, Party]:
    return running.association(asking((CT, IMPLICIT)))


def store(client: Party, data: bytes, message_id: int = 1) -> None:
    client.send(message(1, storing(message_id, UID), data))


def test_a_first_store_passes_and_is_digested(hospital: House) -> None:
    shelf = shelved(hospital)
    client, archive = association(hospital)
    store(client, ORIGINAL)
    asked = archive.command()
    assert archive.data() == ORIGINAL
    archive.send(message(1, answering(asked)))
    assert client.command().status == 0
    record = hospital.await_record(Event.OPERATION)
    assert record.detail["sha256"] == KNOWN.sha256
    assert record.detail["content"] == "first"
    assert [instance for instance, _ in shelf.asked] == [Instance("main", UID)]


def test_other_content_is_never_whole_at_the_archive(hospital: House) -> None:
    shelved(hospital).at_once = KNOWN
    client, archive = association(hospital)
    store(client, ALTERED)
    refused = client.command()
    assert refused.status == 0x0124
    record = hospital.await_record(Event.INSTANCE_CHANGED)
    assert record.outcome is Outcome.REFUSED
    assert (refused.error_comment or "").endswith(record.refusal_id or "no ID")
    archive.command()
    seen = archive.ends()
    assert len(seen) < len(ALTERED) + 12 * (len(ALTERED) // 16384 + 1)
    client.close()
    hospital.settle()


def test_while_the_end_is_held_the_client_is_not_read(hospital: House) -> None:
    """What it goes on sending stays in the kernel's buffers: the gate holds one read at most."""
    shelf = shelved(hospital)
    shelf.holds = True
    client, archive = association(hospital)
    store(client, ORIGINAL)
    until(lambda: shelf.asked, "the question")
    client.sock.setblocking(False)
    flood, sent = bytes(message(1, storing(2, "1.2.3.5"), bytes(1 << 20))), 0

    def full() -> bool:
        nonlocal sent
        if select.select([], [client.sock], [], 0.3)[1]:
            try:
                sent += client.sock.send(flood[sent % len(flood) :])
            except BlockingIOError:
                return False
            return sent > 64 << 20
        return True

    until(full, "a client that cannot send any more")
    assert sent < 64 << 20, "the gate read on"
    paused = hospital.call(lambda: [c._paused for c in hospital.gate._connections])
    assert paused != [None]
    hospital.loop.call_soon_threadsafe(shelf.asked[0][1], None)
    assert archive.command().affected_sop_instance_uid == UID
    assert archive.data() == ORIGINAL
    assert archive.command().affected_sop_instance_uid == "1.2.3.5", "and then it is read again"


def test_a_store_that_never_answers_does_not_hang_anybody() -> None:
    quick = guarded(Tamper.REFUSE)
    with house(lambda s: replace(quick(s), connections=replace(s.connections, recall=0.2))) as hospital:
        shelf = shelved(hospital)
        shelf.holds = True
        client, _ = association(hospital)
        store(client, ORIGINAL)
        assert client.command().status == 0xA700
        record = hospital.await_record(Event.OPERATION_REFUSED)
        assert record.rule == "audit.on_failure"
        assert "no answer within 0.2 s" in (record.reason or "")
        client.close()
        hospital.settle()
        hospital.call(lambda: shelf.asked[0][1](None))  # too late, and nobody minds


def test_with_continue_it_passes() -> None:
    with house(guarded(on_audit_failure="continue")) as hospital:
        shelved(hospital).at_once = "disk I/O error"
        client, archive = association(hospital)
        store(client, ORIGINAL)
        archive.command()
        assert archive.data() == ORIGINAL


def test_a_gate_without_a_store_refuses(hospital: House) -> None:
    client, _ = association(hospital)
    store(client, ORIGINAL)
    assert client.command().status == 0xA700


def test_the_other_direction_goes_on_while_the_end_is_held(hospital: House) -> None:
    shelf = shelved(hospital)
    shelf.holds = True
    client, archive = hospital.association(asking((CT, IMPLICIT), ("1.2.840.10008.1.1",)))
    client.send(message(3, echo(7)))
    asked = archive.command()
    store(client, ORIGINAL, 8)
    until(lambda: shelf.asked, "the question")
    archive.send(message(3, answering(asked)))
    assert client.command().message_id_being_responded_to == 7


def test_an_archive_that_leaves_while_the_end_is_held(hospital: House) -> None:
    shelf = shelved(hospital)
    shelf.holds = True
    client, archive = association(hospital)
    store(client, ORIGINAL)
    until(lambda: shelf.asked, "the question")
    archive.reset()
    assert client.last_words()[-10:-4] == b"\7\0\0\0\0\4"
    client.close()
    hospital.settle()
    hospital.call(lambda: shelf.asked[0][1](None))
    assert hospital.call(lambda: hospital.gate.under_way.instances) == 0


def test_of_two_at_once_with_different_content_one_gets_through(hospital: House) -> None:
    shelf = shelved(hospital)
    shelf.holds = True
    first, its_archive = association(hospital)
    second, other_archive = association(hospital)
    store(first, ORIGINAL)
    store(second, ALTERED)
    until(lambda: len(shelf.asked) == 2, "both questions")
    for _, done in shelf.asked:
        hospital.loop.call_soon_threadsafe(done, None)
    got = []
    for party in (its_archive, other_archive):
        party.command()
        got.append(whole(party))
    assert sorted(got) == [False, True]


def whole(archive: Party) -> bool:
    """Did it get the end of the data set?"""
    while True:
        header = archive.exactly(6)
        if len(header) < 6 or header[0] != 4:
            return False
        body = archive.exactly(int.from_bytes(header[2:], "big"))
        if len(body) < 6:
            return False
        if body[5] & 2:
            return True
