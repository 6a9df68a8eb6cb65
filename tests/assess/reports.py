"""Assessments for tests, made from a line for each check: `AZ-11 = "fail"`. What is left out passes."""

from __future__ import annotations

from collections.abc import Mapping

from dicomgate.assess.checks import CHECKS
from dicomgate.assess.model import (
    Assessment,
    Authorisation,
    Consent,
    Health,
    Judgement,
    Result,
    SkipReason,
    State,
    TargetReport,
    failed,
    inconclusive,
    passed,
    skipped,
)


def judgement(word: str) -> Judgement:
    """`fail`, `pass`, `inconclusive`, or a reason to skip."""
    match word:
        case "fail":
            return failed("It was <b>open</b> & seen", tried=3, matches=True)
        case "pass":
            return passed("It was refused")
        case "inconclusive":
            return inconclusive("No answer came")
        case reason:
            return skipped(SkipReason(reason), "It was not asked")


def target(
    outcomes: Mapping[str, str], rest: str = "pass", name: str = "10.1.1.20:104", state: State = State.ASSESSED
) -> TargetReport:
    """A target with these outcomes; all other checks came out as `rest`."""
    return TargetReport(
        name,
        "10.1.1.20",
        "ARCHIVE",
        state,
        "" if state is State.ASSESSED else "Nothing answers",
        False,
        tuple(Result(check, judgement(outcomes.get(check.id, rest))) for check in CHECKS.values()),
        None,
        Health("accepted", "accepted"),
        31,
        1_790_000_000.0,
        1_790_000_030.5,
    )


def assessment(*targets: TargetReport) -> Assessment:
    authorisation = Authorisation("J. Doe <it>", "desk", "any time", tuple(each.target for each in targets), (), False)
    return Assessment("0.1", authorisation, Consent(True, False), targets, 1_790_000_000.0, 1_790_000_031.0)


OPEN = {
    "ADM-01": "fail",
    "ADM-02": "fail",
    "ADM-04": "fail",
    "IDN-01": "fail",
    "TLS-01": "fail",
    "TLS-02": "not_applicable",
    "AZ-01": "fail",
    "AZ-03": "fail",
    "AZ-04": "inconclusive",
    "AZ-11": "fail",
    "EXP-02": "input",
    "LOG-01": "input",
}
"""A typical open archive."""
