"""The called title routes to its archive; where one address of it is dead, the next one is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomgate.wire.codec import decode
from dicomgate.wire.codes import PduType
from dicomgate.wire.pdu import AssociateRequest
from lab.gate import Gate, running_gate
from lab.process import LOOPBACK, Address, free_address, wait_until
from system.house import Trail
from system.raw_archive import (
    HEADER,
    SECONDS,
    RawArchive,
    Wire,
    associate_ac,
    associate_rq,
    dial,
    echo_rq,
    echo_rsp,
    reject,
)

pytestmark = pytest.mark.system
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]

[[archive]]
name = "ct"
ae_title = "CTARCHIVE"
address = "{ct}"

[[archive]]
name = "mr"
ae_title = "MRARCHIVE"
address = "localhost:{mr}"
calling_ae = "GATE"

[[archive]]
name = "double"
ae_title = "DOUBLE"
address = ["{dead}", "{spare}"]

[[archive]]
name = "ruin"
ae_title = "RUIN"
address = ["{dead}", "{dead2}"]

[[peer]]
name = "ct"
ae_titles = ["CT1"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo", "store", "find", "get"]
archive = ["ct", "mr", "double", "ruin"]
"""


@dataclass(frozen=True, slots=True)
class Town:
    """A gate and the archives behind it. Nobody listens on `dead` until somebody begins to."""

    gate: Gate
    trail: Trail
    ct: RawArchive
    mr: RawArchive
    spare: RawArchive
    dead: Address

    def call(self, called: str) -> Wire:
        wire = dial(self.gate.address("outside"))
        wire.say(associate_rq(called=called))
        return wire


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder: Path = tmp_path_factory.mktemp("town")
    with ExitStack() as stack:
        ct, mr, spare = (stack.enter_context(RawArchive()) for _ in range(3))
        dead = free_address()
        text = CONFIGURATION.format(
            ct=ct.address, mr=mr.address.port, spare=spare.address, dead=dead, dead2=free_address()
        )
        gate = stack.enter_context(running_gate(folder, text))
        yield Town(gate, Trail(folder), ct, mr, spare, dead)


def answers(client: Wire, archive: RawArchive) -> AssociateRequest:
    """The association is made with this very archive; what the archive was asked."""
    with archive.meet() as upstream:
        request = decode(PduType.ASSOCIATE_RQ, upstream.expect(PduType.ASSOCIATE_RQ)[HEADER:])
        upstream.say(associate_ac())
        client.expect(PduType.ASSOCIATE_AC)
        client.say(echo_rq())
        assert upstream.pdu() == echo_rq()
        upstream.say(echo_rsp())
        assert client.pdu() == echo_rsp()
    client.close()
    assert isinstance(request, AssociateRequest)
    return request


def test_by_called_title(town: Town) -> None:
    request = answers(town.call("CTARCHIVE"), town.ct)
    assert (request.called_ae_title.strip(), request.calling_ae_title.strip()) == (b"CTARCHIVE", b"CT1")
    assert town.mr.connections == 0


def test_by_host_name_and_under_another_calling_title(town: Town) -> None:
    before = town.ct.connections
    request = answers(town.call("MRARCHIVE"), town.mr)
    assert (request.called_ae_title.strip(), request.calling_ae_title.strip()) == (b"MRARCHIVE", b"GATE")
    assert town.ct.connections == before


def test_the_second_address_takes_over_and_stays_first_for_a_while(town: Town) -> None:
    answers(town.call("DOUBLE"), town.spare)
    wait_until(lambda: '"connect_failed"' in town.gate.log, SECONDS, "a line in the log")
    with RawArchive(LOOPBACK, town.dead.port) as revived:
        # It has just failed, so it is tried last although it would answer now.
        answers(town.call("DOUBLE"), town.spare)
        assert revived.connections == 0


def test_none_left_is_a_transient_rejection(town: Town) -> None:
    with town.call("RUIN") as client:
        assert client.pdu() == reject(2, 3, 1)
        record = town.trail.wait_for(event="association_ended", port=client.here.port)
    assert (record.outcome, record.rule, record.archive) == ("failure", "archive", "ruin")
    assert record.refusal_id
