"""The one-page scorecard: results in, one line for each recommendation of the advisory (R0 to R8) out. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dicomgate.assess.model import Outcome, Requirement, Severity, SkipReason, TargetReport


class Standing(StrEnum):
    """How a recommendation stands."""

    MET = "met"
    """Every check of it that has a meaning here found it in order."""
    PARTLY = "partly"
    """What was looked at is in order; the rest could not be told, or a finding is of low severity."""
    NOT_MET = "not met"
    """A finding of medium severity or above."""
    UNKNOWN = "unknown"
    """Nothing could be told."""


@dataclass(frozen=True, slots=True)
class Line:
    """One recommendation, over all targets. Checks are named by ID, each once."""

    requirement: Requirement
    standing: Standing
    failed: tuple[str, ...]
    in_order: tuple[str, ...]
    unknown: tuple[str, ...]


def scorecard(reports: Iterable[TargetReport]) -> tuple[Line, ...]:
    """R0 to R8 for all targets together: the worst one counts."""
    targets = tuple(reports)
    return tuple(_line(requirement, targets) for requirement in Requirement)


def _line(requirement: Requirement, reports: tuple[TargetReport, ...]) -> Line:
    results = [
        result
        for report in reports
        for result in report.results
        if requirement in result.check.requirements and result.judgement.skipped is not SkipReason.NOT_APPLICABLE
    ]
    failed = [result for result in results if result.outcome is Outcome.FAIL]
    in_order = [result.check.id for result in results if result.outcome is Outcome.PASS]
    unknown = [result.check.id for result in results if result.outcome in (Outcome.INCONCLUSIVE, Outcome.SKIPPED)]
    if any(result.severity >= Severity.MEDIUM for result in failed):
        standing = Standing.NOT_MET
    elif not failed and not in_order:
        standing = Standing.UNKNOWN
    else:
        standing = Standing.PARTLY if failed or unknown else Standing.MET
    return Line(requirement, standing, *(_once(ids) for ids in ([each.check.id for each in failed], in_order, unknown)))


def _once(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))
