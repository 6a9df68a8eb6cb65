"""A report as JUnit XML, which CI systems show as tests: a suite for each target, a case for each check.

A finding below `fail_on` passes, with its text in system-out; what could not be told is an error, never a pass.
"""

from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from dicomgate.assess.model import Outcome, Result, Severity, State
from dicomgate.assess.report import Assessed, Report


def junit(report: Report, fail_on: Severity) -> str:
    """The whole document."""
    suites = Element("testsuites", name="dicomgate assess")
    totals = [_suite(SubElement(suites, "testsuite"), target, fail_on) for target in report.targets]
    for name, values in zip(("tests", "failures", "errors", "skipped"), zip(*totals, strict=True), strict=False):
        suites.set(name, str(sum(values)))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode")


def _suite(suite: Element, target: Assessed, fail_on: Severity) -> tuple[int, int, int, int]:
    report = target.report
    suite.set("name", _clean(f"{report.target} {report.called_ae_title}"))
    suite.set("timestamp", datetime.fromtimestamp(report.started, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    suite.set("time", f"{report.finished - report.started:.3f}")
    for result in report.results:
        case = SubElement(suite, "testcase", classname=_clean(report.target), time="0")
        case.set("name", f"{result.check.id} {result.check.title}")
        _case(case, result, fail_on)
    if report.state is not State.ASSESSED:
        case = SubElement(suite, "testcase", classname=_clean(report.target), name="assessment", time="0")
        SubElement(case, "error", type=str(report.state), message=_clean(report.why))
    counted = (len(suite), *(len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")))
    for name, number in zip(("tests", "failures", "errors", "skipped"), counted, strict=True):
        suite.set(name, str(number))
    return counted[0], counted[1], counted[2], counted[3]


def _case(case: Element, result: Result, fail_on: Severity) -> None:
    why = _clean(result.judgement.why)
    match result.outcome:
        case Outcome.FAIL if result.severity >= fail_on:
            failure = SubElement(case, "failure", type=str(result.severity), message=why)
            failure.text = _clean(f"{result.check.risk}\nDo first: {result.check.fix}")
        case Outcome.FAIL:
            SubElement(case, "system-out").text = f"{result.severity}: {why}"
        case Outcome.INCONCLUSIVE:
            SubElement(case, "error", type="inconclusive", message=why)
        case Outcome.SKIPPED:
            SubElement(case, "skipped", message=why)
        case Outcome.PASS:
            pass


def _clean(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(
        character
        for character in text
        if character in "\t\n" or " " <= character < "\ud800" or "\ue000" <= character < "\ufffe"
    )
