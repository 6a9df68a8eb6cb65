"""What the first page says, as sentences that terminal and HTML share: the grade, why, and what is worst. Pure."""

from collections import Counter

from dicomgate.assess.model import Outcome, Severity, State
from dicomgate.assess.report import Assessed, Question, Report
from dicomgate.assess.score import Score

VERDICTS = {
    "A": "Well protected.",
    "B": "Protected, with gaps.",
    "C": "Not protected well enough.",
    "D": "Poorly protected.",
    "F": "Open. Act today.",
}
STATES = {
    State.ASSESSED: "assessed",
    State.UNREACHABLE: "could not be reached",
    State.NOT_DICOM: "does not speak DICOM",
    State.STOPPED: "assessment stopped early",
    State.INDISCRIMINATE: "accepts everything; nothing is proved",
}


def verdict(target: Assessed) -> str:
    """One sentence for somebody who reads nothing else."""
    if target.score is None:
        return f"No grade: {STATES[target.report.state]}."
    if not target.score.complete and not target.steps:
        return "Nothing open was found; some questions have no answer yet."
    return VERDICTS[target.score.grade]


def grade(target: Assessed) -> str:
    return "?" if target.score is None else target.score.label


def score_words(score: Score) -> str:
    """`39 of 100 points, capped from 62: patient data travels in clear`."""
    if not score.caps:
        return f"{score.points} of 100 points"
    cap = score.caps[0]
    because = f" ({', '.join(cap.checks)})" if cap.checks else ""
    return f"{score.points} of 100 points, capped from {score.before_cap}: {cap.reason}{because}"


def unknown_words(target: Assessed) -> str:
    """What the question mark behind a grade stands for; empty when nothing is unknown."""
    if target.score is None or target.score.complete:
        return ""
    unknown = [check for section in target.score.sections for check in section.unknown]
    return f"{len(unknown)} checks could not tell or were not tried; each counts half at most."


def question_words(question: Question) -> str:
    """`Needs consent: --allow-intrusive. For ADM-05, ROB-01; up to 3.4 points more.`"""
    return f"{question.give}. For {', '.join(question.checks)}; up to {question.points:g} points more."


def counts(target: Assessed) -> str:
    """`2 critical, 5 high, 3 medium`, or `no finding`; where nothing could be asked that is no praise."""
    found = Counter(finding.result.severity for finding in target.findings)
    shown = [f"{found[severity]} {severity}" for severity in sorted(Severity, reverse=True) if found[severity]]
    return ", ".join(shown) or ("nothing is known" if target.score is None else "no finding")


def change_words(report: Report) -> str:
    """What became of the findings of the baseline; empty without one."""
    change = report.comparison
    if change is None:
        return ""
    return (
        f"Since the baseline: {len(change.new)} new, {len(change.fixed)} fixed, {len(change.unchanged)} unchanged, "
        f"{len(change.unseen)} not seen again."
    )


def outcome_words(target: Assessed) -> str:
    """How many checks came out how."""
    found = Counter(result.outcome for result in target.report.results)
    return (
        f"{found[Outcome.FAIL]} findings, {found[Outcome.PASS]} in order, {found[Outcome.INCONCLUSIVE]} could not "
        f"tell, {found[Outcome.SKIPPED]} not tried; {target.report.connections} connections"
    )
