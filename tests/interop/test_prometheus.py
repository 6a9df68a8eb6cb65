"""Prometheus scrapes a real gate, takes its rules, and sees what happened; promtool has no complaint."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from docs.pages import ROOT
from lab import dcmtk
from lab.gate import Gate, running_gate
from lab.process import Address, free_address, wait_until
from lab.prometheus import PROMTOOL, Prometheus, prometheus

pytestmark = [pytest.mark.interop, pytest.mark.system]
RULES = ROOT / "packaging" / "prometheus" / "dicomgate.rules.yml"
SECONDS = 30.0

CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]

[[archive]]
name = "main"
ae_title = "STORESCP"
address = "{archive}"

[[archive]]
name = "gone"
ae_title = "GONE"
address = "{gone}"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo"]
archive = ["main", "gone"]

[[sink]]
name = "lines"
kind = "jsonl"
file = "/dev/full"

[metrics]
bind = "{metrics}"
"""


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Gate, Address, Prometheus]]:
    require = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py"))).require
    for component in ("dcmtk", "prometheus"):
        require(component)
    metrics = free_address()
    with dcmtk.storescp(tmp_path / "archive") as archive:
        text = CONFIGURATION.format(archive=archive.address, gone=free_address(), metrics=metrics)
        with running_gate(tmp_path / "gate", text) as gate, prometheus(tmp_path / "prom", metrics, RULES) as watching:
            yield gate, metrics, watching


def echo(gate: Gate, calling: str = "CT1", called: str = "STORESCP") -> bool:
    at = gate.address("outside")
    return dcmtk.client("echoscu", "-aet", calling, "-aec", called, at.host, str(at.port)).ok


def test_prometheus_sees_what_happened(scene: tuple[Gate, Address, Prometheus]) -> None:
    gate, _, watching = scene
    assert echo(gate)
    assert not echo(gate, "EVIL")
    assert not echo(gate, called="GONE")

    def sees(expression: str, value: float) -> None:
        wait_until(lambda: watching.value(expression) == value, SECONDS, f"{expression} == {value}")

    sees('up{job="dicomgate"}', 1)
    sees('dicomgate_associations_total{outcome="admitted",peer="ct-1",archive="main"}', 1)
    sees('dicomgate_operations_total{verb="echo",outcome="success",peer="ct-1"}', 1)
    sees('dicomgate_refusals_total{answer="1/1/3",stage="association"}', 1)
    sees('dicomgate_archive_up{archive="main"}', 1)
    sees('dicomgate_archive_up{archive="gone"}', 0)
    sees('dicomgate_sink_up{sink="lines"}', 0)
    sees("dicomgate_association_setup_seconds_count", 2)
    sees("dicomgate_ready", 1)
    assert {rule["health"] for rule in watching.rules()} <= {"ok", "unknown"}
    wait_until(
        lambda: any(rule["name"] == "DicomgateArchiveDown" and rule["state"] == "pending" for rule in watching.rules()),
        SECONDS,
        "an alert about the archive that is gone",
    )


def test_health_follows_the_gate(scene: tuple[Gate, Address, Prometheus]) -> None:
    gate, metrics, _ = scene

    def status(path: str) -> int:
        return httpx.get(f"http://{metrics}{path}", trust_env=False).status_code

    assert (status("/healthz"), status("/readyz")) == (200, 200)
    assert gate.stop() == 0
    with pytest.raises(httpx.ConnectError):
        status("/readyz")


def test_promtool_has_no_complaint(scene: tuple[Gate, Address, Prometheus]) -> None:
    gate, metrics, _ = scene
    assert echo(gate)
    page = httpx.get(f"http://{metrics}/metrics", trust_env=False).content
    linted = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")
    rules = subprocess.run([PROMTOOL, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert rules.returncode == 0, rules.stderr
    scrape = RULES.with_name("scrape.yml")
    checked = subprocess.run([PROMTOOL, "check", "config", scrape], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
