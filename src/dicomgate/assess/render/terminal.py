"""A report for a terminal or a plain file (rich): page one says how it stands and what to do first, details follow."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dicomgate.assess.render.page_one import (
    change_words,
    counts,
    grade,
    question_words,
    score_words,
    unknown_words,
    verdict,
)
from dicomgate.assess.report import Assessed, Report, Step
from dicomgate.assess.scorecard import Standing
from dicomgate.assess.text import fleet_table, print_target

GRADE_COLOURS = {"A": "bold green", "B": "green", "C": "yellow", "D": "red", "F": "bold red", "?": "dim"}
MARKS = {
    Standing.MET: ("yes", "green"),
    Standing.PARTLY: ("partly", "yellow"),
    Standing.NOT_MET: ("NO", "bold red"),
    Standing.UNKNOWN: ("unknown", "dim"),
}
MOST_IN_FULL = 3
"""Targets whose page one is shown; a fleet is a table first."""
BAR = 20


def print_report(report: Report, console: Console) -> None:
    """Page one, the scorecard, then each target in full."""
    if len(report.targets) > 1:
        console.print(fleet_table(report.assessment, {each.report.target: grade(each) for each in report.targets}))
    for target in report.targets[:MOST_IN_FULL]:
        _page_one(target, console)
    if words := change_words(report):
        console.print(Text(words, style="bold"))
        change = report.comparison
        for name, findings in (("new", change.new), ("fixed", change.fixed)) if change else ():
            for finding in findings:
                console.print(Text(f"  {name:6} {finding.result.check.id:7} {finding.target}"))
    _scorecard(report, console)
    for target in report.targets:
        print_target(target.report, console)


def _page_one(target: Assessed, console: Console) -> None:
    console.print()
    letter = grade(target)
    console.print(
        Text.assemble(
            (f" {letter} ", f"reverse {GRADE_COLOURS[letter[0]]}"),
            (f"  {target.report.target} {target.report.called_ae_title}  ", "bold"),
            verdict(target),
        )
    )
    if target.score is not None:
        console.print(Text(score_words(target.score)))
        for section in target.score.sections:
            filled = round(BAR * section.points / section.of)
            mark = "?" if section.unknown else " "
            line = (
                f"  {section.section:14} {'█' * filled}{'░' * (BAR - filled)} {section.points:4g}{mark} of {section.of}"
            )
            console.print(Text(line))
    console.print(Text(f"Found: {counts(target)}. {unknown_words(target)}".rstrip()))
    if target.steps:
        console.print(Text("Do first:", style="bold"))
    for number, step in enumerate(target.steps, start=1):
        _step(number, step, console)
    if target.questions:
        console.print(Text("To know more:", style="bold"))
    for question in target.questions:
        console.print(Padding(Text(question_words(question)), (0, 0, 0, 2)))


def _step(number: int, step: Step, console: Console) -> None:
    console.print(Padding(Text(f"{number}. {step.remedy.do}", style="bold"), (0, 0, 0, 2)))
    console.print(Padding(Text(step.because), (0, 0, 0, 5)))
    closes = ", ".join(step.closes)
    gain = f", {step.before} → {step.after} points before caps" if step.after > step.before else ""
    console.print(Padding(Text(f"{step.remedy.title}; closes {closes}{gain}"), (0, 0, 0, 5)))
    if number == 1:
        console.print(Padding(Text(step.remedy.block), (0, 0, 0, 7)))


def _scorecard(report: Report, console: Console) -> None:
    table = Table("", "recommendation", "met", "findings", "not known", box=None, pad_edge=False, header_style="dim")
    for line in report.scorecard:
        word, colour = MARKS[line.standing]
        table.add_row(
            str(line.requirement),
            line.requirement.wording,
            Text(word, style=colour),
            " ".join(line.failed),
            str(len(line.unknown) or ""),
        )
    console.print()
    console.print(table)
