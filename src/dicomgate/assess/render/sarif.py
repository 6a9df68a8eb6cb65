"""A report as SARIF 2.1.0 (OASIS), which code hosts and CI systems show as alerts.

One rule for each check, with a stable ID; one result for each finding. GitHub orders by `security-severity`. An
inconclusive check is no result but a notification: a log without results must not look like a clean one.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dicomgate.assess.advice import remedies_for
from dicomgate.assess.document import written
from dicomgate.assess.model import Check, Finding, Outcome, Severity, State
from dicomgate.assess.report import Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
LEVELS = {
    Severity.INFO: "none",
    Severity.LOW: "note",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "error",
}
NUMBERS = {
    Severity.INFO: "0.0",
    Severity.LOW: "3.0",
    Severity.MEDIUM: "5.5",
    Severity.HIGH: "8.0",
    Severity.CRITICAL: "9.5",
}
"""Above 9.0 is shown as critical, above 7.0 as high, from 4.0 as medium."""


def sarif(report: Report) -> dict[str, Any]:
    """Ready for json.dumps."""
    assessment = report.assessment
    checks = list({each.check.id: each.check for target in assessment.targets for each in target.results}.values())
    index = {check.id: position for position, check in enumerate(checks)}
    results = [_result(report, finding, index) for target in report.targets for finding in target.findings]
    if report.comparison is not None:
        results += [_gone(finding, index) for finding in report.comparison.fixed if finding.result.check.id in index]
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "dicomgate",
                        "semanticVersion": assessment.version,
                        "rules": [_rule(check) for check in checks],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": all(target.state is State.ASSESSED for target in assessment.targets),
                        "startTimeUtc": written(assessment.started),
                        "endTimeUtc": written(assessment.finished),
                        "toolExecutionNotifications": list(_notifications(report)),
                    }
                ],
                "columnKind": "utf16CodeUnits",
                "results": results,
            }
        ],
    }


def _rule(check: Check) -> dict[str, Any]:
    gate = remedies_for(check.id)[0]
    return {
        "id": check.id,
        "name": "".join(word.capitalize() for word in check.title.replace("-", " ").replace("'", "").split()),
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": f"{check.risk} Proof: {check.proves}."},
        "help": {
            "text": f"{check.fix}\n\n{gate.do}\n\n{gate.block}",
            "markdown": f"{check.fix}\n\n{gate.do}\n\n```\n{gate.block}\n```",
        },
        "defaultConfiguration": {"level": LEVELS[check.severity]},
        "properties": {
            "security-severity": NUMBERS[check.severity],
            "tags": ["security", "dicom", *(str(requirement) for requirement in check.requirements)],
            "precision": "very-high",
        },
    }


def _result(report: Report, finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    result = finding.result
    shown = _basic(finding, index)
    shown["properties"] = {
        "security-severity": NUMBERS[result.severity],
        **{item.name: item.value for item in result.judgement.evidence},
    }
    if report.comparison is not None:
        shown["baselineState"] = report.comparison.state_of(finding)
    return shown


def _gone(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    return _basic(finding, index) | {"baselineState": "absent"}


def _basic(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    result = finding.result
    return {
        "ruleId": result.check.id,
        "ruleIndex": index[result.check.id],
        "level": LEVELS[result.severity],
        "kind": "informational" if result.severity is Severity.INFO else "fail",
        "message": {"text": f"{finding.target}: {result.judgement.why}. {result.check.risk}"},
        "locations": [
            {
                # Code hosts want a file: the target stands for one, as there is none.
                "physicalLocation": {"artifactLocation": {"uri": quote(finding.target, safe="")}},
                "logicalLocations": [{"fullyQualifiedName": finding.target, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"checkAndTarget/v1": finding.fingerprint},
    }


def _notifications(report: Report) -> Iterator[dict[str, Any]]:
    for target in report.assessment.targets:
        if target.state is not State.ASSESSED:
            yield {"level": "error", "message": {"text": f"{target.target}: {target.why}"}}
        for result in target.results:
            if result.outcome is Outcome.INCONCLUSIVE:
                yield {
                    "level": "warning",
                    "message": {"text": f"{target.target}: {result.check.id} could not tell: {result.judgement.why}"},
                    "associatedRule": {"id": result.check.id},
                }
