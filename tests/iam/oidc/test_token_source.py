"""The token of who is signed in at this gate: there without waiting, renewed in time, kept from others."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dicomgate.iam.oidc import keepers
from dicomgate.iam.oidc.keepers import FileKeeper, FirstThatWorks, KeeperError, KeyringKeeper, keeper
from dicomgate.iam.oidc.settings import LoginSettings
from dicomgate.iam.oidc.sign_in import Declined, Tokens
from dicomgate.iam.oidc.token_source import FIRST_RETRY, LAST_RETRY, LOOK_AGAIN, MARGIN, TokenSource
from dicomgate.iam.oidc.web import WebError

NOW = 1_800_000_000.0
FIRST = Tokens("access-1", "refresh-1", NOW, NOW + 300)


@dataclass
class Desk:
    """A clock, a provider that renews as told, a place for tokens, and what was reported."""

    now: float = NOW
    answers: list[Tokens | Declined | WebError] = field(default_factory=list)
    renewed: list[Tokens] = field(default_factory=list)
    kept: Tokens | None = None
    trouble: KeeperError | None = None
    told: list[str] = field(default_factory=list)
    where: str = "the test"
    closed: bool = False

    def renew(self, tokens: Tokens) -> Tokens | Declined:
        self.renewed.append(tokens)
        answer = self.answers.pop(0)
        if isinstance(answer, WebError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True

    def load(self) -> Tokens | None:
        if self.trouble:
            raise self.trouble
        return self.kept

    def save(self, tokens: Tokens) -> None:
        if self.trouble:
            raise self.trouble
        self.kept = tokens

    def forget(self) -> None:
        self.kept = None

    def source(self) -> TokenSource:
        return TokenSource(self, self, self.told.append, lambda: self.now)


def test_nobody_is_signed_in_until_somebody_is() -> None:
    desk = Desk()
    source = desk.source()
    for _ in range(3):
        assert source.step() == LOOK_AGAIN
    assert source.current_token() is None
    assert desk.told == ["nobody is signed in: run dicomgate login"]
    desk.kept = FIRST
    assert source.step() == LOOK_AGAIN
    assert source.current_token() == "access-1"


def test_a_token_is_renewed_before_it_ends() -> None:
    desk = Desk(kept=FIRST, answers=[Tokens("access-2", "refresh-2", NOW + 240, NOW + 540)])
    source = desk.source()
    assert source.step() == LOOK_AGAIN
    desk.now = NOW + 300 - MARGIN - 1
    assert source.step() == 1
    desk.now += 1
    assert source.step() == 0
    assert source.current_token() == "access-2"
    assert desk.kept is not None
    assert desk.kept.refresh_token == "refresh-2"
    assert desk.told == []


def test_of_a_short_lived_one_the_last_third_is_left() -> None:
    desk = Desk(kept=replace(FIRST, expires=NOW + 30), answers=[FIRST])
    source = desk.source()
    desk.now += 11
    assert source.step() == 9


def test_while_the_provider_is_down_the_token_is_good_until_it_ends() -> None:
    desk = Desk(now=NOW + 240, kept=FIRST, answers=[WebError("no answer in time")] * 9)
    source = desk.source()
    waits = [source.step() for _ in range(6)]
    assert waits == [FIRST_RETRY, 10, 20, 40, LAST_RETRY, LAST_RETRY]
    assert source.current_token() == "access-1"
    assert desk.told == ["the sign-in cannot be renewed now: no answer in time"]
    desk.now = NOW + 300
    assert source.current_token() is None, "an ended token is never shown"
    desk.answers = [Tokens("access-2", "refresh-2", desk.now, desk.now + 300)]
    assert source.step() == 0
    assert source.current_token() == "access-2"
    assert desk.kept is not None


def test_an_ended_sign_in_is_reported_and_a_new_one_taken() -> None:
    desk = Desk(now=NOW + 240, kept=FIRST, answers=[Declined("the sign-in has ended at the provider")] * 9)
    source = desk.source()
    assert source.step() == LOOK_AGAIN
    assert source.current_token() == "access-1", "it is good for another minute"
    assert desk.told == ["the sign-in has ended at the provider: run dicomgate login"]
    desk.now = NOW + 300
    source.step()
    assert source.current_token() is None
    desk.kept = Tokens("access-9", "refresh-9", desk.now, desk.now + 300)
    for _ in range(3):
        source.step()
    assert source.current_token() == "access-9"


def test_another_sign_in_is_taken_over_at_once() -> None:
    """`dicomgate login` while the gate runs, by another user perhaps: the former token is not shown any more."""
    desk = Desk(kept=FIRST)
    source = desk.source()
    source.step()
    desk.kept = Tokens("access-2", "refresh-2", NOW, NOW + 300)
    source.step()
    assert source.current_token() == "access-2"
    assert desk.renewed == []
    assert desk.told == []


@pytest.mark.parametrize(
    "answer", [Tokens("access-1b", "refresh-1b", NOW + 240, NOW + 540), Declined("the sign-in has ended")]
)
def test_a_sign_in_during_a_renewal_is_not_overwritten(answer: Tokens | Declined) -> None:
    another = Tokens("access-2", "refresh-2", NOW + 240, NOW + 540)

    class Crossing(Desk):
        def renew(self, tokens: Tokens) -> Tokens | Declined:
            self.kept = another
            return super().renew(tokens)

    desk = Crossing(now=NOW + 240, kept=FIRST, answers=[answer])
    source = desk.source()
    assert source.step() == 0
    assert source.current_token() == "access-2"
    assert desk.kept == another
    assert desk.told == []


def test_who_signs_out_is_not_shown_any_more() -> None:
    desk = Desk(kept=FIRST)
    source = desk.source()
    source.step()
    desk.kept = None
    assert source.step() == LOOK_AGAIN
    assert source.current_token() is None
    assert desk.told == ["nobody is signed in: run dicomgate login"]


def test_what_cannot_be_kept_is_used_all_the_same_and_said() -> None:
    desk = Desk(now=NOW + 240, kept=FIRST, answers=[Tokens("access-2", "refresh-2", NOW + 240, NOW + 540)])
    source = desk.source()
    desk.now = NOW
    source.step()
    desk.now = NOW + 240
    desk.trouble = KeeperError("login.json cannot be written: no space left on device")
    assert source.step() == 0
    assert source.current_token() == "access-2"
    assert desk.told == ["login.json cannot be written: no space left on device"]


def test_what_cannot_be_read_is_said_once() -> None:
    desk = Desk(trouble=KeeperError("others may read login.json"))
    source = desk.source()
    for _ in range(3):
        assert source.step() == LOOK_AGAIN
    assert desk.told == ["others may read login.json"]


def test_an_ended_token_that_cannot_be_renewed_is_nobodys() -> None:
    desk = Desk(now=NOW + 300, kept=replace(FIRST, refresh_token=None))
    source = desk.source()
    assert source.step() == LOOK_AGAIN
    assert source.current_token() is None


def test_it_works_by_itself_until_it_is_closed() -> None:
    renewed = threading.Event()

    class Notices(Desk):
        def save(self, tokens: Tokens) -> None:
            super().save(tokens)
            renewed.set()

    desk = Notices(now=NOW + 240, kept=FIRST, answers=[Tokens("access-2", "refresh-2", NOW + 240, NOW + 9999)])
    before = threading.active_count()
    source = desk.source()
    source.start()
    assert renewed.wait(10)
    assert source.current_token() == "access-2"
    source.close()
    assert threading.active_count() == before
    desk.source().close()  # never started


def test_a_file_keeps_tokens_for_its_owner_only(tmp_path: Path) -> None:
    file = FileKeeper(tmp_path / "state" / "login.json")
    assert file.load() is None
    file.save(FIRST)
    assert file.load() == FIRST
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.path.parent.iterdir()] == ["login.json"]
    file.save(replace(FIRST, refresh_token=None))
    assert file.load() == replace(FIRST, refresh_token=None)
    file.forget()
    file.forget()
    assert file.load() is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = FileKeeper(tmp_path / "login.json")
    file.save(FIRST)
    file.path.chmod(mode)
    with pytest.raises(KeeperError, match="others may read"):
        file.load()
    file.save(FIRST)
    assert file.load() == FIRST, "a new sign-in replaces it"


@pytest.mark.parametrize("content", [b"", b"{}", b"no JSON", b'{"access_token": 7}', b"\xff", b"x" * 300_000])
def test_a_file_of_something_else_is_no_sign_in(tmp_path: Path, content: bytes) -> None:
    file = FileKeeper(tmp_path / "login.json")
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    with pytest.raises(KeeperError, match="sign in again") as found:
        file.load()
    assert "JSON" not in str(found.value)


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file = FileKeeper(tmp_path / "file" / "login.json")
    for attempt in (lambda: file.save(FIRST), file.load, file.forget):
        with pytest.raises(KeeperError):
            attempt()


def test_a_full_disk_leaves_the_former_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = FileKeeper(tmp_path / "login.json")
    file.save(FIRST)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeeperError, match="no space left"):
        file.save(replace(FIRST, access_token="access-2"))
    assert file.load() == FIRST
    assert [path.name for path in tmp_path.iterdir()] == ["login.json"]


class Keyring:
    """What the library's backends offer."""

    priority = 5.0

    def __init__(self) -> None:
        self.secrets: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, account: str) -> str | None:
        if self.locked:
            raise RuntimeError("the keyring is locked: hunter2")
        return self.secrets.get((service, account))

    def set_password(self, service: str, account: str, secret: str) -> None:
        self.get_password(service, account)
        self.secrets[service, account] = secret

    def delete_password(self, service: str, account: str) -> None:
        self.get_password(service, account)
        del self.secrets[service, account]


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    found = Keyring()
    monkeypatch.setattr(keepers, "_keyring", lambda: found)
    return found


def test_a_keyring_goes_before_the_file(tmp_path: Path, keyring: Keyring) -> None:
    settings = LoginSettings("https://login.clinic.example", "desk", tmp_path / "login.json")
    FileKeeper(settings.tokens).save(replace(FIRST, access_token="access-0"))
    place = keeper(settings)
    assert place.load() == replace(FIRST, access_token="access-0"), "an earlier sign-in"
    place.save(FIRST)
    assert (
        json.loads(keyring.secrets["dicomgate", "desk at https://login.clinic.example"])["access_token"] == "access-1"
    )
    assert not settings.tokens.exists(), "no copy is left behind"
    assert place.load() == FIRST
    assert place.where == "the keyring"
    place.forget()
    assert keyring.secrets == {}
    assert place.load() is None


def test_a_locked_keyring_leads_to_the_file(tmp_path: Path, keyring: Keyring) -> None:
    keyring.locked = True
    place = keeper(LoginSettings("https://login.clinic.example", "desk", tmp_path / "login.json"))
    place.save(FIRST)
    assert place.load() == FIRST
    assert place.where == str(tmp_path / "login.json")
    with pytest.raises(KeeperError, match="the keyring cannot be read: RuntimeError"):
        place.forget()
    assert not (tmp_path / "login.json").exists()


def test_where_nothing_can_be_read_it_is_said(tmp_path: Path, keyring: Keyring) -> None:
    keyring.locked = True
    (tmp_path / "file").touch()
    place = FirstThatWorks((KeyringKeeper(keyring, "desk"), FileKeeper(tmp_path / "file" / "login.json")))
    for attempt in (place.load, lambda: place.save(FIRST)):
        with pytest.raises(KeeperError, match=r"not a directory|file exists"):
            attempt()


def test_a_machine_without_a_keyring_has_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LoginSettings("https://login.clinic.example", "desk", tmp_path / "login.json")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert keeper(settings) == FileKeeper(settings.tokens)
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    assert keeper(settings) == FileKeeper(settings.tokens)
