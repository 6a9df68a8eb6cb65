"""Targets for people: one in full, or a table of many, on a terminal or in a plain file (rich); see render/."""

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dicomgate.assess.model import Assessment, Outcome, Severity, SkipReason, State, TargetReport

_COLOURS = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}


def print_target(target: TargetReport, console: Console) -> None:
    console.print()
    over = "" if target.state is State.UNREACHABLE else "over TLS" if target.tls else "in clear"
    console.print(Text(f"{target.target}  {target.called_ae_title}  {target.state} {over}", style="bold"))
    if target.why:
        console.print(Text(f"{target.why}."))
    if target.fingerprint is not None:
        console.print(Text(_software(target)))
    findings = sorted(
        (result for result in target.results if result.outcome is Outcome.FAIL), key=lambda each: -each.severity
    )
    if findings:
        table = Table("severity", "check", "finding", "what to do first", box=None, pad_edge=False, header_style="dim")
        for result in findings:
            table.add_row(
                Text(str(result.severity), style=_COLOURS[result.severity]),
                result.check.id,
                Text(result.judgement.why),
                Text(result.check.fix),
            )
        console.print(table)
    _print_rest(target, console)


def _print_rest(target: TargetReport, console: Console) -> None:
    unclear = [result for result in target.results if result.outcome is Outcome.INCONCLUSIVE]
    for result in unclear[:20] if not target.why else ():
        console.print(Text(f"could not tell  {result.check.id}  {result.judgement.why}", style="yellow"))
    skipped = Counter(result.judgement.skipped for result in target.results if result.judgement.skipped is not None)
    shown = ", ".join(f"{number} {_SKIPPED[reason]}" for reason, number in skipped.most_common())
    counts = Counter(result.outcome for result in target.results)
    console.print(
        Text(
            f"{counts[Outcome.FAIL]} findings, {counts[Outcome.PASS]} in order, "
            f"{counts[Outcome.INCONCLUSIVE]} could not tell, "
            f"{counts[Outcome.SKIPPED]} not tried{f' ({shown})' if shown else ''}; {target.connections} connections"
        )
    )
    health = target.health
    if health is not None and health.at_end is not None:
        state = "unchanged" if health.unchanged else f"CHANGED: {health.at_end} at the end"
        console.print(Text(f"answers as at first: {health.at_start}, {state}"))


_SKIPPED = {
    SkipReason.CONSENT: "for want of consent",
    SkipReason.INPUT: "for want of a file or a name",
    SkipReason.TOOL: "for want of a program",
    SkipReason.NOT_APPLICABLE: "without meaning here",
    SkipReason.REFUSED_BEFORE: "refused before",
    SkipReason.SCOPE: "outside the scope",
}


def _software(target: TargetReport) -> str:
    fingerprint = target.fingerprint
    if fingerprint is None:
        return ""
    names = f"{fingerprint.implementation_class_uid} {fingerprint.implementation_version_name or ''}".strip()
    product = fingerprint.product
    if product is None:
        return f"software: not in the table ({names})"
    built = "built with " if product.toolkit else ""
    return f"software: {built}{product.name} {product.version or ''} ({names})"


def fleet_table(assessment: Assessment, grades: Mapping[str, str]) -> Table:
    """One row for each target; `grades` by target."""
    table = Table("target", "state", "worst", "findings", "could not tell", "grade", box=None, header_style="dim")
    for target in assessment.targets:
        severities = [finding.result.severity for finding in target.findings]
        worst = max(severities, default=None)
        unclear = sum(result.outcome is Outcome.INCONCLUSIVE for result in target.results)
        table.add_row(
            target.target,
            target.state,
            _worst(target, worst),
            str(len(severities)),
            str(unclear),
            grades[target.target],
        )
    return table


def _worst(target: TargetReport, worst: Severity | None) -> Text:
    if worst is not None:
        return Text(str(worst), style=_COLOURS[worst])
    return Text("none" if target.state in (State.ASSESSED, State.STOPPED) else "not known")
