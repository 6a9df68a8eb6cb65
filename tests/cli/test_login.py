"""`dicomgate login` as a user at a desk sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from dicomgate.cli import app
from dicomgate.cli import login as command
from dicomgate.iam.oidc import keepers
from dicomgate.iam.oidc.keepers import FileKeeper
from iam.oidc.issuer import key_set
from iam.oidc.stand_in import Reply, Request, StandIn, standing_in
from iam.oidc.test_sign_in import GIVES, INVITES

GATE = """
[[listener]]
name = "desk"
bind = "127.0.0.1:11112"
networks = ["127.0.0.1"]

[[archive]]
name = "clinic"
ae_title = "ARCHIVE"
address = "gate.clinic.example:2762"

[[peer]]
name = "viewer"
ae_titles = ["VIEWER"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo", "find"]
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setattr(keepers, "_keyring", lambda: None)
    with standing_in() as found:
        found.publish(key_set())
        found.routes["/device_authorization"] = Reply(INVITES)
        yield found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time passes only where the command waits."""
    found: list[float] = []
    start = time.monotonic()
    clock = SimpleNamespace(sleep=found.append, monotonic=lambda: start + sum(found))
    monkeypatch.setattr(command, "time", clock)
    return found


@pytest.fixture
def file(provider: StandIn, tmp_path: Path) -> Path:
    path = tmp_path / "desk.toml"
    path.write_text(f'{GATE}\n[login]\nissuer = "{provider.issuer}"\nclient_id = "desk"\ntokens = "kept/login.json"\n')
    return path


def answers(*replies: Reply) -> object:
    left = list(replies)

    def next_one(request: Request) -> Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    return next_one


def pending(error: str = "authorization_pending") -> Reply:
    return Reply({"error": error}, 400)


def test_a_user_signs_in(provider: StandIn, waits: list[float], file: Path) -> None:
    down = Reply(b"", 503)
    provider.routes["/token"] = answers(pending(), pending("slow_down"), down, down, pending(), Reply(GIVES))  # type: ignore[assignment]
    result = CliRunner().invoke(app, ["login", "-c", str(file)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == ["open https://login.clinic.example/device", "code ABCD-EFGH"]
    assert lines[2].startswith("signed in until ")
    assert lines[2].endswith(", then renewed")
    assert result.stderr.count("status 503") == 1
    assert str(file.parent / "kept" / "login.json") in result.stderr
    assert waits == [2, 2, 7, 14, 28, 28], "never sooner than the provider wants"
    kept = FileKeeper(file.parent / "kept" / "login.json").load()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token) == ("an-access-token", "a-refresh-token")
    assert "access-token" not in result.output


def test_a_program_signs_a_user_in(provider: StandIn, waits: list[float], file: Path) -> None:
    provider.routes["/token"] = Reply({**GIVES, "refresh_token": None})
    result = CliRunner().invoke(app, ["login", "-c", str(file), "--json"])
    invitation, outcome = map(json.loads, result.stdout.splitlines())
    assert invitation["verification_uri_complete"] == INVITES["verification_uri_complete"]
    assert invitation["user_code"] == "ABCD-EFGH"
    assert outcome["signed_in"] is True
    assert outcome["renewable"] is False
    assert outcome["kept_in"] == str(file.parent / "kept" / "login.json")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (pending("access_denied"), "the sign-in was declined"),
        (pending("expired_token"), "the code has expired"),
        (pending(), "the code has expired"),
        (Reply(b"", 503), "the code has expired"),
    ],
    ids=["declined", "expired", "never", "down"],
)
def test_who_is_not_let_in_is_told(provider: StandIn, waits: list[float], file: Path, reply: Reply, text: str) -> None:
    provider.routes["/token"] = reply
    result = CliRunner().invoke(app, ["login", "-c", str(file)])
    assert result.exit_code == 1
    assert text in result.stderr
    assert sum(waits) <= 600
    assert not (file.parent / "kept").exists()


def test_a_user_signs_out(provider: StandIn, waits: list[float], file: Path) -> None:
    provider.routes["/token"] = Reply(GIVES)
    provider.routes["/revocation"] = Reply(b"")
    assert CliRunner().invoke(app, ["login", "-c", str(file)]).exit_code == 0
    for _ in range(2):
        assert CliRunner().invoke(app, ["login", "-c", str(file), "--forget"]).exit_code == 0
        assert not (file.parent / "kept" / "login.json").exists()
    assert provider.asked("/revocation") == 1
    assert provider.requests[-1].form["token"] == "a-refresh-token"


def test_what_the_provider_does_not_forget_is_said_and_forgotten_here(
    provider: StandIn, waits: list[float], file: Path
) -> None:
    provider.routes["/token"] = Reply(GIVES)
    assert CliRunner().invoke(app, ["login", "-c", str(file)]).exit_code == 0
    result = CliRunner().invoke(app, ["login", "-c", str(file), "--forget"])
    assert result.exit_code == 2
    assert "does not forget" in result.stderr
    assert not (file.parent / "kept" / "login.json").exists()


def test_without_a_provider_nobody_can_sign_in(provider: StandIn, waits: list[float], file: Path) -> None:
    provider.routes.clear()
    result = CliRunner().invoke(app, ["login", "-c", str(file)])
    assert result.exit_code == 2
    assert "expected status 200, came 404" in result.stderr
    file.write_text(GATE)
    result = CliRunner().invoke(app, ["login", "-c", str(file)])
    assert result.exit_code == 2
    assert "expected a [login] table" in result.stderr


def test_where_tokens_cannot_be_kept_nobody_is_signed_in(provider: StandIn, waits: list[float], file: Path) -> None:
    provider.routes["/token"] = Reply(GIVES)
    (file.parent / "kept").touch()
    result = CliRunner().invoke(app, ["login", "-c", str(file)])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert "signed in" not in result.stdout
