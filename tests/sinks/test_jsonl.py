"""JSON lines: rotated, truncated and removed files, a full disk, half a line, and stdout."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dicomgate.sinks.jsonl import JsonlOutlet
from dicomgate.sinks.spool import DeliveryError
from sinks.conftest import MakeSpool
from sinks.standins import Source, Told, record, until


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["event"]["sequence"] for line in path.read_text(encoding="utf-8").splitlines()]


def send(outlet: JsonlOutlet, *sequences: int) -> None:
    assert outlet.send([(each, record(f"1.2.{each}")) for each in sequences]).upto == sequences[-1]
    outlet.settle()


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    outlet = JsonlOutlet(path, "north")
    send(outlet, 1, 2)
    send(outlet, 3)
    outlet.close()
    send(outlet, 4)
    assert numbers(path) == [1, 2, 3, 4]
    assert path.stat().st_mode & 0o007 == 0, "not for everybody"


def test_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    outlet = JsonlOutlet(path, "north")
    send(outlet, 1)
    path.rename(old)
    send(outlet, 2)
    assert (numbers(old), numbers(path)) == ([1], [2])
    path.unlink()
    send(outlet, 3)
    assert numbers(path) == [3]
    os.truncate(path, 0)
    send(outlet, 4)
    assert numbers(path) == [4]


def test_half_a_line_of_a_crash_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"whole": 1}\n{"ha')
    send(JsonlOutlet(path, "north"), 7)
    first, half, last = path.read_text().splitlines()
    assert (first, half) == ('{"whole": 1}', '{"ha')
    assert json.loads(last)["event"]["sequence"] == 7


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    outlet = JsonlOutlet(path, "north")
    send(outlet, 1)
    real, room = os.write, 100

    def write(file: int, content: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(28, "No space left on device")
        taken = real(file, bytes(content)[:room])
        room -= taken
        return taken

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(DeliveryError, match=r"audit\.jsonl: no space left on device"):
        send(outlet, 2)
    monkeypatch.undo()
    send(outlet, 2)
    assert numbers(path) == [1, 2]


def test_a_really_full_disk(source: Source, told: Told, spool: MakeSpool) -> None:
    running = spool(JsonlOutlet(Path("/dev/full"), "north"), replay=True)
    source.add("1.2.0")
    running.wake()
    until(lambda: running.failures >= 2)
    assert told.reports == [("repository", "/dev/full: no space left on device")]


def test_a_folder_that_is_not_there_yet(tmp_path: Path, source: Source, told: Told, spool: MakeSpool) -> None:
    path = tmp_path / "later" / "audit.jsonl"
    running = spool(JsonlOutlet(path, "north"), replay=True)
    source.add("1.2.0", "1.2.1")
    running.wake()
    until(lambda: running.failing is not None)
    path.parent.mkdir()
    until(lambda: running.failing is None)
    assert numbers(path) == [1, 2]


def test_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    outlet = JsonlOutlet(None, "north")
    send(outlet, 1, 2)
    outlet.close()
    assert [json.loads(line)["event"]["sequence"] for line in capfd.readouterr().out.splitlines()] == [1, 2]


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    outlet = JsonlOutlet(pipe, "north")
    send(outlet, 1)
    os.close(reader)
    with pytest.raises(DeliveryError, match="broken pipe"):
        send(outlet, 2)
    outlet.close()
