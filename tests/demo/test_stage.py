"""What the demo makes of the gate's own commands: its records, its explanations, its first lines."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.demo import stage
from dicomgate.demo.archive import Archive
from dicomgate.demo.clients import Receiver
from dicomgate.demo.stage import Refusal, Stage, StageError, standing

Answering = Callable[[str], None]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Let a line of Python stand in for every `dicomgate` command."""

    def replace(program: str) -> None:
        monkeypatch.setattr(stage, "_command", lambda *arguments: [sys.executable, "-c", program, *arguments])

    return replace


@pytest.fixture
def stood(tmp_path: Path) -> Stage:
    return Stage(tmp_path, tmp_path / "gate.toml", Archive(()), Receiver("READER1"), {}, False)


def test_refusals_are_read_from_the_records_oldest_first(answering: Answering, stood: Stage) -> None:
    records = [
        Record(3.25, Event.ASSOCIATION_REFUSED, Outcome.REFUSED, refusal_id="BBBB", reason="no", rule="default"),
        Record(2.0, Event.ASSOCIATION_ADMITTED, Outcome.SUCCESS),
        Record(1.5, Event.OPERATION_REFUSED, Outcome.REFUSED, refusal_id="AAAA", status="0124"),
    ]
    lines = "\n".join(json.dumps(record.as_json()) for record in records)
    answering(f"print({lines!r})")
    assert stood.refusals() == [
        Refusal(1.5, "AAAA", "operation_refused", "", "", "0124"),
        Refusal(3.25, "BBBB", "association_refused", "default", "no", ""),
    ]


def test_the_records_of_this_gate_are_asked_for(answering: Answering, stood: Stage) -> None:
    answering("import sys; assert sys.argv[1:] == ['audit', 'list', '-c', sys.argv[4], '--json'], sys.argv")
    assert stood.refusals() == []


def test_an_explanation_of_a_refusal_ends_with_1_and_is_no_failure(answering: Answering, stood: Stage) -> None:
    answering("import sys; print('why', sys.argv[2]); sys.exit(1)")
    assert stood.explain("K7Q2").text == "why K7Q2\n"


def test_a_command_that_fails_is_told_with_what_it_said(answering: Answering, stood: Stage) -> None:
    answering("import sys; sys.exit('no such table')")
    with pytest.raises(StageError, match=r"dicomgate audit: expected exit code \(0,\), got 1: no such table"):
        stood.refusals()


def test_a_command_that_hangs_is_not_waited_for_long(
    answering: Answering, stood: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering("import signal; signal.pause()")
    monkeypatch.setattr(stage, "ANSWERED_WITHIN", 0.2)
    with pytest.raises(StageError, match="dicomgate explain: expected an answer within"):
        stood.explain("K7Q2")


def test_the_ports_are_taken_from_the_ready_lines(answering: Answering, tmp_path: Path) -> None:
    answering(
        "import signal; print('ready inside 127.0.0.1:105\\nready outside [::1]:2762', flush=True); signal.pause()"
    )
    with standing(tmp_path) as stood:
        assert stood.ports == {"inside": 105, "outside": 2762}
        assert f'address = "127.0.0.1:{stood.archive.port}"' in stood.configuration.read_text()
        assert f'address = "127.0.0.1:{stood.receiver.port}"' in stood.configuration.read_text()


def test_another_first_line_is_told(answering: Answering, tmp_path: Path) -> None:
    answering("import signal; print('listening', flush=True); signal.pause()")
    with pytest.raises(StageError, match="expected a line 'ready NAME ADDRESS', got 'listening'"), standing(tmp_path):
        pass


def test_a_gate_that_ignores_the_signal_is_killed(
    answering: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STOPPED_WITHIN", 0.2)
    answering(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready inside 127.0.0.1:1\\nready outside 127.0.0.1:2', flush=True)\n"
        "while True: signal.pause()"
    )
    with standing(tmp_path) as stood:
        assert set(stood.ports) == {"inside", "outside"}
