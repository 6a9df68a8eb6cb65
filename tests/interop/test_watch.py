"""`dicomgate watch` on the loopback interface and on a capture, while real clients go through the gate and past it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from lab import dcmtk
from lab.gate import DICOMGATE, run_dicomgate, running_gate
from lab.process import free_address, running
from watch.test_watching import conversation
from watch.wiretap import pcap

pytestmark = [pytest.mark.interop, pytest.mark.system]

CONFIGURATION = """
[[listener]]
name = "inside"
bind = "127.0.0.2:{gate}"
networks = ["127.0.0.0/8"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "127.0.0.1:{archive}"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo", "store"]
"""


def test_what_goes_through_the_gate_and_what_goes_past_it(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    plugin.require("dcmtk")
    assert os.geteuid() == 0, "listening needs root"
    inner, outer = free_address(), free_address()
    configuration = CONFIGURATION.format(gate=outer.port, archive=inner.port)
    with (
        dcmtk.storescp(tmp_path / "archive", "ARCHIVE", address=inner),
        running_gate(tmp_path / "gate", configuration) as gate,
    ):
        command = [*DICOMGATE, "watch", "--interface", "lo", "-c", gate.configuration, "--json"]
        with running(
            "watch", command, tmp_path / "watch", ready=lambda process: "listening on lo" in process.text()
        ) as watching:
            assert dcmtk.echoscu(gate.address("inside"), "CT1", "ARCHIVE").ok
            assert dcmtk.echoscu(inner, "STRANGER", "ARCHIVE").ok
            watching.send_signal(signal.SIGINT)
            assert watching.popen.wait(20) == 0
            rows = [json.loads(line) for line in watching.stdout.read_text().splitlines()]
    told = {(row["calling_ae_title"], row["server"]): row for row in rows if row["port"] in (inner.port, outer.port)}
    assert told["CT1", "127.0.0.2"]["verbs"] == {"echo": 1}
    assert told["CT1", "127.0.0.2"]["remarks"] == []
    assert "bypasses the gate" in told["STRANGER", "127.0.0.1"]["remarks"]
    assert "unknown party" in told["STRANGER", "127.0.0.1"]["remarks"]
    assert told["STRANGER", "127.0.0.1"]["ends"] == {"released": 1}


def test_a_capture_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "day.pcap"
    file.write_bytes(pcap(conversation().frames))
    done = run_dicomgate("watch", "--pcap", file)
    assert done.returncode == 0, done.stderr
    assert "10.1.2.31 → 10.1.1.20:11112  clear  CT1 → ARCHIVE  1 connections" in done.stdout
    assert "DOE" not in done.stdout + done.stderr
    file.write_bytes(file.read_bytes()[:-3])
    cut = run_dicomgate("watch", "--pcap", file, "--json")
    assert cut.returncode == 2
    assert json.loads(cut.stdout)["verbs"] == {"echo": 1, "find": 1, "store": 1}
    assert "cut off in the middle of a frame" in cut.stderr


@pytest.mark.parametrize("options", [[], ["--pcap", "x", "--interface", "lo"], ["--interface", "nothere0"]])
def test_a_wrong_question_is_2(options: list[str]) -> None:
    done = run_dicomgate("watch", *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
