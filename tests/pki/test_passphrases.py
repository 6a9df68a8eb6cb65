"""Passphrases come from a file or a terminal, open what they should, and stand nowhere else."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from dicomgate.pki import commands, passphrases
from dicomgate.pki.passphrases import asking, choosing
from dicomgate.pki.problem import PkiError
from pki.scene import NOW, PERMIT, Site, secret

RIGHT, WRONG = "correct horse battery", "wrong horse battery"


@pytest.fixture
def locked_up(tmp_path: Path) -> Site:
    choose = choosing(secret(tmp_path / "pw", RIGHT))
    commands.init(tmp_path / "pki", name="North Clinic", permit=PERMIT, now=NOW, choose=choose)
    return Site(tmp_path / "pki")


def test_both_keys_are_encrypted(locked_up: Site, tmp_path: Path) -> None:
    for name in ("root.key.pem", "issuing.key.pem"):
        pem = (locked_up.folder / name).read_bytes()
        assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert load_pem_private_key(pem, RIGHT.encode())
    locked_up.issue(ask=asking(tmp_path / "pw"))
    commands.refresh_lists(locked_up.folder, now=NOW, ask=asking(tmp_path / "pw"))


def test_a_wrong_passphrase_says_so_and_no_more(locked_up: Site, tmp_path: Path) -> None:
    with pytest.raises(PkiError, match=r"issuing\.key\.pem: the passphrase does not open this key") as caught:
        locked_up.issue(ask=asking(secret(tmp_path / "wrong", WRONG)))
    assert WRONG not in "".join(traceback.format_exception(caught.value))
    assert locked_up.load().issued == ()


def test_without_a_terminal_nobody_is_asked(locked_up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(PkiError, match="no terminal to ask on"):
        locked_up.issue(ask=asking(None))


def test_at_a_terminal_one_is_asked(locked_up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = terminal(monkeypatch, RIGHT)
    locked_up.issue(ask=asking(None))
    assert [prompt.startswith("Passphrase of ") for prompt in asked] == [True]


def test_nobody_is_asked_for_an_unencrypted_key(north: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = terminal(monkeypatch)
    north.issue(ask=asking(None))
    assert asked == []


def test_nobody_is_asked_when_something_else_is_wrong(locked_up: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = terminal(monkeypatch)
    with pytest.raises(PkiError, match="outside"):
        locked_up.issue(host="ct1.south.example", ask=asking(None))
    assert asked == []


def test_a_new_passphrase_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch, RIGHT, RIGHT)
    assert choosing(None)("it") == RIGHT.encode()
    terminal(monkeypatch, RIGHT, WRONG)
    with pytest.raises(PkiError, match="differ"):
        choosing(None)("it")


@pytest.mark.parametrize("content", ["", "\n", "one\ntwo", "x" * 2000, "a\0b"])
def test_a_file_holds_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pw"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(PkiError, match="expected one line"):
        asking(path)("it")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_end_of_the_line_is_no_part_of_it(tmp_path: Path, end: str) -> None:
    path = tmp_path / "pw"
    path.write_bytes(f"  {RIGHT} ".encode() + end.encode())
    path.chmod(0o600)
    assert asking(path)("it") == f"  {RIGHT} ".encode()


def test_a_new_passphrase_is_long(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="at least 12 bytes"):
        choosing(secret(tmp_path / "pw", "short"))("it")


def test_a_file_that_others_can_read_is_no_secret(tmp_path: Path) -> None:
    path = secret(tmp_path / "pw", RIGHT)
    path.chmod(0o640)
    with pytest.raises(PkiError, match="others can read"):
        asking(path)("it")


def terminal(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Somebody who types; what they were asked."""
    asked: list[str] = []
    left = list(answers)

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return left.pop(0)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(passphrases.getpass, "getpass", getpass)
    return asked
