"""The access tests: rules in *.toml, and what they must answer in *.cases beside them, one line a case."""

from pathlib import Path

import pytest

from dicomgate.config.load import load
from dicomgate.policy.model import Rules
from dicomgate.policy.policy import Policy
from dicomgate.rehearsal import Case, read_cases

HERE = Path(__file__).parent
RULES = {path.stem: load(path, files=False).settings.rules for path in sorted(HERE.glob("*.toml"))}
CASES = {
    name: list(read_cases(rules, f"{name}.cases", (HERE / f"{name}.cases").read_text("utf-8")))
    for name, rules in RULES.items()
}


@pytest.mark.parametrize(
    ("rules", "case"),
    [pytest.param(RULES[name], case, id=f"{name}:{case.line}") for name, cases in CASES.items() for case in cases],
)
def test_the_rules_answer_as_written(rules: Rules, case: Case) -> None:
    assert case.differs(Policy(rules)) is None


def test_every_rules_file_has_its_cases_and_the_other_way_round() -> None:
    assert {path.stem for path in HERE.glob("*.cases")} == set(RULES)


@pytest.mark.parametrize("name", CASES)
def test_no_case_stands_twice(name: str) -> None:
    questions = [case.question for case in CASES[name]]
    assert len(set(questions)) == len(questions)


@pytest.mark.parametrize("name", CASES)
def test_every_peer_and_listener_of_the_rules_is_asked_about(name: str) -> None:
    """A rule that no case touches could as well be another one."""
    text = (HERE / f"{name}.cases").read_text("utf-8")
    rules = RULES[name]
    for peer in rules.peers:
        titles = [pattern.text.rstrip("*?") for pattern in peer.ae_titles]
        assert not titles or any(title in text for title in titles)
    asked = {case.question.listener for case in CASES[name]}
    assert asked == {listener.name for listener in rules.listeners}
