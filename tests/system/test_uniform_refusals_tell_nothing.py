"""`refusals = "uniform"`: every refusal of a caller looks the same outside, and is precise in the record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from system.house import House, house
from system.raw_archive import CT, EXPLICIT, associate_rq, proposed, reject

pytestmark = pytest.mark.system
ELSEWHERE = """
[[peer]]
name = "elsewhere"
ae_titles = ["CT9"]
networks = ["192.0.2.0/24"]
assurance = "address"
may = ["echo"]
archive = "main"

[[peer]]
name = "echoer"
ae_titles = ["ECHOER"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
archive = "honest"
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("uniform"), gate='refusals = "uniform"', more=ELSEWHERE) as running:
        yield running


CALLS = {
    "unknown calling title": (associate_rq(calling="STRANGER"), "default"),
    "wrong network": (associate_rq(calling="CT9"), "peer[elsewhere].networks"),
    "unknown called title": (associate_rq(called="NOWHERE"), "default"),
    "another archive": (associate_rq(calling="ECHOER"), "peer[echoer].archive"),
    "nothing it may do": (
        associate_rq(proposed(1, CT, EXPLICIT), calling="ECHOER", called="HONEST"),
        "peer[echoer].may",
    ),
}


@pytest.mark.parametrize(("request_", "rule"), CALLS.values(), ids=CALLS.keys())
def test_the_answer_is_the_same(door: House, request_: bytes, rule: str) -> None:
    with door.dial() as client:
        client.say(request_)
        assert client.pdu() == reject(1, 1, 1)
    record = door.refusal_of(client, event="association_refused")
    assert (record.rule, record.status) == (rule, "1/1/1")
    assert door.archive.connections == 0
