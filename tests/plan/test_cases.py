"""cases/NAME.toml against cases/NAME.expected: everything that `dicomgate plan` writes for these answers, or says."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dicomgate.config.load import interpret, load, parse
from dicomgate.config.problem import ConfigurationError
from dicomgate.plan.answers import Answers, Can, Directory, From, Where, read
from dicomgate.plan.decide import Advice, Ear, Link, Proof, Setup, decide
from dicomgate.plan.gates import gates
from dicomgate.plan.page import page

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.toml"))


def answers(name: str) -> Answers:
    return read(parse((CASES / f"{name}.toml").read_text("utf-8"), name), f"{name}.toml")


def outcome(name: str) -> str:
    try:
        advice = decide(answers(name))
    except ConfigurationError as error:
        return "".join(f"{problem}\n" for problem in error.problems)
    files = {"README.md": page(advice)} | {f"{place}/gate.toml": text for place, text in gates(advice).items()}
    return "".join(f"=== {path}\n{text}" for path, text in files.items())


GOOD = [name for name in NAMES if outcome(name).startswith("===")]


def advised() -> list[Advice]:
    return [decide(answers(name)) for name in GOOD]


@pytest.mark.parametrize("name", NAMES)
def test_writes_as_expected(name: str) -> None:
    assert outcome(name) == (CASES / f"{name}.expected").read_text("utf-8")


def test_each_case_has_its_expectation_and_the_other_way_round() -> None:
    assert sorted(path.stem for path in CASES.glob("*.expected")) == NAMES


def test_every_branch_has_a_case() -> None:
    found = advised()
    assert {advice.setup for advice in found} == set(Setup)
    assert {advice.link for advice in found} == {None, *Link}
    admitted = [each for advice in found for each in advice.admissions]
    assert {(each.proof, each.ear, each.anywhere) for each in admitted} == {
        (Proof.USER, Ear.OUTSIDE, True),
        (Proof.USER, Ear.OUTSIDE, False),
        (Proof.CERTIFICATE, Ear.OUTSIDE, True),
        (Proof.CERTIFICATE, Ear.INSIDE_TLS, True),
        (Proof.ADDRESS, Ear.OUTSIDE, False),
        (Proof.ADDRESS, Ear.INSIDE, False),
    }
    assert len({each.why for advice in found for each in advice.refusals}) == 3
    assert {advice.segmented for advice in found} == {True, False}
    assert {advice.usable for advice in found} == {True, False}
    questions = {question.split(": ", 1)[1] for advice in found for question in advice.questions}
    assert len(questions) == 6


def test_whether_exposure_is_needed_comes_first() -> None:
    for advice in advised():
        lines = page(advice).splitlines()
        assert lines[2] == f"**{advice.measures[0].decision}**"
        assert [measure.number for measure in advice.measures] == [f"R{number}" for number in range(9)]
        assert ("No." in lines[2]) is (advice.setup is Setup.INTERNAL)


def test_nobody_is_let_in_from_everywhere_by_an_ae_title() -> None:
    for name in GOOD:
        for text in gates(decide(answers(name))).values():
            for peer in tomllib.loads(text).get("peer", []):
                assert peer["assurance"] != "address" or "any" not in peer["networks"]
                assert "listeners" in peer


def test_only_what_is_exposed_listens_for_outside() -> None:
    for advice in advised():
        outside = [
            listener
            for text in gates(advice).values()
            for listener in tomllib.loads(text)["listener"]
            if listener["name"] == "outside"
        ]
        assert bool(outside) is (advice.exposed and advice.usable)
        assert all("tls" in listener for listener in outside)


def test_the_same_answers_give_the_same_files() -> None:
    assert [outcome(name) for name in NAMES] == [outcome(name) for name in NAMES]


@pytest.mark.parametrize("name", GOOD)
def test_its_files_are_configurations(name: str, tmp_path: Path) -> None:
    for place, text in gates(decide(answers(name))).items():
        interpret(tomllib.loads(text), f"{place}/gate.toml", tmp_path)


@pytest.mark.parametrize("name", ["nobody_outside", "cloud_and_users", "two_gates"])
def test_after_the_commands_of_its_page_check_is_content(name: str, tmp_path: Path) -> None:
    """The commands of the page, as they stand there: keys are made, and `dicomgate check` runs last."""
    advice = decide(answers(name))
    for place, text in gates(advice).items():
        (tmp_path / place).mkdir()
        (tmp_path / place / "gate.toml").write_text(text, "utf-8")
    commands = page(advice).partition("```sh\n")[2].partition("```")[0]
    assert commands.count("dicomgate check") == len(gates(advice))
    shim = tmp_path / "dicomgate"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m dicomgate "$@"\n')
    shim.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-e"], input=commands, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for place in gates(advice):
        load(tmp_path / place / "gate.toml")


def test_each_word_of_the_answers_is_used_in_some_case() -> None:
    text = "".join((CASES / f"{name}.toml").read_text("utf-8") for name in GOOD)
    words = [*Where, *From, *Can, Directory.OIDC, Directory.LDAP]
    assert [word for word in words if f'"{word}"' not in text] == []
