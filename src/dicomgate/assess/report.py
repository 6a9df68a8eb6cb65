"""A finished assessment in; everything that its reports show, out: scores, scorecard, what to do first. Pure.

All renderers (render/) take a Report, so that they agree with each other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dicomgate.assess.advice import GATE, Remedy, product_of, remedies
from dicomgate.assess.baseline import Comparison, compare
from dicomgate.assess.model import Assessment, Finding, Outcome, Result, Severity, TargetReport, passed
from dicomgate.assess.score import Score, score, score_of
from dicomgate.assess.scorecard import Line, scorecard

MOST_STEPS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and what it brings."""

    remedy: Remedy
    closes: tuple[str, ...]
    """IDs of the findings that it closes, worst first."""
    worst: Severity
    because: str
    """What the worst of them means, for a reader who is no engineer; empty when it closes none."""
    before: int
    after: int
    """Points without caps, before and after this step, the earlier steps taken."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """One target."""

    report: TargetReport
    score: Score | None
    findings: tuple[Finding, ...]
    """The worst first."""
    steps: tuple[Step, ...]
    """What to do first; empty when nothing of medium severity or above was found."""
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
    return Assessed(target, score(target), tuple(findings), tuple(_steps(target, product)), product)


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
        closed[0].check.risk if closed else "",
        score_of(results).before_cap,
        score_of(_after(remedy, results)).before_cap,
    )


def _merit(step: Step) -> tuple[int, float, int]:
    """Worst first, then what it brings for its effort. Findings weigh, so that it counts in a part without points."""
    weight = sum(2.0 ** int(step.worst) for _ in step.closes) + step.after - step.before
    return (int(step.worst), weight / step.remedy.effort, -step.remedy.effort)


def _after(remedy: Remedy, results: tuple[Result, ...]) -> tuple[Result, ...]:
    return tuple(
        replace(result, judgement=passed("closed by this step")) if _is_closed(remedy, result) else result
        for result in results
    )


def _is_closed(remedy: Remedy, result: Result) -> bool:
    return result.outcome is Outcome.FAIL and result.check.id in remedy.checks
