"""Tables as text. In: measured tables and facts of the machine; out: Markdown for people, JSON for programs."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench.measure import Ratio, Table, reached
from bench.process import ROOT

PROGRAMS = {
    "HAProxy": ("/usr/sbin/haproxy", "-v"),
    "nginx": ("/usr/sbin/nginx", "-v"),
    "stunnel": ("/usr/bin/stunnel4", "-version"),
    "DCMTK": ("/usr/bin/storescu", "--version"),
    "Orthanc": ("/usr/sbin/Orthanc", "--version"),
}


def machine() -> dict[str, str]:
    """What the figures depend on: processor, cores, versions, commit."""
    models = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
    }
    for name, command in PROGRAMS.items():
        if Path(command[0]).exists():
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            facts[name] = _version(answer.stdout + answer.stderr)
    commit = subprocess.run(
        ("git", "describe", "--always", "--dirty"), cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    return facts | ({"commit": commit.stdout.strip()} if commit.returncode == 0 else {})


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _version(text: str) -> str:
    """The first word of a program's answer that has a digit and a dot in it."""
    for word in text.replace("/", " ").split():
        if "." in word and any(c.isdigit() for c in word):
            return word.lstrip("v")
    return "unknown version"


def markdown(tables: Sequence[Table], facts: dict[str, str]) -> str:
    """The whole report: targets first, then each table with its sentence."""
    text = ["## Against the targets", "", *_grid(_TARGET_HEADINGS, _target_lines(tables)), ""]
    text += [
        "Ratios are the gate's figure divided by the reference's, taken round by round; in brackets the lowest and "
        "highest round. Smaller is better throughout this table.",
        "",
    ]
    for table in tables:
        text += [f"## {table.title}", "", table.sentence, ""]
        headings = ["path", *(metric.heading for metric in table.metrics)]
        lines = [
            [path, *(metric.show(table.values(path, metric.key)) for metric in table.metrics)] for path in table.series
        ]
        text += [*_grid(headings, lines), ""]
        text += [f"- {path} could not be measured: {why}" for path, why in table.failures.items()]
        text += [""] * bool(table.failures)
    text += [
        "Measured: " + "; ".join(f"{name} {value}" for name, value in facts.items()) + ".",
        "Load, relay and archive share the cores on the loopback interface: compare paths, not machines.",
    ]
    return "\n".join(text) + "\n"


_TARGET_HEADINGS = ("what", "compared with", "measured", "good", "aim", "")


def _target_lines(tables: Sequence[Table]) -> list[list[str]]:
    lines = []
    for table in tables:
        for target in table.targets:
            result = reached(table, target)
            if result is None:
                continue
            middle = result[0]
            word = "aim reached" if middle <= target.aim else "good" if middle <= target.good else "missed"
            against, unit = (target.reference, "x") if isinstance(target, Ratio) else ("-", target.unit)
            shown = f"{_short(middle)} {unit}" + (
                f" ({_short(result[1])}-{_short(result[2])})" if result[1] != result[2] else ""
            )
            lines.append([target.what, against, shown, f"≤ {target.good:g} {unit}", f"≤ {target.aim:g} {unit}", word])
    return lines


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _grid(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns also line up as plain text."""
    widths = [max(len(line[column]) for line in (headings, *lines)) for column in range(len(headings))]

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return [row(headings), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(row, lines)]


def as_json(tables: Sequence[Table], facts: dict[str, str]) -> str:
    """Every value of every round, in seconds, bytes and counts."""
    return json.dumps({"machine": facts, "tables": [asdict(table) for table in tables]}, indent=1) + "\n"
