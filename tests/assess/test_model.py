"""What an assessment means to a program: consent, exit status, and a document that keeps everything."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from dicomgate.assess.checks import CATALOGUE, CHECKS
from dicomgate.assess.document import DocumentError, assessment_document, read_assessment
from dicomgate.assess.model import (
    Assessment,
    Authorisation,
    Consent,
    Exit,
    Judgement,
    Mode,
    Outcome,
    Result,
    Severity,
    SkipReason,
    State,
    TargetReport,
    exit_status,
    failed,
    inconclusive,
    passed,
    skipped,
)

COUNTS = {"EXP": 8, "ADM": 8, "IDN": 7, "TLS": 9, "AZ": 13, "ROB": 4, "FPR": 2, "LOG": 1}


def report(**judgements: Judgement) -> TargetReport:
    results = tuple(Result(CHECKS[name.replace("_", "-")], judgement) for name, judgement in judgements.items())
    return TargetReport(
        "a:104", "10.1.1.1", "ARCHIVE", State.ASSESSED, "", False, results, None, None, 3, 1000.0, 1001.5
    )


def assessment(*targets: TargetReport) -> Assessment:
    facts = Authorisation("me", "you", "any time", ("a:104",), (), False)
    return Assessment("1", facts, Consent(), targets, 1000.0, 1002.0)


def test_the_catalogue_is_whole() -> None:
    wanted = [f"{part}-{number:02d}" for part, count in COUNTS.items() for number in range(1, count + 1)]
    assert [procedure.check.id for procedure in CATALOGUE] == wanted
    assert len(CATALOGUE) == 52


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_every_check_says_what_it_does(check: object) -> None:
    for text in (check.title, check.sends, check.proves, check.risk, check.fix):  # type: ignore[attr-defined]
        assert len(text) > 10
        assert text == text.strip()


def test_nothing_beyond_negotiation_without_consent() -> None:
    def covered(consent: Consent) -> set[Mode]:
        return {mode for mode in Mode if consent.covers(mode, "a:104")}

    calm = {Mode.PASSIVE, Mode.NEGOTIATION}
    assert covered(Consent()) == calm
    assert covered(Consent(count=True)) == calm | {Mode.QUERY, Mode.COUNT}
    assert covered(Consent(intrusive=True)) == calm | {Mode.INTRUSIVE}
    assert covered(Consent(lab=frozenset({"a:104"}))) == calm | {Mode.LAB}
    assert covered(Consent(lab=frozenset({"b:104"}))) == calm


@pytest.mark.parametrize(
    ("judgements", "fail_on", "expected"),
    [
        ({"ADM_01": failed("x")}, Severity.HIGH, Exit.FINDINGS),
        ({"ADM_01": failed("x")}, Severity.CRITICAL, Exit.PASS),
        ({"ADM_01": failed("x", Severity.LOW)}, Severity.MEDIUM, Exit.PASS),
        ({"ADM_01": passed("x")}, Severity.HIGH, Exit.PASS),
        ({"ADM_01": inconclusive("x")}, Severity.HIGH, Exit.INCOMPLETE),
        ({"ADM_01": failed("x"), "ADM_02": inconclusive("x")}, Severity.HIGH, Exit.FINDINGS),
        ({"TLS_03": skipped(SkipReason.TOOL, "x")}, Severity.HIGH, Exit.INCOMPLETE),
        ({"AZ_02": skipped(SkipReason.CONSENT, "x")}, Severity.HIGH, Exit.PASS),
    ],
)
def test_exit_status(judgements: dict[str, Judgement], fail_on: Severity, expected: Exit) -> None:
    assert exit_status(assessment(report(**judgements)), fail_on) is expected


def test_a_target_that_was_not_assessed_is_never_a_pass() -> None:
    for state in State:
        left = replace(report(ADM_01=passed("x")), state=state)
        wanted = Exit.PASS if state is State.ASSESSED else Exit.INCOMPLETE
        assert exit_status(assessment(left), Severity.HIGH) is wanted
    assert exit_status(assessment(), Severity.HIGH) is Exit.INCOMPLETE


def test_a_skip_has_a_reason_and_nothing_else_has() -> None:
    with pytest.raises(ValueError, match="has a reason"):
        Judgement(Outcome.SKIPPED, "x")
    with pytest.raises(ValueError, match="has a reason"):
        Judgement(Outcome.PASS, "x", skipped=SkipReason.INPUT)


def test_the_document_keeps_everything() -> None:
    every = assessment(
        report(
            ADM_01=failed("x", Severity.LOW, answer="accepted", number=3, share=0.5, flag=True),
            AZ_02=skipped(SkipReason.CONSENT, "y"),
        )
    )
    document = json.loads(json.dumps(assessment_document(every)))
    assert read_assessment(document, CHECKS) == every
    assert document["targets"][0]["results"][0]["severity"] == "low"
    assert re.fullmatch(r"1970-01-01T00:16:40\.000Z", document["started"])


@pytest.mark.parametrize("change", [{"schema": "other"}, {"targets": [{}]}, {"started": "noon"}, {"consent": None}])
def test_another_document_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DocumentError, match="expected an assessment"):
        read_assessment(assessment_document(assessment(report())) | change, CHECKS)
