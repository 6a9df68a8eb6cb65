"""Nothing is sent without a scope, and nothing outside it. Mistakes in a scope file are told all at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dicomgate.assess import scope as scopes
from dicomgate.assess.line import Endpoint
from dicomgate.assess.scope import Named, ScopeError, check_window, expand, place, read_named, read_scope

HERE = Path(__file__).parent / "scopes"
WHOLE = """
authorisation = "J. Doe, head of IT, ticket 4711"
contact = "J. Doe, +49 30 1234"
window = { from = 2026-11-22T20:00:00, until = 2026-11-22T23:00:00 }
networks = ["10.1.1.0/24"]
ports = [104, 11112]

[[target]]
address = "10.1.1.5:104"
called = "ARCHIVE"

[[zone]]
name = "guest"
dicom = "deny"
"""


@pytest.fixture
def whole(tmp_path: Path) -> scopes.Scope:
    file = tmp_path / "scope.toml"
    file.write_text(WHOLE)
    return read_scope(file)


def test_a_whole_scope(whole: scopes.Scope) -> None:
    assert whole.named == (Named("10.1.1.5", 104, "ARCHIVE"),)
    assert whole.ports == (104, 11112)
    assert not whole.zones["guest"].allowed
    shown = str(whole)
    for part in ("J. Doe, head of IT, ticket 4711", "+49 30 1234", "10.1.1.0/24", "2026-11-22T20:00", "no public"):
        assert part in shown


@pytest.mark.parametrize("case", sorted(HERE.glob("*.toml")), ids=lambda case: case.stem)
def test_mistakes(case: Path) -> None:
    with pytest.raises(ScopeError) as wrong:
        read_scope(case)
    told = [str(problem).replace(str(case), "scope.toml") for problem in wrong.value.problems]
    assert "\n".join(told) + "\n" == case.with_suffix(".expected").read_text("utf-8")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="cannot be read: No such file"):
        read_scope(tmp_path / "none.toml")


def test_only_what_is_in_the_scope(whole: scopes.Scope) -> None:
    placed, resolved = place(whole, [Named("10.1.1.7", 4242)], public=False)
    assert resolved[0].endpoint == Endpoint("10.1.1.7", 4242)
    assert placed.covers("10.1.1.200")
    assert not placed.covers("10.1.2.5")
    with pytest.raises(ScopeError, match=r"10\.1\.2\.5:104: error: 10\.1\.2\.5 is not in the scope"):
        place(whole, [Named("10.1.2.5", 104)], public=False)


def test_public_addresses_need_a_word_of_their_own(whole: scopes.Scope) -> None:
    wide = replace(whole, networks=(*whole.networks, scopes.ip_network("8.8.8.0/24")))
    with pytest.raises(ScopeError, match=r"8\.8\.8\.8 is a public address"):
        place(wide, [Named("8.8.8.8", 104)], public=False)
    _, resolved = place(wide, [Named("8.8.8.8", 104)], public=True)
    assert resolved[0].endpoint == Endpoint("8.8.8.8", 104)


def test_names_are_resolved_once_and_what_was_checked_is_called(
    whole: scopes.Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"pacs.example": ["192.168.0.1", "10.1.1.9"], "away.example": ["192.168.0.2"], "gone.example": []}
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return answers.get(host, [host])

    monkeypatch.setattr(scopes, "resolve", resolve)
    _, resolved = place(whole, [Named("pacs.example", 104), Named("gone.example", 104)], public=False)
    assert resolved[0].endpoint == Endpoint("10.1.1.9", 104)  # the one that is in the scope
    assert resolved[1].endpoint is None
    assert len(asked) == len(set(asked))
    with pytest.raises(ScopeError, match="not in the scope"):
        place(whole, [Named("away.example", 104)], public=False)


def test_a_name_without_an_address() -> None:
    assert scopes.resolve("no-such-host.invalid") == []
    assert scopes.resolve("a..b") == []


def test_outside_the_window(whole: scopes.Scope) -> None:
    assert whole.window is not None
    check_window(whole, whole.window.begins)
    for moment in (whole.window.ends, whole.window.begins - timedelta(minutes=1)):
        with pytest.raises(ScopeError, match="and the window is"):
            check_window(whole, moment)
    check_window(replace(whole, window=None), datetime.now().astimezone())


@pytest.mark.parametrize(
    "text",
    ["10.1.1.5", "10.1.1.5:", ":104", "10.1.1.5:0", "10.1.1.5:65536", "a b:104", "::1:104", "a/b:104"],
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_named(text)


def test_targets_and_networks() -> None:
    assert read_named("[::1]:104") == Named("::1", 104)
    assert str(read_named("[::1]:104")) == "[::1]:104"
    assert [str(named) for named in expand("10.1.1.0/30:104")] == ["10.1.1.1:104", "10.1.1.2:104"]
    with pytest.raises(ValueError, match="more than"):
        expand("10.0.0.0/8:104")
