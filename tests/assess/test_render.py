"""Every format of a report: valid by its schema, whole, and with nothing that a stranger could inject."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console

from assess import sarif_schema
from assess.reports import OPEN, assessment, target
from dicomgate.assess.checks import CHECKS
from dicomgate.assess.document import assessment_document, read_assessment
from dicomgate.assess.model import Severity, State
from dicomgate.assess.render.html import html
from dicomgate.assess.render.json import report_document
from dicomgate.assess.render.junit import junit
from dicomgate.assess.render.sarif import sarif
from dicomgate.assess.render.terminal import print_report
from dicomgate.assess.report import Report, report

DOCS = Path(__file__).parents[2] / "docs" / "reference"
BEFORE = assessment(target(OPEN | {"ROB-03": "fail"}))
AFTER = assessment(target(OPEN | {"ADM-01": "pass", "TLS-01": "inconclusive", "AZ-06": "fail"}, name="10.1.1.5:2762"))
FLEET = assessment(
    target(OPEN, name="a:104"), target({}, "inconclusive", "b:104", State.UNREACHABLE), target({}, name="[fd00::1]:104")
)
REPORTS = {
    "one": report(BEFORE),
    "compared": report(AFTER, BEFORE),
    "fleet": report(FLEET),
    "none": report(assessment()),
}


def text(shown: Report) -> str:
    out = StringIO()
    print_report(shown, Console(file=out, width=120))
    return out.getvalue()


@pytest.mark.parametrize("shown", REPORTS.values(), ids=list(REPORTS))
def test_json_is_valid_by_the_published_schema_and_can_be_a_baseline(shown: Report) -> None:
    document = json.loads(json.dumps(report_document(shown)))
    jsonschema.validate(document, json.loads((DOCS / "assess.schema.json").read_text("utf-8")))
    again = read_assessment(document, CHECKS)
    assert assessment_document(again) == assessment_document(shown.assessment)


@pytest.mark.parametrize("shown", REPORTS.values(), ids=list(REPORTS))
def test_sarif_is_valid(shown: Report) -> None:
    document = json.loads(json.dumps(sarif(shown)))
    sarif_schema.validate(document)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] == "fail" or result["level"] == "none", "SARIF 2.1.0 3.27.10"


@pytest.mark.parametrize(
    ("key", "wrong"), [("version", "2.0.0"), ("runs", [{}]), ("runs", [{"tool": {"driver": {"nam": "x"}}}])]
)
def test_the_schema_of_sarif_would_find_a_mistake(key: str, wrong: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        sarif_schema.validate(sarif(REPORTS["one"]) | {key: wrong})


def test_sarif_of_a_comparison_tells_what_is_new_and_gone() -> None:
    states = {
        (result["ruleId"], result["baselineState"]) for result in sarif(REPORTS["compared"])["runs"][0]["results"]
    }
    assert {("AZ-06", "new"), ("ADM-02", "unchanged"), ("ADM-01", "absent"), ("ROB-03", "absent")} <= states
    assert not {check for check, _ in states} & {"TLS-01"}, "it could not tell: neither there nor gone"


def test_what_could_not_be_reached_is_not_without_findings() -> None:
    row = next(line for line in text(REPORTS["fleet"]).splitlines() if line.lstrip().startswith("b:104"))
    assert "not known" in row
    (cells,) = re.findall(r"<tr>(?:(?!</tr>).)*>b:104<.*?</tr>", html(REPORTS["fleet"]))
    assert "nothing is known" in cells
    assert "no finding" not in cells


def test_sarif_says_what_could_not_be_told() -> None:
    (run,) = sarif(REPORTS["fleet"])["runs"]
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert any("AZ-04" in each["message"]["text"] for each in invocation["toolExecutionNotifications"])


def test_junit_counts_findings_from_fail_on_as_failures() -> None:
    suites = ElementTree.fromstring(junit(REPORTS["fleet"], Severity.HIGH).split("\n", 1)[1])  # noqa: S314 - our own
    first, second, third = suites
    failures = {case.get("name", "").split()[0] for case in first if case.find("failure") is not None}
    assert failures == {"ADM-01", "ADM-02", "IDN-01", "TLS-01", "AZ-03", "AZ-11"}
    assert first.get("failures") == "6"
    assert first.get("errors") == "1"
    assert [case.get("name") for case in first if case.find("system-out") is not None] == [
        "ADM-04 refusals tell which title was right",
        "AZ-01 C-ECHO answers a stranger",
    ]
    assert second.find("testcase[@name='assessment']/error") is not None
    assert (third.get("failures"), third.get("errors"), third.get("tests")) == ("0", "0", str(len(CHECKS)))
    assert suites.get("failures") == "6"


class Reader(HTMLParser):
    """Which tags there are, and whether they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "shown", [REPORTS["one"], REPORTS["compared"], REPORTS["fleet"]], ids=["one", "compared", "fleet"]
)
def test_html_stands_alone(shown: Report) -> None:
    page = html(shown)
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    tags = {tag for tag, _ in reader.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "b"}
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\(|@import""", page)
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(set(ids)) == len(ids)
    labelled = {attributes["aria-labelledby"] for _, attributes in reader.seen if "aria-labelledby" in attributes}
    assert labelled <= set(ids)
    assert "It was &lt;b&gt;open&lt;/b&gt; &amp; seen" in page
    for finding in shown.assessment.findings:
        assert f'<span class="id">{finding.result.check.id}</span>' in page


def test_page_one_says_what_to_do_first_and_why() -> None:
    lines = text(REPORTS["one"]).splitlines()
    first_page = "\n".join(lines[:40])
    assert "F?" in first_page
    assert "Open. Act today." in first_page
    assert "Do first:" in first_page
    assert "1. Write down what each device is for." in first_page
    assert "The whole patient list can be copied in minutes." in first_page
    assert "capped from" not in first_page or "anybody may list" in first_page


def test_steps_bring_points_and_end_when_nothing_is_left() -> None:
    steps = REPORTS["one"].targets[0].steps
    assert len(steps) == 3
    assert [step.before for step in steps[1:]] == [step.after for step in steps[:-1]]
    assert all(step.closes and step.after >= step.before for step in steps)
    assert report(assessment(target({"ADM-04": "fail"}))).targets[0].steps == ()


def test_a_comparison_of_single_targets_ignores_the_address() -> None:
    change = REPORTS["compared"].comparison
    assert change is not None
    assert [finding.result.check.id for finding in change.new] == ["AZ-06"]
    assert [finding.result.check.id for finding in change.fixed] == ["ADM-01", "ROB-03"]
    assert [finding.result.check.id for finding in change.unseen] == ["TLS-01"]


def test_a_comparison_of_fleets_goes_by_target() -> None:
    change = report(FLEET, BEFORE).comparison
    assert change is not None
    assert {finding.target for finding in change.new} == {"a:104"}
    assert {finding.target for finding in change.unseen} == {"10.1.1.20:104"}
    assert change.fixed == change.unchanged == ()


def test_text_of_a_fleet_begins_with_its_table() -> None:
    shown = text(REPORTS["fleet"])
    assert re.search(r"a:104 +assessed +critical.* F\?\s", shown)
    assert "No grade: could not be reached." in shown
