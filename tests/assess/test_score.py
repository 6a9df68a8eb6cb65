"""The rubric: a table of cases, and what must hold for any outcomes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.reports import OPEN, assessment, target
from dicomgate.assess.checks import CHECKS
from dicomgate.assess.model import Requirement, SkipReason, State
from dicomgate.assess.report import report
from dicomgate.assess.score import POINTS, Section, score
from dicomgate.assess.scorecard import Standing, scorecard

CASES: list[tuple[str, Mapping[str, str], str, str, int, int]] = [
    # what, outcomes, rest, grade, points, points before caps
    ("all in order", {}, "pass", "A", 100, 100),
    ("one low finding", {"ADM-04": "fail"}, "pass", "A", 98, 98),
    ("one medium finding", {"ADM-05": "fail"}, "pass", "A", 95, 95),
    ("half of admission", {"ADM-01": "fail"}, "pass", "A", 90, 90),
    ("no TLS: capped", {"TLS-01": "fail"}, "pass", "C", 74, 90),
    ("open to the Internet: capped", {"EXP-02": "fail"}, "pass", "D", 59, 75),
    ("anybody lists patients: capped", {"AZ-03": "fail"}, "pass", "F", 39, 80),
    ("anybody stores: capped", {"AZ-11": "fail"}, "pass", "F", 39, 80),
    ("another critical finding: capped", {"TLS-06": "fail"}, "pass", "D", 59, 80),
    ("information costs nothing", {"AZ-01": "fail"}, "pass", "A", 100, 100),
    (
        "findings take no more than their part",
        {"ADM-01": "fail", "ADM-02": "fail", "ADM-07": "fail"},
        "pass",
        "B",
        80,
        80,
    ),
    ("nothing known", {}, "inconclusive", "D?", 50, 50),
    ("refused before everything", {}, "refused_before", "B?", 80, 80),
    ("no meaning is no doubt", {"TLS-02": "not_applicable", "TLS-03": "not_applicable"}, "pass", "A", 100, 100),
    ("one thing unknown", {"LOG-01": "input"}, "pass", "A?", 99, 99),
    ("an open archive", OPEN, "pass", "F?", 39, 40),
]


@pytest.mark.parametrize(
    ("outcomes", "rest", "grade", "points", "before"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_table(outcomes: Mapping[str, str], rest: str, grade: str, points: int, before: int) -> None:
    found = score(target(outcomes, rest))
    assert found is not None
    assert (found.label, found.points, found.before_cap) == (grade, points, before)
    assert bool(found.caps) is (points < before)


@pytest.mark.parametrize("section", list(Section))
def test_a_part_of_which_nothing_is_known_never_has_full_marks_and_no_a(section: Section) -> None:
    from dicomgate.assess.score import SECTIONS

    unknown = {check.id: "inconclusive" for check in CHECKS.values() if SECTIONS[check.part] is section}
    found = score(target(unknown))
    assert found is not None
    (part,) = (each for each in found.sections if each.section is section)
    assert part.points == POINTS[section] / 2
    assert found.points <= 89
    assert found.grade != "A"
    assert not found.complete


@pytest.mark.parametrize("state", [State.UNREACHABLE, State.NOT_DICOM, State.INDISCRIMINATE])
def test_what_was_not_assessed_has_no_grade(state: State) -> None:
    assert score(target({}, "inconclusive", state=state)) is None


WORDS = st.sampled_from(["fail", "pass", "inconclusive", *SkipReason])


@given(st.dictionaries(st.sampled_from(sorted(CHECKS)), WORDS), st.sampled_from(sorted(CHECKS)))
def test_more_findings_never_score_better_and_unknown_never_beats_pass(outcomes: dict[str, str], check: str) -> None:
    def points(word: str) -> int:
        found = score(target({**outcomes, check: word}))
        assert found is not None
        assert 0 <= found.points <= found.before_cap <= 100
        return found.points

    assert points("fail") <= points("pass")
    assert points("inconclusive") <= points("pass")
    assert points("refused_before") >= points("inconclusive")


def test_points_add_up_to_a_hundred() -> None:
    assert sum(POINTS.values()) == 100


def test_the_scorecard_has_a_line_for_each_recommendation() -> None:
    lines = {line.requirement: line for line in scorecard([target(OPEN), target({"LOG-01": "inconclusive"}, "pass")])}
    assert list(lines) == list(Requirement)
    assert lines[Requirement.R6].standing is Standing.NOT_MET
    assert lines[Requirement.R6].failed == ("TLS-01",)
    assert lines[Requirement.R5].standing is Standing.MET
    assert lines[Requirement.R8].standing is Standing.PARTLY
    assert {line.standing for line in scorecard([target({}, "inconclusive")])} == {Standing.UNKNOWN}
    assert {line.standing for line in scorecard([target({})])} == {Standing.MET}
    assert scorecard([target({"ADM-04": "fail"})])[3].standing is Standing.PARTLY


def test_what_would_tell_more_is_listed_by_what_it_is_worth() -> None:
    outcomes = {"EXP-01": "input", "EXP-03": "scope", "AZ-11": "consent", "AZ-12": "consent", "TLS-08": "input"}
    (assessed,) = report(assessment(target(outcomes))).targets
    (question,) = assessed.questions
    assert question.give == "It was not asked"
    assert question.checks == ("EXP-01", "EXP-03", "AZ-11"), "no lab checks, and no details of TLS where there is none"
    assert assessed.score is not None
    closed = {name: word for name, word in outcomes.items() if name not in question.checks}
    (after,) = report(assessment(target(closed))).targets
    assert after.score is not None
    gained = sum(each.points for each in after.score.sections) - sum(each.points for each in assessed.score.sections)
    assert question.points == pytest.approx(gained, abs=0.1)
    (nothing,) = report(assessment(target({}))).targets
    assert nothing.questions == ()
