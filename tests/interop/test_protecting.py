"""The tutorial, run for real: an open Orthanc is assessed, the suggested gate stands in front, and is assessed again.

Reports of both are read in a real browser. The archive holds a patient, whose values may stand in none of it.
DICOMGATE_KEEP_REPORTS names a folder that takes the reports and pictures, for docs/tutorial.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from assess import sarif_schema
from dicomgate.assess.suites import sslyze_is_installed
from interop.test_assess import patient_values
from lab import dcmtk, studies
from lab.gate import DICOMGATE, run_dicomgate, running_gate
from lab.orthanc import Orthanc, orthanc
from lab.process import LOOPBACK, running

pytestmark = [pytest.mark.interop, pytest.mark.system]

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "assess.schema.json"
FORMATS = {"before": ("text", "json", "sarif", "junit", "html"), "after": ("text", "json", "html")}
"""Each is a run of its own, so that the second time it is those that people look at."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the tutorial leaves behind: a folder of files, and everything that was printed."""

    folder: Path
    printed: list[str]
    values: set[str]

    def document(self, name: str) -> dict[str, object]:
        loaded = json.loads((self.folder / name).read_text("utf-8"))
        assert isinstance(loaded, dict)
        return loaded


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Story]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    for component in ("dcmtk", "orthanc", "tcpdump"):
        plugin.require(component)
    folder = tmp_path_factory.mktemp("story")
    kept = tuple(studies.study(folder / "studies", "protected", 2))
    printed: list[str] = []
    with orthanc(folder / "orthanc", as_delivered=True) as archive:
        archive.store(kept[0].path)
        captured(archive, folder, kept[1].path)
        assessed(
            archive.address.port, folder, "before", printed, "--suggest", folder / "gate.toml", *who_uses_it(folder)
        )
        certificates(folder, printed)
        checked = run_dicomgate("check", "-c", folder / "gate.toml")
        assert checked.returncode == 0, checked.stderr
        assert "error:" not in checked.stderr
        written = (folder / "gate.toml").read_text("utf-8").replace("0.0.0.0:2762", f"{LOOPBACK}:0")
        with running_gate(folder, written) as gate:
            device = folder / "pki" / "devices" / "ct1"
            tls = ("+tls", device / "key.pem", device / "chain.pem", "+cf", folder / "pki" / "ca.pem", "-rc")
            stored = dcmtk.storescu(gate.address("tls"), "CT1", "ORTHANC", [kept[1].path], *tls)
            assert stored.ok, stored.output
            listed = run_dicomgate("audit", "list", "-c", gate.configuration, "--json")
            (folder / "records.jsonl").write_text(listed.stdout, "utf-8")
            told = ("--known-calling", "CT1", "--records", folder / "records.jsonl", "--watch", gate.process.stderr)
            assessed(gate.address("tls").port, folder, "after", printed, *told, "--baseline", folder / "before.json")
            needed = run_dicomgate("need", "-c", gate.configuration)
            assert "CT1  from 127.0.0.1/32  to ORTHANC  for store  1 associations" in needed.stdout, needed
            seen = run_dicomgate("need", "--observe", folder / "week.pcap", "--json")
            assert "CT1" in seen.stdout, seen
            printed += [needed.stdout, needed.stderr, seen.stdout, seen.stderr, gate.log]
    keep = os.environ.get("DICOMGATE_KEEP_REPORTS")
    yield Story(folder, printed, patient_values(kept))
    if keep:
        for file in [*folder.glob("before.*"), *folder.glob("after.*"), folder / "gate.toml"]:
            shutil.copy(file, keep)


def captured(archive: Orthanc, folder: Path, file: Path) -> None:
    """A device works, while a capture is made at the archive."""
    command = ["/usr/bin/tcpdump", "-i", "lo", "-U", "--immediate-mode", "-w", folder / "week.pcap"]
    command += ["tcp", "port", str(archive.address.port)]
    with running("tcpdump", command, folder / "tcpdump", ready=lambda process: "listening on" in process.text()) as tap:
        assert dcmtk.echoscu(archive.address, "CT1", "ORTHANC").ok
        stored = dcmtk.storescu(archive.address, "CT1", "ORTHANC", [file])
        assert stored.ok, stored.output
        tap.stop()


def who_uses_it(folder: Path) -> tuple[str | Path, ...]:
    return ("--observe", folder / "week.pcap", "--gate-name", "localhost")


def assessed(port: int, folder: Path, name: str, printed: list[str], *options: str | Path) -> None:
    """Without a pause, since it is this machine's own server."""
    target = f"localhost:{port}"
    permission = ("--authorised", "J. Doe, head of IT, ticket 4711", "--contact", "A. Smith, PACS", "--interval", "0")
    for kind in FORMATS[name]:
        output = folder / f"{name}.{kind}"
        command = ("assess", target, "--called", "ORTHANC", *permission, "--allow-count", *options)
        done = run_dicomgate(*command, "--format", kind, "--output", output, seconds=180)
        assert done.returncode in ((1,) if name == "before" else (0, 3)), done.stderr  # 3: without sslyze
        printed += [done.stdout, done.stderr]


def certificates(folder: Path, printed: list[str]) -> None:
    """The commands that the suggested file begins with, as they stand there."""
    lines = re.findall(r"^#   dicomgate (pki .+)$", (folder / "gate.toml").read_text("utf-8"), re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["init", "issue", "issue"]
    for line in lines:
        command = [*DICOMGATE, *shlex.split(line)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stderr)


def test_before_it_is_open_and_after_it_is_closed(story: Story) -> None:
    (before,) = story.document("before.json")["targets"]  # type: ignore[misc]
    (after,) = story.document("after.json")["targets"]  # type: ignore[misc]
    assert before["score"]["grade"] == "F"
    assert after["score"]["grade"] in ("A", "B", *(() if sslyze_is_installed() else ("C",))), after["score"]
    severe = [
        each for each in after["results"] if each["outcome"] == "fail" and each["severity"] not in ("info", "low")
    ]
    assert severe == []
    assert after["do_first"] == []
    assert before["do_first"][0]["product"] == "dicomgate"


def test_the_baseline_tells_what_was_fixed(story: Story) -> None:
    change = story.document("after.json")["comparison"]
    assert isinstance(change, dict)
    assert change["new"] == change["unchanged"] == []
    assert {each["id"] for each in change["fixed"]} >= {"ADM-01", "ADM-02", "ADM-07", "TLS-01", "AZ-09"}


def test_every_format_is_valid(story: Story) -> None:
    for name in ("before", "after"):
        jsonschema.validate(story.document(f"{name}.json"), json.loads(SCHEMA.read_text("utf-8")))
    sarif_schema.validate(story.document("before.sarif"))
    assert (story.folder / "before.junit").read_text("utf-8").startswith("<?xml")


def test_no_patient_value_stands_anywhere(story: Story) -> None:
    files = [story.folder / f"{name}.{kind}" for name, kinds in FORMATS.items() for kind in kinds]
    texts = [
        *story.printed,
        *(file.read_text("utf-8") for file in files),
        (story.folder / "gate.toml").read_text("utf-8"),
    ]
    assert [value for value in sorted(story.values) for text in texts if value in text] == []


def test_the_suggested_peer_is_who_was_seen(story: Story) -> None:
    text = (story.folder / "gate.toml").read_text("utf-8")
    assert 'ae_titles = ["CT1"]' in text
    assert 'networks = ["127.0.0.1/32"]' in text
    assert 'may = ["echo", "store"]' in text


@pytest.mark.parametrize("name", ["before", "after"])
def test_a_browser_shows_and_prints_it(story: Story, name: str, request: pytest.FixtureRequest) -> None:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("chromium")
    page = story.folder / f"{name}.html"
    picture, printed = page.with_suffix(".png"), page.with_suffix(".pdf")
    document = browser(story.folder, "--dump-dom", page.as_uri()).stdout
    assert "</footer>" in document
    assert "DICOM exposure" in document
    browser(story.folder, f"--screenshot={picture}", "--window-size=1000,1600", page.as_uri())
    browser(story.folder, "--no-pdf-header-footer", f"--print-to-pdf={printed}", page.as_uri())
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert printed.read_bytes().startswith(b"%PDF")


def browser(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Nothing but the file may be needed: every host name leads nowhere."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    options += [f"--user-data-dir={folder / 'browser'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command = ["/usr/bin/chromium", *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    return done
