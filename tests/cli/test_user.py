"""`dicomgate user`: what it does, says, records and refuses; passcodes from files, standard input and a terminal."""

import io
import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyotp
import pytest

from cli.test_commands import SOUND, Done, Run
from cli.test_commands import run as run  # noqa: PLC0414 - a fixture
from dicomgate.iam.local import LocalVerifier
from dicomgate.iam.settings import LocalSettings
from dicomgate.identity.verifier import Cause, Refuted, Verification, Verified
from dicomgate.store.database import open_store
from dicomgate.store.users import VerifierUsers
from iam.claimants import login

GATE = (
    SOUND
    + """
[[role]]
name = "radiologist"
may = ["echo", "find"]

[[role]]
name = "emergency"
may = ["echo", "find", "get"]
emergency = true

[[verifier]]
name = "staff"
kind = "local"
"""
)
GOOD = "vinegar tractor eleven moss"
BETTER = "kettle orbit nineteen walrus"
User = Callable[..., Done]


@pytest.fixture
def user(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    """`dicomgate user ARGUMENTS -c gate.toml`; the passcode, if any, comes from standard input."""
    (tmp_path / "gate.toml").write_text(GATE, encoding="utf-8")

    def go(command: str, *arguments: str, passcode: str | bytes | None = None) -> Done:
        more = []
        if passcode is not None:
            more = ["--passcode-file", "-"]
            data = passcode if isinstance(passcode, bytes) else passcode.encode()
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return run("user", command, *arguments, *more, "-c", "gate.toml")

    return go


def verify(folder: Path, name: str, passcode: str, now: float | None = None) -> Verification:
    """As the gate does it, with a connection of its own."""
    engine = open_store("sqlite:///gate.db", folder)
    verifier = LocalVerifier(LocalSettings("staff"), VerifierUsers(engine))
    return verifier.verify(login(name, passcode.encode()), time.time() if now is None else now)


def cause(answer: Verification) -> Cause:
    assert isinstance(answer, Refuted)
    return answer.cause


def records(run: Run) -> list[dict[str, Any]]:
    done = run("audit", "search", "--event", "user_changed", "--json", "-c", "gate.toml")
    return [json.loads(line) for line in done.lines]


def test_add_and_log_in(user: User, tmp_path: Path) -> None:
    done = user("add", "Dr.Meier", "--role", "radiologist", passcode=GOOD + "\n")
    assert done == Done(0, "", "dr.meier added; roles: radiologist\n")
    answer = verify(tmp_path, "DR.MEIER", GOOD)
    assert isinstance(answer, Verified)
    assert answer.principal.roles == {"radiologist"}
    assert cause(verify(tmp_path, "dr.meier", BETTER)) is Cause.WRONG_CREDENTIAL


def test_who_is_added_twice_keeps_the_first_passcode(user: User, tmp_path: Path) -> None:
    user("add", "alice", "--role", "radiologist", passcode=GOOD)
    done = user("add", "ALICE", passcode=BETTER)
    assert done.code == 2
    assert "there is a user alice already" in done.err
    assert isinstance(verify(tmp_path, "alice", GOOD), Verified)


@pytest.mark.parametrize("name", ["", "a b", "-", "../x", "a\tb", "x" * 65, "a*"])
def test_a_name_that_cannot_be_one_is_refused(user: User, name: str) -> None:
    done = user("add", "--", name, passcode=GOOD) if name.startswith("-") else user("add", name, passcode=GOOD)
    assert done.code == 2
    assert "error: " in done.err.lower()
    assert done.out == ""


def test_a_role_that_is_not_in_the_file_is_refused_with_a_hint(user: User) -> None:
    done = user("add", "alice", "--role", "radiolgist", passcode=GOOD)
    assert done.code == 2
    assert "did you mean radiologist?" in done.err
    done = user("add", "alice", "--role", "emergency", passcode=GOOD)
    assert done.code == 2
    assert "dicomgate break-glass" in done.err
    assert user("list").out == ""


@pytest.mark.parametrize("passcode", ["password12345", "alice-and-some-more-words", "short", "x" * 300])
def test_a_passcode_that_can_be_guessed_is_refused_with_the_reason_and_not_repeated(user: User, passcode: str) -> None:
    done = user("add", "alice", passcode=passcode)
    assert done.code == 1
    assert done.err.startswith("dicomgate: the passcode is refused: ")
    assert passcode not in done.err
    assert user("list").out == ""


@pytest.mark.parametrize("passcode", ["", "\n", f"{GOOD}\n{BETTER}\n", b"\xff\xfe vinegar tractor", "x" * 5000])
def test_what_is_no_line_of_text_is_no_passcode(user: User, passcode: str | bytes) -> None:
    done = user("add", "alice", passcode=passcode)
    assert done.code == 2
    assert "standard input: expected one line of UTF-8 text" in done.err
    assert "vinegar" not in done.err


def test_letters_beyond_ascii_are_taken_with_a_warning(user: User, tmp_path: Path) -> None:
    done = user("add", "alice", passcode="Hängematte Zwölf Kanister")
    assert done.code == 0
    assert "beyond ASCII" in done.err
    assert isinstance(verify(tmp_path, "alice", "Hängematte Zwölf Kanister"), Verified)


def test_the_passcode_from_a_file(user: User, tmp_path: Path) -> None:
    file = tmp_path / "passcode"
    file.write_text(GOOD + "\r\n")
    file.chmod(0o644)
    done = user("add", "alice", "--passcode-file", "passcode")
    assert done.code == 2
    assert "others can read or change this secret (mode 0644)" in done.err
    file.chmod(0o600)
    assert user("add", "alice", "--passcode-file", "passcode").code == 0
    assert isinstance(verify(tmp_path, "alice", GOOD), Verified)
    assert user("passwd", "alice", "--passcode-file", "missing").code == 2


def test_without_a_terminal_and_a_file_it_says_what_to_do(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))
    done = user("add", "alice")
    assert done.code == 2
    assert "--passcode-file" in done.err


def test_on_a_terminal_it_asks_twice(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed = [GOOD, BETTER, GOOD, GOOD]
    prompts: list[str] = []

    def getpass(prompt: str) -> str:
        prompts.append(prompt)
        return typed.pop(0)

    monkeypatch.setattr("getpass.getpass", getpass)
    monkeypatch.setattr("sys.stdin", Terminal())
    done = user("add", "alice")
    assert done.code == 2
    assert "the two passcodes differ" in done.err
    assert user("add", "alice").code == 0
    assert prompts == ["New passcode for alice: ", "The same again: "] * 2
    assert isinstance(verify(tmp_path, "alice", GOOD), Verified)


def test_a_new_passcode_replaces_the_old_one(user: User, tmp_path: Path) -> None:
    user("add", "alice", passcode=GOOD)
    assert user("passwd", "alice", passcode=BETTER).code == 0
    assert cause(verify(tmp_path, "alice", GOOD)) is Cause.WRONG_CREDENTIAL
    assert isinstance(verify(tmp_path, "alice", BETTER), Verified)


def test_disable_enable_remove(user: User, tmp_path: Path) -> None:
    user("add", "alice", passcode=GOOD)
    assert user("disable", "alice").code == 0
    assert cause(verify(tmp_path, "alice", GOOD)) is Cause.DISABLED
    assert user("enable", "alice").code == 0
    assert isinstance(verify(tmp_path, "alice", GOOD), Verified)
    assert user("remove", "alice").code == 0
    assert cause(verify(tmp_path, "alice", GOOD)) is Cause.UNKNOWN_USER
    done = user("enable", "alice")
    assert done.code == 2
    assert "there is no user alice" in done.err


def test_who_is_mistyped_is_guessed(user: User) -> None:
    user("add", "dr.meier", passcode=GOOD)
    assert "did you mean dr.meier?" in user("disable", "dr.maier").err


def test_the_end_of_a_day_or_a_moment(user: User, tmp_path: Path) -> None:
    assert user("add", "alice", "--expires", "2099-12-31", passcode=GOOD).code == 0
    end = time.mktime((2100, 1, 1, 0, 0, 0, 0, 0, -1))
    assert isinstance(verify(tmp_path, "alice", GOOD, end - 1), Verified)
    assert cause(verify(tmp_path, "alice", GOOD, end)) is Cause.EXPIRED
    assert user("change", "alice", "--expires", "2099-06-01T18:00").code == 0
    end = time.mktime((2099, 6, 1, 18, 0, 0, 0, 0, -1))
    assert cause(verify(tmp_path, "alice", GOOD, end)) is Cause.EXPIRED
    assert user("change", "alice", "--expires", "never").code == 0
    assert isinstance(verify(tmp_path, "alice", GOOD, end), Verified)


@pytest.mark.parametrize("date", ["yesterday", "2020-01-01", "31.12.2099", "", "2099-13-01", "never"])
def test_no_date_to_come_is_refused(user: User, date: str) -> None:
    done = user("add", "alice", "--expires", date, passcode=GOOD)
    assert done.code == 2
    assert "--expires: expected a date" in done.err
    assert user("list").out == ""


def test_one_time_codes(user: User, tmp_path: Path) -> None:
    done = user("add", "alice", "--totp", passcode=GOOD)
    (uri,) = done.lines
    codes = pyotp.parse_uri(uri)
    assert isinstance(codes, pyotp.TOTP)
    assert uri.startswith("otpauth://totp/dicomgate:alice?secret=")
    now = time.time()
    assert cause(verify(tmp_path, "alice", GOOD, now)) is Cause.WRONG_CREDENTIAL
    assert isinstance(verify(tmp_path, "alice", GOOD + codes.at(now), now), Verified)
    assert cause(verify(tmp_path, "alice", GOOD + codes.at(now), now)) is Cause.REPLAYED
    renewed = user("change", "alice", "--totp")
    assert renewed.lines != [uri]
    later = now + 60
    assert cause(verify(tmp_path, "alice", GOOD + codes.at(later), later)) is Cause.WRONG_CREDENTIAL
    assert user("change", "alice", "--no-totp").out == ""
    assert isinstance(verify(tmp_path, "alice", GOOD), Verified)


def test_list_and_show(user: User) -> None:
    assert user("list") == Done(0, "", "there are no local users\n")
    user("add", "bob", "--totp", passcode=GOOD)
    user("add", "alice", "--role", "radiologist", "--expires", "2099-12-31", passcode=GOOD)
    user("disable", "bob")
    first, second = (json.loads(line) for line in user("list", "--json").lines)
    assert (first["name"], first["state"], first["roles"], first["totp"]) == ("alice", "active", ["radiologist"], False)
    assert (second["name"], second["state"], second["roles"], second["totp"]) == ("bob", "disabled", [], True)
    assert set(first) == {"name", "state", "roles", "expires", "totp", "created", "changed"}
    assert re.fullmatch(r"alice  active  radiologist  2\S+Z\nbob  disabled  -  -\n", user("list").out)
    assert json.loads(user("show", "alice", "--json").out) == first
    assert "radiologist" in user("show", "Alice").out
    assert user("show", "carl").code == 2


def test_change_without_a_change_is_refused(user: User) -> None:
    user("add", "alice", passcode=GOOD)
    assert user("change", "alice").code == 2
    assert "without a role" in user("add", "bob", passcode=GOOD).err


def test_every_change_is_recorded_with_who_did_it(user: User, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "chief")
    user("add", "alice", "--role", "radiologist", passcode=GOOD)
    user("passwd", "alice", passcode=BETTER)
    user("disable", "alice")
    user("enable", "alice")
    user("change", "alice", "--totp", "--expires", "2099-01-01")
    user("remove", "alice")
    found = records(run)
    changes = [record["detail"]["change"] for record in found]
    assert changes == ["added", "passcode", "disabled", "enabled", "changed", "removed"]
    assert {record["user"] for record in found} == {"alice"}
    assert {record["outcome"] for record in found} == {"success"}
    assert all("sudo by chief" in record["detail"]["operator"] for record in found)
    assert [record["detail"]["totp"] for record in found] == [False, False, False, False, True, True]
    assert found[0]["detail"]["roles"] == ["radiologist"]
    assert found[4]["detail"]["expires"].startswith("2099-01-0")


def test_users_may_be_added_before_anything_asks_for_them(user: User, tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(SOUND, encoding="utf-8")
    done = user("add", "alice", passcode=GOOD)
    assert done.code == 0
    assert 'no [[verifier]] with kind = "local"' in done.err


def test_the_cost_of_the_file_is_used(user: User, tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(GATE + 'memory = "20 MiB"\npasses = 3\n', encoding="utf-8")
    user("add", "alice", passcode=GOOD)
    with sqlite3.connect(tmp_path / "gate.db") as connection:
        (encoded,) = connection.execute("SELECT passcode FROM users").fetchone()
    connection.close()
    assert encoded.startswith("$argon2id$v=19$m=20480,t=3,p=1$")


@pytest.mark.parametrize("command", ["add", "passwd", "change", "disable", "enable", "remove", "list", "show"])
def test_a_broken_configuration_is_2(user: User, tmp_path: Path, command: str) -> None:
    (tmp_path / "gate.toml").write_text(GATE + "\n[gate]\n", encoding="utf-8")
    assert user(command, *([] if command == "list" else ["alice"])).code == 2


def test_no_passcode_is_in_anything_that_was_written(user: User, run: Run, tmp_path: Path) -> None:
    said = [
        user("add", "alice", "--role", "radiologist", passcode=GOOD),
        user("add", "alice", passcode=BETTER),
        user("add", "bob", passcode="password12345"),
        user("passwd", "alice", passcode=BETTER),
        user("show", "alice", "--json"),
        user("list", "--json"),
        run("audit", "list", "--json", "-c", "gate.toml"),
    ]
    verify(tmp_path, "alice", GOOD)
    verify(tmp_path, "alice", BETTER)
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    written += "".join(done.out + done.err for done in said).encode()
    assert b"alice" in written
    for secret in (GOOD, BETTER, "password12345"):
        for form in (secret.encode(), secret.encode("utf-16-le"), secret.encode().hex().encode()):
            assert form not in written


def test_the_word_lists_are_loaded_only_when_a_passcode_is_judged() -> None:
    """They take longer than all the rest of a start."""
    import subprocess

    code = "import sys, dicomgate.cli; sys.exit('zxcvbn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
