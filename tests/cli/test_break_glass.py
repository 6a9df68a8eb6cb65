"""`dicomgate break-glass`: who gets what, for how long, and how loudly."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.test_commands import Done, Run
from cli.test_commands import run as run  # noqa: PLC0414 - a fixture
from cli.test_user import GATE
from dicomgate.identity.emergency import Grant
from dicomgate.store.database import open_store
from dicomgate.store.grants import GateGrants

REASON = "stroke patient, prior images needed"
BreakGlass = Callable[..., Done]


@pytest.fixture
def break_glass(run: Run, tmp_path: Path) -> BreakGlass:
    (tmp_path / "gate.toml").write_text(GATE, encoding="utf-8")
    return lambda *arguments: run("break-glass", *arguments, "-c", "gate.toml")


def granted(break_glass: BreakGlass, *more: str) -> Done:
    return break_glass("Alice", "--role", "emergency", "--reason", REASON, *more)


def in_force(folder: Path, now: float | None = None) -> tuple[Grant, ...]:
    found = GateGrants(open_store("sqlite:///gate.db", folder)).in_force(time.time() if now is None else now, "alice")
    assert isinstance(found, tuple)
    return found


def events(run: Run) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in run("audit", "list", "--json", "-c", "gate.toml").lines]
    return [record for record in found if record["event"].startswith("emergency")]


def test_a_grant_is_in_force_at_once_and_said_loudly(break_glass: BreakGlass, run: Run, tmp_path: Path) -> None:
    done = granted(break_glass, "--for", "2h")
    assert done.code == 0
    (grant,) = in_force(tmp_path)
    assert done.out == f"{grant.id}\n"
    assert "EMERGENCY ACCESS: alice has the role emergency until" in done.err
    assert REASON in done.err
    assert "no local user is called alice" in done.err
    assert (grant.role, grant.reason, round(grant.ends - grant.granted)) == ("emergency", REASON, 7200)
    (record,) = events(run)
    assert (record["event"], record["user"], record["reason"]) == ("emergency_started", "alice", REASON)
    assert record["detail"]["grant"] == grant.id
    assert record["detail"]["role"] == "emergency"
    assert record["detail"]["operator"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("90s", 90), ("24h", 86400), ("1 d", 86400), ("45 min", 2700), ("120", None)]
)
def test_for(break_glass: BreakGlass, tmp_path: Path, text: str, seconds: int | None) -> None:
    done = granted(break_glass, "--for", text)
    if seconds is None:
        assert done.code == 2
    else:
        (grant,) = in_force(tmp_path)
        assert round(grant.ends - grant.granted) == seconds


@pytest.mark.parametrize("text", ["", "0m", "30", "25h", "2d", "forever", "-5m", "59s", "1e9h", "m"])
def test_a_time_that_is_none_or_too_long_is_refused(break_glass: BreakGlass, tmp_path: Path, text: str) -> None:
    done = granted(break_glass, f"--for={text}")
    assert done.code == 2
    assert "--for: expected a time from 1m to 24h" in done.err
    assert in_force(tmp_path) == ()


def test_without_for_it_is_half_an_hour(break_glass: BreakGlass, tmp_path: Path) -> None:
    granted(break_glass)
    (grant,) = in_force(tmp_path)
    assert round(grant.ends - grant.granted) == 1800


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["alice", "--role", "emergency"], "without a reason"),
        (["alice", "--role", "emergency", "--reason", "  "], "--reason: expected 1 to 200"),
        (["alice", "--role", "emergency", "--reason", "x" * 201], "--reason: expected 1 to 200"),
        (["alice", "--role", "emergency", "--reason", "a\x1b[2Jb"], "--reason: expected 1 to 200"),
        (["alice", "--reason", "x"], "expected USER, --role and --reason"),
        (["--role", "emergency", "--reason", "x"], "expected USER, --role and --reason"),
        (["alice", "--role", "radiologist", "--reason", "x"], "radiologist is no emergency role"),
        (["alice", "--role", "emergencies", "--reason", "x"], "did you mean emergency?"),
        (["", "--role", "emergency", "--reason", "x"], "expected the name of a user"),
        (["a\nb\x07", "--role", "emergency", "--reason", "x"], "expected the name of a user"),
        ([], "give USER with --role and --reason"),
        (["alice", "--list"], "give USER with --role and --reason"),
        (["--list", "--revoke", "0badcafe"], "give USER with --role and --reason"),
    ],
)
def test_refused(break_glass: BreakGlass, tmp_path: Path, arguments: list[str], text: str) -> None:
    done = break_glass(*arguments)
    assert done.code == 2
    assert text in done.err
    assert in_force(tmp_path) == ()


def test_revoke(break_glass: BreakGlass, run: Run, tmp_path: Path) -> None:
    grant_id = granted(break_glass).out.strip()
    done = break_glass("--revoke", grant_id.upper())
    assert done.code == 0
    assert "EMERGENCY ACCESS ENDED: alice" in done.err
    assert in_force(tmp_path) == ()
    assert [record["event"] for record in events(run)] == ["emergency_started", "emergency_ended"]
    assert events(run)[1]["reason"].startswith("revoked by ")
    again = break_glass("--revoke", grant_id)
    assert again.code == 1
    assert "no grant" in again.err
    assert len(events(run)) == 2


def test_list(break_glass: BreakGlass) -> None:
    assert break_glass("--list") == Done(0, "", "there are no grants\n")
    first = granted(break_glass).out.strip()
    second = json.loads(granted(break_glass, "--json").out)
    break_glass("--revoke", first)
    one, two = (json.loads(line) for line in break_glass("--list", "--json").lines)
    assert (one["id"], one["state"]) == (first, "over")
    assert one["ended"]
    assert (two["id"], two["state"], two["user"], two["role"]) == (second["id"], "in force", "alice", "emergency")
    lines = break_glass("--list").lines
    assert len(lines) == 2
    assert REASON in lines[0]
