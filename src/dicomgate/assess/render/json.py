"""A report as a JSON document: the assessment (document.py), with scores, scorecard and comparison. For programs.

The shape is docs/reference/assess.schema.json. What this file adds is derived: a reader may leave it out.
"""

from typing import Any

from dicomgate.assess.baseline import Comparison
from dicomgate.assess.document import assessment_document, written
from dicomgate.assess.model import Finding
from dicomgate.assess.report import Assessed, Report, Step
from dicomgate.assess.score import RUBRIC, Score
from dicomgate.assess.scorecard import Line


def report_document(report: Report) -> dict[str, Any]:
    """Ready for json.dumps."""
    document = assessment_document(report.assessment)
    document["rubric"] = RUBRIC
    document["scorecard"] = [_line(line) for line in report.scorecard]
    document["comparison"] = None if report.comparison is None else _comparison(report.comparison)
    for target, entry in zip(report.targets, document["targets"], strict=True):
        entry["score"] = None if target.score is None else _score(target.score)
        entry["do_first"] = [_step(step) for step in target.steps]
        _explain(target, entry)
    return document


def _explain(target: Assessed, entry: dict[str, Any]) -> None:
    for result, written_result in zip(target.report.results, entry["results"], strict=True):
        written_result["risk"] = result.check.risk
        written_result["fix"] = result.check.fix


def _score(score: Score) -> dict[str, Any]:
    return {
        "grade": score.grade,
        "points": score.points,
        "points_before_caps": score.before_cap,
        "complete": score.complete,
        "caps": [{"points": cap.points, "checks": list(cap.checks), "reason": cap.reason} for cap in score.caps],
        "parts": [
            {
                "part": section.section,
                "points": section.points,
                "of": section.of,
                "findings": list(section.findings),
                "unknown": list(section.unknown),
            }
            for section in score.sections
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    remedy = step.remedy
    return {
        "product": remedy.product,
        "do": remedy.do,
        "because": step.because,
        "file": remedy.file,
        "block": remedy.block,
        "basis": remedy.basis,
        "closes": list(step.closes),
        "points_before_caps": step.after,
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "requirement": line.requirement,
        "wording": line.requirement.wording,
        "standing": line.standing,
        "failed": list(line.failed),
        "in_order": list(line.in_order),
        "unknown": list(line.unknown),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "since": written(comparison.since),
        "new": [_finding(finding) for finding in comparison.new],
        "fixed": [_finding(finding) for finding in comparison.fixed],
        "unchanged": [_finding(finding) for finding in comparison.unchanged],
        "not_seen_again": [_finding(finding) for finding in comparison.unseen],
    }


def _finding(finding: Finding) -> dict[str, str]:
    result = finding.result
    return {"target": finding.target, "id": result.check.id, "severity": str(result.severity)}
