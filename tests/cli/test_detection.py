"""What a running gate's detection tells the packet filter, and what it says when that fails."""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomgate.cli import detection
from dicomgate.cli.detection import Detection
from dicomgate.config.load import Configuration
from dicomgate.gate.journal import Journal
from dicomgate.gate.settings import GateSettings
from dicomgate.policy.model import Rules
from dicomgate.segment.kernel import NftError
from dicomgate.store.database import open_store


def test_a_banned_address_is_told_once_and_a_failure_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def load(lines: list[str]) -> None:
        told.extend(lines)
        if "10.1.9.9" in lines[0]:
            raise NftError("nft refused: No such file or directory", "apply it first")

    monkeypatch.setattr(detection, "load", load)
    settings = GateSettings("north", (), Rules())
    stream = io.StringIO()
    journal = Journal(stream)
    store = open_store("sqlite:///gate.db", tmp_path)
    made = Detection(Configuration(settings, "", tmp_path, **_rest()), store, _at_once, journal)
    made.bans.start()
    made.push("10.1.9.9", 60.4)
    made.push("2001:db8::9", 0)
    deadline = time.monotonic() + 20
    while len(told) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    made.close(lambda: None)
    journal.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert "banned4 { 10.1.9.9 timeout 60s }" in told[0]
    assert "delete element inet dicomgate banned6 { 2001:db8::9 }" in told[1]
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("firewall_not_told", "nft refused: No such file or directory")
    ]


def _at_once(job: Callable[[], None]) -> None:
    job()


def _rest() -> dict[str, object]:
    """What else a configuration has; detection does not look at it."""
    from dicomgate.store.settings import TrailSettings

    return {"trail": TrailSettings()}
