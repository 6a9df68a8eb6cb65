"""What DCMTK's programs report, and where they are looked for. No DCMTK needed: scripts stand in for it."""

from pathlib import Path

import pytest

from dicomgate.demo import dcmtk
from dicomgate.demo.answers import Answered, Answers, Closed, Rejected, Unexpected
from dicomgate.demo.clients import Call
from dicomgate.wire.codes import Reject, Status

CALL = Call(104, "CT1", "ARCHIVE")


def reporting(folder: Path, *lines: str) -> Path:
    script = folder / "echoscu"
    script.write_text("#!/bin/sh\ncat <<'END' >&2\n" + "\n".join(lines) + "\nEND\n")
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        (["I: Received Echo Response (Success)"], (Answered("C-ECHO", Status.SUCCESS),)),
        (["I: Requesting Association"], (Unexpected("0 of 1 C-ECHO ended with success"),)),
        (
            [
                "F: Association Rejected:",
                "F: Result: Rejected Permanent, Source: Service User",
                "F: Reason: Calling AE Title Not Recognized",
            ],
            (Rejected(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),),
        ),
        (
            [
                "F: Association Rejected:",
                "F: Result: Rejected Transient, Source: Service Provider (Presentation)",
                "F: Reason: Local Limit Exceeded",
            ],
            (Unexpected("Association Rejected:"),),
        ),
        (["F: Association Request Failed: Peer aborted Association (or never connected)"], (Closed(),)),
        (["F: No Acceptable Presentation Contexts"], (Unexpected("No Acceptable Presentation Contexts"),)),
    ],
)
def test_reports(tmp_path: Path, lines: list[str], answers: Answers) -> None:
    assert dcmtk.echo(reporting(tmp_path, *lines), CALL) == answers


def test_scripts_of_the_same_name_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, content in ((first, b"#!/usr/bin/env python3\n"), (second, b"\x7fELF")):
        folder.mkdir()
        (folder / "echoscu").write_bytes(content)
    monkeypatch.setattr(dcmtk, "FOLDERS", (first, second))
    assert dcmtk.program("echoscu") == second / "echoscu"
    monkeypatch.setattr(dcmtk, "FOLDERS", (first,))
    assert dcmtk.program("echoscu") is None
