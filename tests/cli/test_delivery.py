"""The sinks of a gate as a whole: what may not be pruned yet, and what a change of the configuration leaves running."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from dicomgate.audit.patient import PatientId
from dicomgate.cli.delivery import Delivery, _Context
from dicomgate.config.load import Configuration, interpret
from dicomgate.gate.settings import ClientTls
from dicomgate.sinks.settings import JsonlSettings
from dicomgate.sinks.spool import DeliveryError
from lab.pki import CLIENT, Authority
from lab.process import wait_until
from sinks.repository import FhirServer
from sinks.standins import SECONDS, Notes, Source, Told, note

RULES = """
[[listener]]
name = "inside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]
[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "127.0.0.1:11112"
"""
WITNESS = '[[sink]]\nname = "witness"\nkind = "checkpoints"\nfile = "{0}"\nreplay = true\n'
SINK = '[[sink]]\nname = "{0}"\nkind = "jsonl"\nfile = "{1}"\nreplay = true\n'


def configuration(folder: Path, *sinks: str) -> Configuration:
    return interpret(tomllib.loads(RULES + "".join(sinks)), "gate.toml", folder)


def test_what_a_sink_has_still_to_deliver_is_needed(tmp_path: Path) -> None:
    source, told = Source(), Told()
    source.add("1.2.0", "1.2.1", "1.2.2")
    delivery = Delivery(source, Notes(), told.report, told.passed)
    assert delivery.needed() == 1, "before anybody knows which sinks there are"
    delivery.apply(configuration(tmp_path))
    assert delivery.needed() is None
    good, stuck = SINK.format("good", "good.jsonl"), SINK.format("stuck", "/dev/full")
    delivery.apply(configuration(tmp_path, good))
    wait_until(lambda: delivery.needed() == 4, SECONDS, "delivery of all three")
    delivery.apply(configuration(tmp_path, good, stuck))
    wait_until(lambda: dict(delivery.up())[("stuck",)] == 0.0, SECONDS, "the failure of a full disk")
    assert delivery.needed() == 1
    assert dict(delivery.behind()) == {("good",): 0, ("stuck",): 3}
    assert dict(delivery.up())[("good",)] == 1.0
    delivery.apply(configuration(tmp_path, good))
    assert delivery.needed() == 4
    assert delivery.close(SECONDS) == []
    assert len((tmp_path / "good.jsonl").read_text().splitlines()) == 3, "untouched by the others' changes"


FEED = '[[sink]]\nname = "{0}"\nkind = "fhir"\nurl = "{1}"\nunsafe_plaintext = true\nbatch = 1\nreplay = true\n{2}\n'
OVER_TLS = 'tls = { ca = "ca.crt" }\n'
SYSLOG = '[[sink]]\nname = "s"\nkind = "syslog"\naddress = "127.0.0.1:6514"\n'


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (SYSLOG + OVER_TLS, True),
        (SYSLOG + OVER_TLS + "patient_ids = false\n", False),
        (SYSLOG + "unsafe_plaintext = true\n", False),
        (SYSLOG + "unsafe_plaintext = true\npatient_ids = true\n", True),
        (FEED.format("f", "http://127.0.0.1/fhir", ""), False),
        (FEED.format("f", "https://127.0.0.1/fhir", "").replace("unsafe_plaintext = true\n", ""), True),
    ],
)
def test_patients_are_named_over_tls_only_unless_the_file_says_otherwise(
    tmp_path: Path, table: str, named: bool
) -> None:
    (sink,) = configuration(tmp_path, table).sinks
    assert not isinstance(sink, JsonlSettings)
    assert sink.patient_ids is named


def test_only_who_is_to_name_patients_is_told_of_them(tmp_path: Path) -> None:
    source, told = Source(), Told()
    source.add("1.2.0")
    with FhirServer() as trusted, FhirServer() as other:
        delivery = Delivery(source, Notes(), told.report, told.passed, lambda record: PatientId("4711", "NORTH"))
        delivery.apply(
            configuration(
                tmp_path,
                FEED.format("trusted", trusted.url, "patient_ids = true"),
                FEED.format("other", other.url, ""),
            )
        )
        wait_until(lambda: trusted.events and other.events, SECONDS, "the event at both")
        assert delivery.close(SECONDS) == []
        assert "4711" in json.dumps(trusted.events)
        assert "4711" not in json.dumps(other.events)


def test_checkpoints_have_cursors_of_their_own(tmp_path: Path) -> None:
    source, kept, told = Source(), Notes(), Told()
    source.add("1.2.0")
    kept.add(2)
    delivery = Delivery(source, kept, told.report, told.passed)
    delivery.apply(configuration(tmp_path, WITNESS.format("away/notes")))
    wait_until(lambda: told.reports != [], SECONDS, "the failure: there is no such folder")
    assert delivery.needed() == 1, "what was not pushed yet must not be pruned"
    assert [reason is None for _, reason in told.reports] == [False]
    (tmp_path / "away").mkdir()
    kept.add(1)
    wait_until(lambda: delivery.needed() == 31, SECONDS, "all of them")
    kept.add(1)
    delivery.wake_witnesses()
    wait_until(lambda: delivery.needed() == 41, SECONDS, "the next one")
    assert delivery.close(SECONDS) == []
    assert (tmp_path / "away" / "notes").read_text("utf-8") == "".join(f"{note(size)}\n" for size in (10, 20, 30, 40))


def test_a_context_is_made_anew_when_a_file_was_renewed(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    gate = ca.issue("gate", usage=[CLIENT])
    context = _Context(ClientTls(ca.certificate, gate.certificate, gate.key))
    first = context()
    assert context() is first, "examining the files takes longer than a connection"
    renewed = ca.issue("gate-2", usage=[CLIENT])
    for old, new in ((gate.certificate, renewed.certificate), (gate.key, renewed.key)):
        new.replace(old)
    second = context()
    assert second is not first
    gate.key.unlink()
    with pytest.raises(DeliveryError, match=r"cannot speak TLS with .*key"):
        context()
