"""`dicomgate assess` as it is typed: what it refuses before a packet is sent, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assess import strangers
from assess.strangers import listening
from dicomgate.cli import app
from lab.process import wait_until

TARGET = "127.0.0.1:104"
OK = (TARGET, "--called", "ARCHIVE", "--authorised", "the lab")
SCOPE = """
authorisation = "x"
contact = "y"
window = "any"
networks = ["127.0.0.0/8"]
[[zone]]
name = "guest"
dicom = "deny"
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["assess", *words])


@pytest.fixture
def nobody_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.usefixtures("nobody_connects")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((TARGET, "--called", "ARCHIVE"), "give either --scope FILE or --authorised TEXT"),
        ((*OK, "--scope", "scope.toml"), "give either --scope FILE or --authorised TEXT"),
        ((TARGET, "--called", "A", "--authorised", " "), "--authorised: error: expected one line of text"),
        (("--called", "A", "--authorised", "x"), "expected at least one target"),
        ((TARGET, "--authorised", "x"), "expected --called TITLE"),
        ((TARGET, "--called", "A\\B", "--authorised", "x"), "--called: expected an AE title"),
        (("nonsense", *OK[1:]), "expected HOST:PORT or NETWORK/BITS:PORT, came 'nonsense'"),
        (("8.8.8.8:104", *OK[1:]), "8.8.8.8 is a public address"),
        ((TARGET, "--called", "A", "--scope", "none.toml"), "none.toml: error: cannot be read"),
        (("10.1.1.5:104", "--called", "A", "--scope", "scope.toml"), "10.1.1.5 is not in the scope"),
        ((TARGET, "--called", "A", "--scope", "scope.toml", "--ports", "104"), "belong to --authorised"),
        ((TARGET, "--called", "A", "--scope", "scope.toml", "--zone", "office"), "known there: guest"),
        (("--called", "A", "--scope", "scope.toml"), "the scope names no target"),
        (("10.1.1.5:104", *OK[1:], "--interval", "0"), "less only for targets on this machine"),
        ((*OK, "--lab", "127.0.0.1:105"), "is no target of this run"),
        ((*OK, "--ports", "104,x"), "--ports: expected numbers"),
        ((*OK, "--ports", "0"), "--ports: expected up to 32 ports"),
        ((*OK, "--certificate", "a.pem"), "--certificate and --key belong together"),
        ((*OK, "--certificate", "a.pem", "--key", "b.pem"), "a.pem: no such file"),
        ((*OK, "--planted-study", "1..2"), "--planted-study: expected a UID"),
        ((*OK, "--files", "nowhere"), "is no folder"),
        ((*OK, "--dicomweb", "ftp://x"), "expected http://HOST:PORT/PATH"),
        ((*OK, "--dicomweb", "http://user:pw@127.0.0.1/"), "without a name and password"),
        ((*OK, "--beyond-channel", "x"), "--beyond-channel: expected ADDRESS:PORT"),
        ((*OK, "--targets", "none.txt"), "cannot be read as text"),
        ((*OK, "--records", "scope.toml"), "line 2: expected a JSON object"),
        ((*OK, "--indexed", "empty.json"), "expected a host lookup"),
        ((*OK, "--channels", "empty.json"), "dicomgate-channel-verify/1"),
        ((*OK, "--segments", "empty.json"), "dicomgate-segment-verify/1"),
        ((*OK, "--output", "no/such/folder"), "cannot be written"),
        ((*OK, "--state", "scope.toml"), "belongs to another run"),
        ((*OK, "--fail-on", "always"), "always"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scope.toml").write_text(SCOPE)
    Path("empty.json").write_text('{"name": 3}')
    done = run(*words)
    assert done.exit_code == 2, done.output
    assert told in done.stderr
    assert done.stdout == ""


def test_unreachable_is_not_a_pass() -> None:
    with listening(strangers.silent) as stranger:
        target = str(stranger.endpoint)
    done = run(target, "--called", "ARCHIVE", "--authorised", "the lab", "--interval", "0")
    assert done.exit_code == 3
    assert "connection refused" in done.stdout
    assert "authorised by  the lab" in done.stderr


def test_a_closed_door_passes_or_not_by_the_severity_that_is_asked_for(tmp_path: Path) -> None:
    with listening(strangers.rejecting) as stranger:
        words = (str(stranger.endpoint), "--called", "ARCHIVE", "--authorised", "the lab", "--interval", "0")
        strict = run(*words, "--format", "json")
        relaxed = run(*words, "--fail-on", "critical", "--output", str(tmp_path / "report.txt"))
    assert strict.exit_code == 1  # it speaks in clear
    (target,) = json.loads(strict.stdout)["targets"]
    assert [result["id"] for result in target["results"] if result["outcome"] == "fail"] == ["TLS-01"]
    assert relaxed.exit_code == 0, relaxed.stderr
    assert relaxed.stdout == ""
    assert "TLS-01" in (tmp_path / "report.txt").read_text()


def test_interrupted_it_still_reports(tmp_path: Path) -> None:
    """SIGINT: no further connection, what is known is written, and the exit status is that of an incomplete run."""
    with listening(strangers.rejecting) as stranger:
        command = [sys.executable, "-m", "dicomgate", "assess", str(stranger.endpoint), "--called", "ARCHIVE"]
        command += ["--authorised", "the lab", "--interval", "0.3", "--format", "json", "--fail-on", "critical"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
            wait_until(lambda: stranger.connections >= 3, 30, "three connections")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err.decode()
    (target,) = json.loads(out)["targets"]
    assert target["state"] == "stopped"
    assert target["why"] == "interrupted by the user"
    assert "interrupted" in err.decode()


def test_inputs_are_read(tmp_path: Path) -> None:
    """Each file that can be named, and the check that uses it."""
    records = [
        {"time": f"2026-11-{day:02d}T08:00:00Z", "event": "association_admitted", "address": "10.1.2.31"}
        for day in (1, 20)
    ]
    segments = {
        "format": "dicomgate-segment-verify/1",
        "probes": [
            {
                "check": "EXP-05",
                "source": "10.9.0.1",
                "source_segment": "guest",
                "destination": "127.0.0.1",
                "port": 0,
                "expected": "drop",
            }
        ],
        "channels": [{"name": "b", "mutual": True, "shared_key_days": None}],
    }
    channels = {
        "format": "dicomgate-channel-verify/1",
        "channels": [{"name": "a", "mutual": False, "shared_key_days": 3, "findings": []}],
    }
    with listening(strangers.rejecting) as stranger:
        segments["probes"][0] |= {"port": stranger.endpoint.port, "ok": False}  # type: ignore[index]
        files = {
            "--records": "\n".join(map(json.dumps, records)),
            "--segments": json.dumps(segments),
            "--channels": json.dumps(channels),
            "--indexed": json.dumps({"ip_str": "127.0.0.1", "ports": [104], "last_update": "2026-10-01T00:00:00"}),
        }
        words = [str(stranger.endpoint), "--called", "ARCHIVE", "--authorised", "the lab", "--interval", "0"]
        for option, text in files.items():
            file = tmp_path / option.strip("-")
            file.write_text(text)
            words += [option, str(file)]
        (tmp_path / "stored").mkdir()
        (tmp_path / "stored" / "SMITH^JOHN.dcm").write_bytes(b"MZ".ljust(128, b"\0") + b"DICM")
        done = run(*words, "--files", str(tmp_path / "stored"), "--format", "json")
    results = {each["id"]: each for each in json.loads(done.stdout)["targets"][0]["results"]}
    outcomes = {name: results[name]["outcome"] for name in ("EXP-01", "EXP-03", "EXP-05", "EXP-08", "FPR-02")}
    assert outcomes == {"EXP-01": "pass", "EXP-03": "fail", "EXP-05": "fail", "EXP-08": "fail", "FPR-02": "fail"}
    assert results["EXP-01"]["evidence"] == {"days": 19.0, "addresses": 1, "associations": 2}
    assert "SMITH" not in done.output
