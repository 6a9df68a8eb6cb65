"""A finished assessment in; everything that its reports show, out: scores, scorecard, what to do first. Pure.

All renderers (render/) take a Report, so that they agree with each other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from dicomgate.assess.advice import GATE, Remedy, product_of, remedies
from dicomgate.assess.baseline import Comparison, compare
from dicomgate.assess.model import (
    Assessment,
    Finding,
    Mode,
    Outcome,
    Result,
    Severity,
    SkipReason,
    TargetReport,
    passed,
)
from dicomgate.assess.score import Score, Section, score, score_of, section_of
from dicomgate.assess.scorecard import Line, scorecard

MOST_STEPS = 3
MOST_RISKS = 2
"""Reasons that are given for one step: more are not read."""
MOST_QUESTIONS = 4
ANSWERABLE = (SkipReason.INPUT, SkipReason.CONSENT, SkipReason.SCOPE, SkipReason.TOOL)
"""Why a check was not tried, where the user can change that."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and what it brings."""

    remedy: Remedy
    closes: tuple[str, ...]
    """IDs of the findings that it closes, worst first."""
    worst: Severity
    because: str
    """What the worst of them mean, for a reader who is no engineer; empty when it closes none."""
    before: int
    after: int
    """Points without caps, before and after this step, the earlier steps taken."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the user could hand to the assessor, so that it can tell more."""

    give: str
    checks: tuple[str, ...]
    """IDs of those that wait for it."""
    points: float
    """What the score without caps gains if all of them are in order."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """One target."""

    report: TargetReport
    score: Score | None
    findings: tuple[Finding, ...]
    """The worst first."""
    steps: tuple[Step, ...]
    """What to do first; empty when nothing of medium severity or above was found."""
    questions: tuple[Question, ...]
    """What would tell most; empty where there is no score."""
    product: str | None
    """Whose remedies fit, when the software is known."""


@dataclass(frozen=True, slots=True)
class Report:
    """All of a run."""

    assessment: Assessment
    targets: tuple[Assessed, ...]
    """In the order of the assessment."""
    scorecard: tuple[Line, ...]
    comparison: Comparison | None


def report(assessment: Assessment, baseline: Assessment | None = None) -> Report:
    return Report(
        assessment,
        tuple(_assessed(target) for target in assessment.targets),
        scorecard(assessment.targets),
        None if baseline is None else compare(baseline, assessment),
    )


def _assessed(target: TargetReport) -> Assessed:
    findings = sorted(target.findings, key=lambda finding: -finding.result.severity)
    product = product_of(target.fingerprint)
    scored = score(target)
    questions = () if scored is None else tuple(_questions(target)[:MOST_QUESTIONS])
    return Assessed(target, scored, tuple(findings), tuple(_steps(target, product)), questions, product)


def _questions(target: TargetReport) -> list[Question]:
    """Those that bring most first. What could hurt patients to try is not proposed, nor details of TLS in clear."""
    results = target.results
    waiting: dict[str, list[Result]] = {}
    for result in results:
        if (
            result.judgement.skipped in ANSWERABLE
            and result.check.mode is not Mode.LAB
            and (target.tls or section_of(result) is not Section.TRANSPORT)
        ):
            waiting.setdefault(result.judgement.why, []).append(result)
    now = _points(results)
    questions = [
        Question(
            give,
            tuple(result.check.id for result in each),
            round(_points(_as_passed(results, each.__contains__)) - now, 1),
        )
        for give, each in waiting.items()
    ]
    return sorted(questions, key=lambda question: -question.points)


def _points(results: tuple[Result, ...]) -> float:
    return sum(section.points for section in score_of(results).sections)


def _steps(target: TargetReport, product: str | None) -> Iterator[Step]:
    """Greedy: each time the remedy that brings most for its effort, in the gate or in the software that answered."""
    offered = [remedy for remedy in remedies() if remedy.product in (GATE, product)]
    results = target.results
    for _ in range(MOST_STEPS):
        chosen = max((_step(remedy, results) for remedy in offered), key=_merit, default=None)
        if chosen is None or not chosen.closes or chosen.worst < Severity.MEDIUM:
            return
        yield chosen
        results = _after(chosen.remedy, results)


def _step(remedy: Remedy, results: tuple[Result, ...]) -> Step:
    closed = sorted(
        (result for result in results if _is_closed(remedy, result) and result.severity > Severity.INFO),
        key=lambda result: -result.severity,
    )
    return Step(
        remedy,
        tuple(result.check.id for result in closed),
        closed[0].severity if closed else Severity.INFO,
        " ".join(dict.fromkeys(result.check.risk for result in closed[:MOST_RISKS])),
        score_of(results).before_cap,
        score_of(_after(remedy, results)).before_cap,
    )


def _merit(step: Step) -> tuple[int, float, int]:
    """Worst first, then what it brings for its effort. Findings weigh, so that it counts in a part without points."""
    weight = sum(2.0 ** int(step.worst) for _ in step.closes) + step.after - step.before
    return (int(step.worst), weight / step.remedy.effort, -step.remedy.effort)


def _after(remedy: Remedy, results: tuple[Result, ...]) -> tuple[Result, ...]:
    return _as_passed(results, lambda result: _is_closed(remedy, result))


def _as_passed(results: tuple[Result, ...], chosen: Callable[[Result], bool]) -> tuple[Result, ...]:
    """As if these were in order."""
    return tuple(replace(result, judgement=passed("supposed")) if chosen(result) else result for result in results)


def _is_closed(remedy: Remedy, result: Result) -> bool:
    return result.outcome is Outcome.FAIL and result.check.id in remedy.checks
