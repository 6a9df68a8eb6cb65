"""cases/NAME.toml against cases/NAME.expected: everything that `dicomgate plan` writes for these answers, or says."""

import os
import subprocess
import sys
import tomllib
from inspect import CO_NEWLOCALS, CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType

import pytest

from dicomgate.channel import wireguard
from dicomgate.channel.ipsec import swanctl_conf
from dicomgate.channel.model import ChannelKind, Termination
from dicomgate.channel.sheet import sheet
from dicomgate.config.load import interpret, load, parse
from dicomgate.config.problem import ConfigurationError
from dicomgate.plan.answers import Answers, Can, Directory, From, Where, read
from dicomgate.plan.decide import Advice, Ear, Link, Proof, Setup, decide
from dicomgate.plan.gates import gates
from dicomgate.plan.page import page
from dicomgate.segment import aws, azure, kubernetes, nftables
from dicomgate.segment.flows import plan

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


KEY = "VUGzQ+Uf1xdMcHWy6CdXBxDgGSnJdbDDzQfDIXXUr3U="
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


def test_every_line_of_the_advice_is_reached_by_a_case() -> None:
    """Of all that decides and writes; a branch without a case would be advice that nobody has read."""
    modules = [sys.modules[f"dicomgate.plan.{name}"] for name in ("decide", "gates", "page", "rollout")]
    missing = {str(module.__file__): _lines(Path(str(module.__file__))) for module in modules}

    def traced(frame: FrameType, event: str, _: object) -> object:
        lines = missing.get(frame.f_code.co_filename)
        if lines is None:
            return None
        lines.discard(frame.f_lineno)
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        for name in NAMES:
            outcome(name)
    finally:
        sys.settrace(before)
    assert {Path(file).name: sorted(lines) for file, lines in missing.items() if lines} == {}


def _lines(file: Path) -> set[int]:
    """The numbers of all lines inside functions."""
    waiting, found = [compile(file.read_text("utf-8"), str(file), "exec")], set()
    while waiting:
        code = waiting.pop()
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
        if code.co_flags & CO_NEWLOCALS and code.co_flags & CO_OPTIMIZED:
            found |= {line for _, _, line in code.co_lines() if line is not None}
    return found


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


@pytest.mark.parametrize("name", GOOD)
def test_its_segments_and_channels_can_be_rendered(name: str, tmp_path: Path) -> None:
    advice = decide(answers(name))
    for place, text in gates(advice).items():
        whole = text.replace('# public_key = "…", as dicomgate channel keys prints it there', f'public_key = "{KEY}"')
        configuration = interpret(tomllib.loads(whole), f"{place}/gate.toml", tmp_path)
        assert (configuration.segmentation is not None) is (advice.segmented and place == advice.answers.site.name)
        if configuration.segmentation is not None:
            flows = plan(configuration.settings.rules, configuration.segmentation)
            assert all(render(flows) for render in (nftables.whole, kubernetes.render, aws.render, azure.render))
        for channel in configuration.channels:
            own = channel.own
            assert own is not None
            if own.termination is Termination.ROUTER:
                assert sheet(channel, own)
            elif channel.kind is ChannelKind.IPSEC:
                assert swanctl_conf(channel, own)
            elif own.tunnel_address is not None:
                assert wireguard.configuration(channel, own)


def test_a_tunnel_is_numbered_from_what_nobody_has() -> None:
    text = (CASES / "tunnel_by_wireguard.toml").read_text("utf-8")

    def numbered(*taken: str) -> list[str]:
        more = "".join(f', "{network}"' for network in taken)
        read_again = read(parse(text.replace('["10.1.0.0/16"', f'["10.1.0.0/16"{more}'), "a.toml"), "a.toml")
        return [line for line in gates(decide(read_again))["cloud"].splitlines() if "tunnel_address" in line]

    assert numbered() == ['tunnel_address = "10.99.0.1/30"', 'tunnel_address = "10.99.0.2/30"']
    assert numbered("10.99.0.0/16")[0] == 'tunnel_address = "172.30.99.1/30"'
    assert numbered("10.99.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10") == []


@pytest.mark.parametrize("name", ["nobody_outside", "cloud_and_users", "two_gates", "tunnel_by_wireguard"])
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
