"""The whole demo: exit 0 with the real gate, exit 1 with one that guards nothing or does not come up."""

import re
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dicomgate.demo import clients, scenario, stage
from dicomgate.demo.answers import Answers, Unexpected
from dicomgate.demo.archive import Archive
from dicomgate.demo.result import Result
from dicomgate.demo.scenario import run_demo
from dicomgate.demo.stage import Refusal, Stage
from dicomgate.demo.steps import Step


def played(keep: bool = False) -> tuple[int, str]:
    output = StringIO()
    return run_demo(keep, Console(file=output, width=80)), output.getvalue()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario, "RECORDED_WITHIN", 0.0)
    monkeypatch.setattr(clients, "PATIENCE", 1.0)


@pytest.mark.system
def test_every_expectation_holds_with_the_gate() -> None:
    code, transcript = played()
    assert code == 0, transcript
    assert "WRONG" not in transcript
    assert "\x1b" not in transcript  # plain, since this is no terminal
    assert max(map(len, transcript.splitlines())) <= 80


@pytest.mark.system
@pytest.mark.usefixtures("impatient")
def test_a_gate_that_guards_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = Path(__file__).with_name("careless_gate.py")
    monkeypatch.setattr(stage, "_command", lambda *arguments: [sys.executable, str(careless), *arguments])
    code, transcript = played()
    assert code == 1
    told = " ".join(transcript.split())
    unguarded = "the client was not told what was expected; the archive must not have seen anything of this"
    assert f"A stranger, EVIL, looks for all studies: {unguarded}" in told
    assert "READER1, who may fetch, stores over the same context: the client was not told what was expected" in told
    assert "EVIL -> ARCHIVE: C-FIND (STUDY)" in told


def test_a_gate_that_does_not_come_up_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import sys; sys.exit('gate.toml: no such listener')"
    monkeypatch.setattr(stage, "_command", lambda *_: [sys.executable, "-c", broken])
    code, transcript = played()
    assert code == 1
    assert "the gate ended with exit code 1; its last words:" in transcript
    assert "gate.toml: no such listener" in transcript


def test_a_gate_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = "import signal; signal.pause()"
    monkeypatch.setattr(stage, "_command", lambda *_: [sys.executable, "-c", silent])
    monkeypatch.setattr(stage, "READY_WITHIN", 0.2)
    code, transcript = played()
    assert code == 1
    assert "the gate was not ready within" in transcript


def test_the_folder_stays_only_when_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stage, "_command", lambda *_: [sys.executable, "-c", ""])
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    played()
    assert list(tmp_path.iterdir()) == []
    _, transcript = played(keep=True)
    (folder,) = tmp_path.iterdir()
    assert (folder / "gate.toml").exists()
    assert re.search(rf"Kept: {re.escape(str(folder))}$", transcript, re.MULTILINE)


def test_a_record_belongs_to_the_step_during_which_it_was_made() -> None:
    def refusal(time: float) -> Refusal:
        return Refusal(time, f"at {time}", "connection_refused", "malformed", "not DICOM", "")

    step = Step("EVIL asks", "pynetdicom", lambda: (), ())
    first, second = Result(step, 1700000000.0268), Result(step, 1700000000.0331)
    before, early, late, after = (refusal(1700000000 + ms / 1000) for ms in (25, 26, 32, 33))
    told = scenario._with_refusals([first, second], [before, early, late, after])
    assert [result.refusals for result in told] == [(early, late), (after,)]


def test_a_client_that_breaks_off_is_one_failed_step(tmp_path: Path) -> None:
    def break_off() -> Answers:
        raise RuntimeError("the association was aborted")

    stood = Stage(tmp_path, tmp_path / "gate.toml", Archive(()), clients.Receiver("READER1"), {}, False)
    result = scenario._play_step(stood, Step("CT1 asks", "pynetdicom", break_off, ()))
    assert result.answers == (Unexpected("RuntimeError: the association was aborted"),)
    assert not result.held
