"""Sinks and metrics are started, moved and ended with SIGHUP; what cannot be had refuses the reload as a whole."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest

from lab.process import free_address, wait_until
from system.house import House, house
from system.raw_archive import SECONDS

pytestmark = pytest.mark.system

SINK = """
[[sink]]
name = "{name}"
kind = "jsonl"
file = "{file}"
"""


def actions(path: Path) -> list[tuple[int, str]]:
    """Sequence and event of every line."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line["event"]["sequence"], line["event"]["action"]) for line in lines]


def reload(door: House, text: str, event: str = "configuration_loaded") -> None:
    before = len(door.trail.records(event=event))
    door.gate.configuration.write_text(text, encoding="utf-8")
    door.gate.sighup()
    wait_until(lambda: len(door.trail.records(event=event)) > before, SECONDS, f"a record {event}")


def test_sinks_and_metrics_follow_a_reload(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.jsonl" for name in ("first", "second", "third"))
    with house(tmp_path / "gate", more=SINK.format(name="siem", file=first)) as door:
        text = door.gate.configuration.read_text(encoding="utf-8")
        wait_until(lambda: "gate_started" in dict(actions(first)).values(), SECONDS, "the first lines")

        # Another place for the same sink, and one more sink: the one goes on, the other begins here.
        moved = text.replace(str(first), str(second)) + SINK.format(name="other", file=third)
        at = free_address()
        reload(door, f'{moved}\n[metrics]\nbind = "{at}"\n')
        wait_until(lambda: "configuration_loaded" in dict(actions(second)).values(), SECONDS, "a line in the new place")
        page = httpx.get(f"http://{at}/metrics", trust_env=False).text
        assert 'dicomgate_sink_up{sink="siem"} 1.0' in page
        assert 'dicomgate_sink_up{sink="other"} 1.0' in page
        together = [number for number, _ in (*actions(first), *actions(second))]
        assert together == sorted(set(together)), "none twice, none left out at the change"

        # An address that is taken: nothing changes, and the reason says so.
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            reload(door, f'{text}\n[metrics]\nbind = "127.0.0.1:{port}"\n', "configuration_refused")
        refused = door.trail.records(event="configuration_refused")[-1]
        assert refused.reason is not None
        assert "in use" in refused.reason
        assert httpx.get(f"http://{at}/readyz", trust_env=False).status_code == 200
        wait_until(lambda: "configuration_refused" in dict(actions(third)).values(), SECONDS, "a line about it")

        # Without the tables nobody listens and nothing is written.
        plain = text[: text.index("[[sink]]")]
        reload(door, plain)
        wait_until(lambda: _refuses(at.port), SECONDS, "the end of the metrics")
        written = actions(third)
        reload(door, plain)
        assert actions(third) == written


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False
