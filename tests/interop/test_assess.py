"""The whole catalogue against real archives, and against the gate in front of one of them.

What must be found stands in assess/*.toml: one line for each check, for an administrator to read. The archives hold
studies with patient values, and none of these may appear in anything that an assessment writes.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import jsonschema
import pytest
from pydicom import dcmread
from rich.console import Console

from dicomgate.assess.checks import CHECKS
from dicomgate.assess.dialogue import Patience
from dicomgate.assess.document import assessment_document, read_assessment
from dicomgate.assess.inputs import Inputs, User
from dicomgate.assess.line import Endpoint, KeyPair, SocketDialer
from dicomgate.assess.model import Assessment, Authorisation, Consent, Outcome, Severity, State, TargetReport
from dicomgate.assess.prober import Prober, Target, Tempo
from dicomgate.assess.render.html import html
from dicomgate.assess.render.json import report_document
from dicomgate.assess.render.junit import junit
from dicomgate.assess.render.sarif import sarif
from dicomgate.assess.render.terminal import print_report
from dicomgate.assess.report import report as report_of
from dicomgate.assess.suggest import suggest
from dicomgate.assess.suites import sslyze_is_installed
from dicomgate.assess.survey import survey
from lab import dcmtk, studies
from lab.gate import run_dicomgate, running_gate
from lab.orthanc import orthanc
from lab.pki import CLIENT, SERVER, Authority, Identity
from lab.process import LOOPBACK, Address
from lab.pynetdicom_peers import pynetdicom_peer
from lab.studies import Instance

HERE = Path(__file__).parent / "assess"
SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "assess.schema.json"
FAST = Tempo(
    interval=0.0, most_connections=200, idle_seconds=2.0, drip_seconds=2.5, drip_interval=0.3, watch_seconds=5.0
)
HASTY = replace(FAST, idle_seconds=0.2, drip_seconds=0.4)
"""For archives, whose own deadlines are far beyond what a test waits for."""
PATIENCE = Patience(connect=2.0, answer=2.0, operation=5.0, release=1.0)
"""Shorter than a user's, so that silence costs the tests little; hence no ROB-01 in the tables of archives."""

AT_ONCE = 4
"""Assessments of gates: each waits most of its time."""

GATE = """
[gate]
name = "lab"
state = "sqlite:///gate.db"
{gate}

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]
{tls}

[limits]
first_byte = "1 s"
associate_deadline = "1 s"

[[archive]]
name = "main"
ae_title = "{title}"
address = "{archive}"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = [{networks}]
{peer}
may = ["echo", "store", "find", "get", "move"]

{more}
"""
USERS = """
[[role]]
name = "radiologist"
may = ["echo", "find"]

[[verifier]]
name = "staff"
kind = "local"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An archive that holds patients, its studies, and certificates."""

    directory: Path
    archive: dcmtk.Server
    kept: tuple[Instance, ...]
    ca: Authority
    server: Identity
    ct1: Identity
    ct2: Identity


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Site]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("dcmtk")
    directory = tmp_path_factory.mktemp("assess")
    kept = tuple(studies.study(directory / "kept", "assessed", 3))
    ca = Authority(directory / "pki")
    server = ca.issue("gate", names=["localhost", LOOPBACK], usage=[SERVER, CLIENT])
    with dcmtk.dcmqrscp(directory / "dcmqrscp") as archive:
        loaded = dcmtk.storescu(archive.address, "LOADER", archive.ae_title, [item.path for item in kept], "-xe")
        assert loaded.ok, loaded.output
        yield Site(directory, archive, kept, ca, server, ca.issue("ct1"), ca.issue("ct2"))


def assess(address: Address, called: str, inputs: Inputs | None = None, *, gate: bool = False) -> TargetReport:
    """Every check, with every consent."""
    target = Target(str(address), Endpoint(address.host, address.port), called)
    tempo = FAST if gate else HASTY
    prober = Prober(target, inputs or Inputs(), SocketDialer(), PATIENCE, tempo, permits=lambda endpoint: True)
    return survey(prober, Consent(count=True, intrusive=True, lab=frozenset({target.name})))


def found(report: TargetReport) -> dict[str, str]:
    """Check → outcome, with the severity of a finding, as the tables write it."""
    return {
        result.check.id: f"fail {result.severity}" if result.outcome is Outcome.FAIL else str(result.outcome)
        for result in report.results
    }


def agrees(report: TargetReport, table: str) -> None:
    """Compare with a table; a check that it leaves out may have any outcome."""
    expected = tomllib.loads((HERE / f"{table}.toml").read_text("utf-8"))["expected"]
    assert expected.keys() <= CHECKS.keys()
    came = found(report)
    if not sslyze_is_installed():
        expected.pop("TLS-03", None)
    wrong = {
        check: f"expected {outcome}, came {came[check]}: {report.result(check).judgement.why}"
        for check, outcome in expected.items()
        if came[check] != outcome
    }
    assert wrong == {}, report.why
    assert report.state is State.ASSESSED, report.why
    assert report.health is not None
    assert report.health.unchanged


def written(report: TargetReport) -> list[str]:
    """Everything that a run writes about it, valid by the published schema and readable again."""
    authorisation = Authorisation("the lab's own", "nobody", "any time", (report.target,), (), False)
    assessment = Assessment("0", authorisation, Consent(True, True), (report,), report.started, report.finished)
    document = assessment_document(assessment)
    jsonschema.validate(document, json.loads(SCHEMA.read_text("utf-8")))
    assert assessment_document(read_assessment(document, CHECKS)) == document
    shown = report_of(assessment, assessment)
    text = StringIO()
    print_report(shown, Console(file=text, width=300))
    documents = [json.dumps(report_document(shown)), json.dumps(sarif(shown))]
    return [*documents, text.getvalue(), html(shown), junit(shown, Severity.INFO), suggest(assessment, None)]


def patient_values(kept: tuple[Instance, ...]) -> set[str]:
    """What stands in the studies and must stand nowhere else."""
    values = set()
    for item in kept:
        data_set = dcmread(item.path)
        values |= {
            str(data_set.PatientID),
            str(data_set.AccessionNumber),
            "SYNTHETIC^P",
            item.study_instance_uid,
            item.series_instance_uid,
            item.sop_instance_uid,
        }
    return values


def holds_nothing_of(kept: tuple[Instance, ...], texts: list[str]) -> None:
    assert [value for value in sorted(patient_values(kept)) for text in texts if value in text] == []


def test_dcmqrscp(site: Site) -> None:
    report = assess(site.archive.address, site.archive.ae_title)
    agrees(report, "dcmqrscp")
    holds_nothing_of(site.kept, written(report))


def test_storescp(site: Site, tmp_path: Path) -> None:
    with dcmtk.storescp(tmp_path / "storescp") as server:
        agrees(assess(server.address, server.ae_title), "storescp")


def test_orthanc(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("orthanc")
    with orthanc(tmp_path / "orthanc", as_delivered=True) as server:
        for item in site.kept:
            server.store(item.path)
        report = assess(server.address, server.ae_title)
        agrees(report, "orthanc")
        holds_nothing_of(site.kept, written(report))


# What ROB-04 sends ends pynetdicom's own thread with an exception.
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_pynetdicom(site: Site) -> None:
    with pynetdicom_peer("ARCHIVE", instances=site.kept) as server:
        report = assess(server.address, server.ae_title)
        agrees(report, "pynetdicom")
        holds_nothing_of(site.kept, written(report))


@dataclass(frozen=True, slots=True)
class Behind:
    """A server behind a gate. `touched` grows with whatever reaches it."""

    address: Address
    ae_title: str
    touched: Callable[[], int]


@pytest.fixture(scope="module")
def behind(
    site: Site, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Behind]]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("orthanc")
    directory = tmp_path_factory.mktemp("behind")
    with (
        dcmtk.storescp(directory / "storescp") as receiver,
        orthanc(directory / "orthanc", as_delivered=True) as delivered,
        pynetdicom_peer("ARCHIVE", instances=site.kept) as toolkit,
    ):
        stored = lambda: int(delivered.get("/statistics")["CountInstances"])  # noqa: E731 - its log names no callers
        yield {
            "dcmqrscp": Behind(site.archive.address, site.archive.ae_title, site.archive.associations),
            "storescp": Behind(receiver.address, receiver.ae_title, receiver.associations),
            "orthanc": Behind(delivered.address, delivered.ae_title, stored),
            "pynetdicom": Behind(toolkit.address, toolkit.ae_title, lambda: toolkit.connections),
        }


def configurations(site: Site) -> dict[str, dict[str, str]]:
    """What to put into GATE: the two that every archive stands behind, and two more."""
    pair = f'certificate = "{site.server.certificate}", key = "{site.server.key}"'
    plain = {
        "gate": "",
        "tls": f"tls = {{ {pair} }}",
        "networks": '"10.9.0.0/16"',
        "peer": 'assurance = "address"',
        "more": "",
    }
    recommended = plain | {
        "gate": 'refusals = "uniform"',
        "tls": f'tls = {{ {pair}, client_ca = "{site.ca.certificate}", crl = "{site.directory / "list.crl"}" }}',
        "networks": '"127.0.0.0/8"',
        "peer": f'assurance = "device"\ncertificates = ["sha256:{site.ct1.facts.sha256}"]',
    }
    (site.directory / "list.crl").write_bytes(site.ca.revoke(site.ca.issue("lost")))
    users = plain | {"networks": '"127.0.0.0/8"', "peer": 'assurance = "user"', "more": USERS}
    return {"default": plain, "recommended": recommended, "users": users, "in-clear": plain | {"tls": ""}}


def test_the_gate_in_front(site: Site, behind: dict[str, Behind]) -> None:
    """Whatever stands behind: nothing of medium severity or above, but for DICOM in clear where that was written.

    The stranger has a device's title, another device's certificate, and a revoked one.
    """
    settings = configurations(site)

    def assessed(name: str, configuration: str) -> TargetReport:
        server = behind[name]
        text = GATE.format(archive=server.address, title=server.ae_title, **settings[configuration])
        with running_gate(site.directory / f"{name}-{configuration}", text) as gate:
            inputs = Inputs(
                known_calling="CT1",
                test_user=User("dr.meier"),
                certificate=KeyPair(site.ct2.certificate, site.ct2.key),
                revoked=KeyPair(site.directory / "pki" / "lost.crt", site.directory / "pki" / "lost.key"),
                host_name="localhost",
                watch=gate.process.stderr,
            )
            return assess(gate.address("outside"), server.ae_title, inputs, gate=True)

    wanted = [(name, configuration) for name in behind for configuration in ("default", "recommended")]
    wanted += [("dcmqrscp", "users"), ("dcmqrscp", "in-clear")]
    before = {name: server.touched() for name, server in behind.items()}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reports = list(pool.map(assessed, *zip(*wanted, strict=True)))
    for (name, configuration), report in zip(wanted, reports, strict=True):
        severe = {each.result.check.id for each in report.findings if each.result.severity >= Severity.MEDIUM}
        assert severe == ({"TLS-01"} if configuration == "in-clear" else set()), f"{configuration} before {name}"
        agrees(report, f"gate-{configuration}")
        holds_nothing_of(site.kept, written(report))
    after = {name: server.touched() for name, server in behind.items()}
    assert after == before, "something of all that reached an archive"


def test_a_planted_study_proves_it(site: Site) -> None:
    target = Target("t", Endpoint(site.archive.address.host, site.archive.address.port), site.archive.ae_title)
    inputs = Inputs(planted_study=site.kept[0].study_instance_uid, move_to="NOWHERE")
    report = survey(Prober(target, inputs, SocketDialer(), PATIENCE, HASTY), Consent(count=True))
    came = found(report)
    assert {name: came[name] for name in ("AZ-02", "AZ-06")} == {"AZ-02": "fail critical", "AZ-06": "fail high"}
    assert {item.name: item.value for item in report.result("AZ-06").judgement.evidence}["objects"] == len(site.kept)
    values = patient_values(site.kept)
    assert [value for value in values for text in written(report) if value in text] == []


def test_the_command_writes_no_patient_value(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Screen, files, state and temporary files of a run that queries, and of its rehearsal, which calls nobody."""
    before = site.archive.associations()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    target = str(site.archive.address)
    command = ("assess", target, "--called", site.archive.ae_title, "--authorised", "the lab", "--interval", "0")
    consent = ("--allow-count", "--lab", target)
    rehearsed = run_dicomgate(*command, *consent, "--dry-run", "--allow-intrusive")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "A-ASSOCIATE-RQ" in rehearsed.stdout
    assert site.archive.associations() == before
    as_text = run_dicomgate(*command, *consent, "--state", "run.state")
    assert as_text.returncode == 1, as_text.stderr
    assert "AZ-03" in as_text.stdout
    done = run_dicomgate(*command, *consent, "--format", "json", "--output", "a.json", "--fail-on", "critical")
    assert done.returncode == 1, done.stderr
    again = run_dicomgate(*command, *consent, "--state", "run.state")
    assert again.stdout == as_text.stdout, "taken from the state file"
    jsonschema.validate(json.loads(Path("a.json").read_text("utf-8")), json.loads(SCHEMA.read_text("utf-8")))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"a.json", "run.state"}
    texts = [part for run in (rehearsed, as_text, done, again) for part in (run.stdout, run.stderr)]
    holds_nothing_of(site.kept, texts + [path.read_text("utf-8") for path in files])


def test_a_default_run_asks_nothing_that_needs_consent(site: Site) -> None:
    target = Target("t", Endpoint(site.archive.address.host, site.archive.address.port), site.archive.ae_title)
    prober = Prober(target, Inputs(), SocketDialer(), PATIENCE, replace(FAST, most_connections=60))
    report = survey(prober, Consent())
    assert report.state is State.ASSESSED
    assert report.connections <= 60  # a minute at the polite pace of one a second
    asked = {result.check.id for result in report.results if result.outcome is not Outcome.SKIPPED}
    assert not asked & {"AZ-02", "AZ-03", "AZ-11", "AZ-12", "ROB-01", "ADM-05"}
