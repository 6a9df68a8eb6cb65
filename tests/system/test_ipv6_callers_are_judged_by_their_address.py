"""Listeners on ::1 and ::, archives on ::1: callers are judged by the address they have, IPv4 ones as IPv4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomgate.wire.codes import PduType
from lab.gate import Gate, running_gate
from lab.process import Address
from system.house import Trail
from system.raw_archive import RawArchive, associate_ac, associate_rq, dial, echo_rq, echo_rsp, reject

pytestmark = pytest.mark.system
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[[listener]]
name = "six"
bind = "[::1]:0"
networks = ["::1"]

[[listener]]
name = "both"
bind = "[::]:0"
networks = ["::1", "127.0.0.1", "127.0.0.9"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"

[[peer]]
name = "six"
ae_titles = ["CT6"]
networks = ["::1"]
assurance = "address"
may = ["echo", "store", "find", "get"]

[[peer]]
name = "four"
ae_titles = ["CT4"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo", "store", "find", "get"]
"""


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, RawArchive, Trail]]:
    folder: Path = tmp_path_factory.mktemp("six")
    with (
        RawArchive("::1") as archive,
        running_gate(folder, CONFIGURATION.format(archive=archive.address)) as gate,
    ):
        yield gate, archive, Trail(folder)


PASSING = {
    "IPv6": ("six", "::1", "CT6", "::1"),
    "IPv6 on all addresses": ("both", "::1", "CT6", "::1"),
    "IPv4 on all addresses": ("both", "127.0.0.1", "CT4", "127.0.0.1"),
}


@pytest.mark.parametrize(("listener", "host", "calling", "address"), PASSING.values(), ids=PASSING.keys())
def test_it_passes(six: tuple[Gate, RawArchive, Trail], listener: str, host: str, calling: str, address: str) -> None:
    gate, archive, trail = six
    with dial(Address(host, gate.address(listener).port)) as client:
        client.say(associate_rq(calling=calling))
        with archive.meet() as upstream:
            upstream.expect(PduType.ASSOCIATE_RQ)
            upstream.say(associate_ac())
            client.expect(PduType.ASSOCIATE_AC)
            client.say(echo_rq())
            assert upstream.pdu() == echo_rq()
            upstream.say(echo_rsp())
            assert client.pdu() == echo_rsp()
        record = trail.wait_for(event="association_admitted", port=client.here.port)
        assert (record.address, record.listener) == (address, listener)


REFUSED = {
    "IPv4 peer by IPv6": ("both", "::1", None, "CT4", reject(1, 1, 3)),
    "IPv6 peer by IPv4": ("both", "127.0.0.1", None, "CT6", reject(1, 1, 3)),
    "IPv4 address of nobody": ("both", "127.0.0.1", "127.0.0.9", "CT4", reject(1, 1, 3)),
    "IPv4 address that is not the listener's": ("both", "127.0.0.1", "127.0.0.8", "CT4", b""),
}


@pytest.mark.parametrize(("listener", "host", "source", "calling", "answer"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused(
    six: tuple[Gate, RawArchive, Trail], listener: str, host: str, source: str | None, calling: str, answer: bytes
) -> None:
    gate, archive, _ = six
    before = archive.connections
    with dial(Address(host, gate.address(listener).port), source) as client:
        client.say(associate_rq(calling=calling))
        assert client.pdu() == answer
    assert archive.connections == before
