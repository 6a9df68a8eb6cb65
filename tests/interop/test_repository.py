"""A day with repositories that come and go: each gets every record's messages at least once, and in order."""

from __future__ import annotations

import base64
import json
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.test_dicom_message import parsed
from dicomgate.audit.dicom_message import AuditMessage, EventId, xml
from dicomgate.audit.fhir import audit_event
from dicomgate.audit.mapping import messages_of
from dicomgate.audit.record import Record
from dicomgate.store.concealment import Concealment
from dicomgate.store.database import open_store
from dicomgate.store.feed import Feed
from dicomgate.store.keys import pseudonym_key
from lab import dcmtk, studies
from lab.gate import Gate, run_dicomgate, running_gate
from lab.pki import CLIENT, SERVER, Authority, Identity
from lab.process import Address, free_address, wait_until
from lab.rsyslog import Rsyslog, received, rsyslog
from lab.studies import Instance
from sinks.repository import FhirServer
from store.test_verification import cut_to
from store.trail import Trail

pytestmark = [pytest.mark.interop, pytest.mark.system]
SECONDS = 60.0
TRANSFERRED = EventId.INSTANCES_TRANSFERRED

CONFIGURATION = """
[gate]
name = "north"
state = "sqlite:///gate.db"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]

[[listener]]
name = "inside"
bind = "{inside}"
networks = ["127.0.0.1"]

[[archive]]
name = "main"
ae_title = "QRSCP"
address = "{archive}"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo", "store"]

[[peer]]
name = "reading"
ae_titles = ["READING"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["find", "move"]
move_to = ["VIEWER"]

[[peer]]
name = "viewer"
ae_titles = ["VIEWER"]
networks = ["127.0.0.1"]
assurance = "address"
address = "{viewer}"
may = ["echo"]

[[sink]]
name = "repository"
kind = "syslog"
address = "{repository}"
tls = {{ ca = "{ca}", certificate = "{gate.certificate}", key = "{gate.key}" }}

[[sink]]
name = "feed"
kind = "fhir"
url = "{feed}"
tls = {{ ca = "{ca}", certificate = "{gate.certificate}", key = "{gate.key}" }}

[[sink]]
name = "lines"
kind = "jsonl"
file = "audit.jsonl"

[[sink]]
name = "witness"
kind = "checkpoints"
address = "{repository}"
tls = {{ ca = "{ca}", certificate = "{gate.certificate}", key = "{gate.key}" }}

[audit]
checkpoint_records = 20

[metrics]
bind = "{metrics}"
"""


@dataclass
class Scene:
    """A gate between devices and an archive, with a repository of each kind behind it."""

    gate: Gate
    archive: dcmtk.Server
    feed: FhirServer
    metrics: Address
    folder: Path
    repository: Address
    identity: Identity
    ca: Path

    @property
    def outside(self) -> Address:
        return self.gate.address("outside")

    def start_rsyslog(self, stack: ExitStack) -> Rsyslog:
        return stack.enter_context(rsyslog(self.folder / "rsyslog", self.identity, self.ca, self.repository))

    def store(self, instances: list[Instance]) -> None:
        done = dcmtk.storescu(self.outside, "CT1", "QRSCP", [each.path for each in instances], "-xe")
        assert done.ok, done.output

    def ask(self, patient: str = "") -> None:
        found = dcmtk.client(
            "findscu",
            "-S",
            "-aet",
            "READING",
            "-aec",
            "QRSCP",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            f"PatientID={patient}",
            self.outside.host,
            str(self.outside.port),
        )
        assert found.ok, found.output

    def move(self, study_uid: str) -> None:
        moved = dcmtk.client(
            "movescu",
            "-S",
            "-aet",
            "READING",
            "-aec",
            "QRSCP",
            "-aem",
            "VIEWER",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            f"StudyInstanceUID={study_uid}",
            self.outside.host,
            str(self.outside.port),
        )
        assert moved.ok, moved.output

    def be_refused(self) -> None:
        """An unknown title, and a verb that the peer may not use."""
        stranger = dcmtk.client("echoscu", "-aet", "EVIL", "-aec", "QRSCP", self.outside.host, str(self.outside.port))
        assert not stranger.ok
        dcmtk.client(
            "findscu",
            "-S",
            "-aet",
            "CT1",
            "-aec",
            "QRSCP",
            "-k",
            "QueryRetrieveLevel=STUDY",
            self.outside.host,
            str(self.outside.port),
        )

    def behind(self) -> dict[str, float]:
        """Records that each sink has still to deliver surely."""
        page = httpx.get(f"http://{self.metrics}/metrics", trust_env=False).text
        lines = [line for line in page.splitlines() if line.startswith("dicomgate_sink_behind_records{")]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

    def messages(self) -> list[AuditMessage]:
        """What the records become, with the patients that their key reveals."""
        concealment = Concealment(pseudonym_key(self.gate.configuration.parent / "gate.pseudonym-key"), sealing=True)
        return [
            each for _, record in self.records() for each in messages_of(record, "north", concealment.reveal(record))
        ]

    def records(self) -> list[tuple[int, Record]]:
        """What the store holds, in the order of commits."""
        feed = Feed(open_store("sqlite:///gate.db", self.gate.configuration.parent, read_only=True))
        return [(number, record) for number, record in feed.read(0, 100_000) if record is not None]

    def all_delivered(self) -> bool:
        return all(count == 0 for count in self.behind().values())


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    require = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py"))).require
    for component in ("dcmtk", "rsyslog"):
        require(component)
    ca = Authority(tmp_path / "pki")
    here = ca.issue("repository", names=["127.0.0.1"], usage=[SERVER])
    gate = ca.issue("gate", usage=[CLIENT])
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    accepting.load_cert_chain(here.certificate, here.key)
    accepting.load_verify_locations(ca.certificate)
    accepting.verify_mode = ssl.CERT_REQUIRED
    inside, repository, metrics = free_address(), free_address(), free_address()
    with ExitStack() as stack:
        viewer = stack.enter_context(dcmtk.storescp(tmp_path / "viewer", "VIEWER"))
        archive = stack.enter_context(dcmtk.dcmqrscp(tmp_path / "archive", move_destinations={"VIEWER": inside}))
        feed = stack.enter_context(FhirServer(accepting))
        text = CONFIGURATION.format(
            inside=inside,
            archive=archive.address,
            viewer=viewer.address,
            repository=repository,
            ca=ca.certificate,
            gate=gate,
            feed=feed.url,
            metrics=metrics,
        )
        running = stack.enter_context(running_gate(tmp_path / "gate", text))
        yield Scene(running, archive, feed, metrics, tmp_path, repository, here, ca.certificate)


def patient_of(study: str) -> str:
    return "P" + studies.uid("patient", study)[-12:]


def series(folder: Path, name: str, count: int) -> list[Instance]:
    return list(studies.study(folder, name, count, kinds=[studies.KINDS[0]]))


def test_every_message_at_least_once_and_in_order(scene: Scene, tmp_path: Path) -> None:
    with ExitStack() as first:
        scene.start_rsyslog(first)
        morning = series(tmp_path / "a", "morning", 4)
        scene.store(morning)
        scene.ask()
        scene.move(studies.uid("morning"))
        scene.be_refused()
        wait_until(scene.all_delivered, SECONDS, "the morning's records")
    # Nobody is there for a while.
    scene.feed.behaviour = "down"
    scene.store(series(tmp_path / "b", "noon", 4))
    scene.gate.await_record(event="sink_failed", reason=f"{scene.repository}: connection refused")
    scene.gate.await_record(event="sink_failed", reason=f"{scene.feed.url}: expected 201, came 503")
    scene.be_refused()
    scene.feed.behaviour = "good"
    with ExitStack() as second:
        repository = scene.start_rsyslog(second)
        wait_until(scene.all_delivered, SECONDS, "what had waited")
        # It hangs, with messages in its socket that it never reads, and dies so.
        repository.process.send_signal(signal.SIGSTOP)
        for part in range(3):
            scene.store(series(tmp_path / "c", f"afternoon-{part}", 4))
        wait_until(lambda: scene.behind()["repository"] > 0, SECONDS, "records that are not sure")
        repository.process.kill()
    with ExitStack() as third:
        scene.start_rsyslog(third)
        scene.ask(patient_of("morning"))
        wait_until(scene.all_delivered, SECONDS, "the afternoon's records")
        scene.store(series(tmp_path / "d", "evening", 2))
        assert scene.gate.stop() == 0, "its last records still go out"

    records = scene.records()
    messages = scene.messages()
    names = {message.event.text for message in messages}
    assert names >= {
        "Application Activity", "Network Entry", "Query", "Begin Transferring DICOM Instances",
        "DICOM Instances Transferred", "Security Alert",
    }  # fmt: skip

    log = scene.folder / "rsyslog" / "received.jsonl"
    pushed = [each for each in received(log) if each["msgid"] == "CHECKPOINT"]
    assert len(pushed) > 1
    trail = Trail(scene.gate.configuration.parent)
    verify = ("audit", "verify", "--database", trail.store, "--public-key", f"{trail.key}.pub", "--json")
    assert json.loads(run_dicomgate(*verify, "--checkpoints", log).stdout)["holds"]
    cut_to(trail, len(records) - 5)
    trail.execute(f"DELETE FROM checkpoints WHERE size > {len(records) - 5}")
    assert json.loads(run_dicomgate(*verify).stdout)["holds"], "whoever has the gate's disk can hide it there"
    (cut,) = json.loads(run_dicomgate(*verify, "--checkpoints", log).stdout)["findings"]
    assert (cut["fault"], cut["last"]) == ("cut_off", len(records))

    got = [each for each in received(log) if each["msgid"] != "CHECKPOINT"]
    texts = [str(each["msg"]).removeprefix("\ufeff") for each in got]
    # Two sinks that fail at one place within a millisecond make one message twice.
    assert list(dict.fromkeys(texts)) == list(dict.fromkeys(xml(message) for message in messages))
    for text in dict.fromkeys(texts):
        parsed(text)
    assert {(each["app"], each["msgid"], each["sd"]) for each in got} == {("dicomgate", "DICOM+RFC3881", "-")}

    events = [json.dumps(event, sort_keys=True) for event in scene.feed.events]
    made = [json.dumps(audit_event(message), sort_keys=True) for message in messages]
    assert list(dict.fromkeys(events)) == list(dict.fromkeys(made))

    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (scene.gate.configuration.parent / "audit.jsonl").read_text().splitlines()
    ]
    assert [line["event"]["sequence"] for line in lines] == [number for number, _ in records]

    told = {(each.objects[0].id, each.objects[-1].id) for each in messages if each.event is TRANSFERRED}
    seen = ["morning", "noon", *(f"afternoon-{part}" for part in range(3)), "evening"]
    assert told >= {(studies.uid("study", each), patient_of(each)) for each in seen}
    sought = [each.objects[-1].id for each in messages if each.event is EventId.QUERY]
    assert sought[-1] == patient_of("morning"), "the first query named nobody"

    failures = [record for _, record in records if record.event == "sink_failed"]
    assert len(failures) < 12, "an outage does not feed itself"

    assert any(record.patient and record.sealed_patient for _, record in records)
    # Nobody but the repositories was told who the patients are.
    folder = scene.gate.configuration
    shown = [run_dicomgate("audit", *words, "-c", folder) for words in
             (("list", "--json"), ("list",), ("export", "--format", "csv"), ("prove", "20"))]  # fmt: skip
    written = {file.name: file.read_bytes() for file in folder.parent.rglob("*") if file.is_file()}
    written |= {str(each.args): each.stdout.encode() + each.stderr.encode() for each in shown}
    for name in seen:
        for secret in (patient_of(name), "SYNTHETIC"):
            for shape in (secret.encode(), secret.encode().hex().encode(), base64.b64encode(secret.encode())[:-4]):
                assert not [where for where, content in written.items() if shape in content]
        assert studies.uid("study", name).encode() in written["audit.jsonl"]
