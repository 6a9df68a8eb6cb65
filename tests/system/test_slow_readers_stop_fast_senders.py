"""Who reads nothing stops who sends: memory stays bounded, others go on, and the stall ends with a record."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from dicomgate.wire.codes import CommandField, PduType
from lab.process import LabError, wait_until
from system.house import House, house
from system.raw_archive import (
    ON_CT,
    ON_FIND,
    PENDING,
    SECONDS,
    Wire,
    data_set,
    established,
    p_data,
    pdv,
    query_rq,
    response,
    store_rq,
)

pytestmark = pytest.mark.system
MiB = 1024 * 1024
MOST = 12 * MiB
"""What the gate may grow by: its shared buffers, and one read that waits for each side of a few associations."""
RECORDS_THAT_WAIT = 64 * MiB
"""Each refusal is recorded and logged; those queues are bounded by number."""
ENDLESS = 128 * MiB
"""More than the kernel's buffers take on the two hops."""
BULK = p_data(pdv(ON_CT, 0, bytes(16000))) * 60
MATCHES = (response(ON_FIND, CommandField.C_FIND_RSP, 1, PENDING, data_set=True) + data_set(ON_FIND, bytes(16000))) * 60
REFUSED = store_rq(instance="../../x") + data_set(ON_CT)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    limits = 'write_stall = "2 s"\nclose = "1 s"\nrefused_operations = 1000000'
    with house(tmp_path_factory.mktemp("stalled"), limits=limits) as running:
        yield running


def pour(wires: list[Wire], data: bytes) -> list[int]:
    """Send this again and again on all of them until none has been taken for half a second; how much each sent."""
    sent = dict.fromkeys(wires, 0)
    for wire in wires:
        wire.sock.setblocking(False)
    while writable := select.select([], [wire.sock for wire in wires], [], 0.5)[1]:
        for wire in wires:
            if wire.sock in writable:
                try:
                    # Continue where the kernel stopped taking, or the stream would be torn.
                    sent[wire] += wire.sock.send(memoryview(data)[sent[wire] % len(data) :])
                except BlockingIOError:
                    continue
                assert sent[wire] < ENDLESS, "the sender was never stopped"
    for wire in wires:
        wire.sock.settimeout(SECONDS)
    return list(sent.values())


def stall_ends(door: House, client: Wire, party: str) -> None:
    # Straight from the trail: the log is long after a flood.
    record = door.trail.wait_for(event="association_ended", address=client.here.host, port=client.here.port)
    assert (record.outcome, record.rule) == ("failure", "write-stall")
    assert record.refusal_id
    assert party in (record.reason or "")


def test_an_archive_that_does_not_read(door: House) -> None:
    before = door.memory()
    clients = []
    for _ in range(4):
        client, archive = door.association()
        client.say(store_rq())
        archive.expect(PduType.P_DATA_TF)
        clients.append(client)
    pour(clients, BULK)
    assert door.memory() - before < MOST
    door.innocent.is_undisturbed()
    for client in clients:
        stall_ends(door, client, "acceptor took no bytes")
    assert door.memory() - before < MOST


def test_a_client_that_does_not_read(door: House) -> None:
    before = door.memory()
    client, archive = door.association()
    client.say(query_rq())
    for _ in range(2):
        archive.expect(PduType.P_DATA_TF)
    pour([archive], MATCHES)
    assert door.memory() - before < MOST
    door.innocent.is_undisturbed()
    stall_ends(door, client, "requestor took no bytes")


def test_a_client_that_does_not_read_its_refusals(door: House) -> None:
    before = door.memory()
    # The fewer refusals the kernel takes for us, the fewer have to be made.
    client = door.dial(receive_buffer=32 * 1024)
    door.wires.append(established(client, door.archive))
    pour([client], REFUSED)
    assert door.memory() - before < MOST + RECORDS_THAT_WAIT
    door.innocent.is_undisturbed()
    stall_ends(door, client, "requestor took no bytes")


def test_a_reader_that_is_only_slow_gets_everything(door: House) -> None:
    """The stall is counted from the last byte taken, not from the first that waited."""
    client, archive = door.association()
    client.say(store_rq())
    archive.expect(PduType.P_DATA_TF)
    sent = pour([client], BULK)[0]
    rest = memoryview(BULK)[sent % len(BULK) :]
    whole = sent + len(rest)
    got = len(archive.sock.recv(1000))
    with pytest.raises(LabError):
        wait_until(lambda: bool(door.trail.records(event="association_ended", port=client.here.port)), 1.0, "an end")
    while got < sent - MiB:
        got += len(archive.sock.recv(MiB))
    client.say(bytes(rest), p_data(pdv(ON_CT, 2, b"")))
    while got < whole + 12:
        got += len(archive.sock.recv(MiB))
    assert got == whole + 12
