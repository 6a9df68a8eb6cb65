"""How an assessment is written, and what it is compared with: a report in, text of a format out."""

import json
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from io import StringIO
from pathlib import Path

from rich.console import Console

from dicomgate.assess.checks import CHECKS
from dicomgate.assess.document import DocumentError, read_assessment
from dicomgate.assess.model import Assessment, Severity
from dicomgate.assess.need import Observations
from dicomgate.assess.render.html import html
from dicomgate.assess.render.json import report_document
from dicomgate.assess.render.junit import junit
from dicomgate.assess.render.sarif import sarif
from dicomgate.assess.render.terminal import print_report
from dicomgate.assess.report import Report
from dicomgate.assess.scope import Resolved
from dicomgate.cli.need import read_observations
from dicomgate.cli.speech import fail, say

WIDTH = 150
"""Of a text report that does not go to a terminal."""


class Format(StrEnum):
    """How an assessment is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    HTML = "html"


def write(finished: Report, output_format: Format, output: Path | None, fail_on: Severity) -> None:
    if output_format is Format.TEXT and output is None and sys.stdout.isatty():
        print_report(finished, Console())
        return
    text = _text(finished, output_format, fail_on)
    if output is None:
        say([text])
    else:
        output.write_text(text + "\n", encoding="utf-8")
        print(f"written to {output}", file=sys.stderr)


def _text(finished: Report, output_format: Format, fail_on: Severity) -> str:
    match output_format:
        case Format.JSON:
            return json.dumps(report_document(finished), indent=2)
        case Format.SARIF:
            return json.dumps(sarif(finished), indent=2)
        case Format.JUNIT:
            return junit(finished, fail_on)
        case Format.HTML:
            return html(finished)
        case Format.TEXT:
            console = Console(width=WIDTH, no_color=True, force_terminal=False, file=StringIO())
            with console.capture() as captured:
                print_report(finished, console)
            return "\n".join(line.rstrip() for line in captured.get().splitlines())


def read_baseline(file: Path) -> Assessment:
    try:
        return read_assessment(json.loads(file.read_text("utf-8")), CHECKS)
    except OSError as error:
        fail(f"--baseline: {file} cannot be read: {error.strerror}", "name a file that exists")
    except (DocumentError, ValueError) as error:
        fail(f"--baseline: {file}: {str(error)[:200]}", "name what dicomgate assess --format json has written")


def read_users(
    file: Path | None, suggest_to: Path | None, gate_name: str, placed: Sequence[Resolved]
) -> Observations | None:
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", gate_name):
        fail(f"--gate-name: expected a host name or an address, came {gate_name[:60]!r}", "gate.north.example")
    if file is None:
        return None
    if suggest_to is None:
        fail("--observe belongs to --suggest", "to see who uses a port, ask dicomgate need")
    ports = frozenset(target.endpoint.port for target in placed if target.endpoint is not None)
    return read_observations(file, ports)


def check_output(output: Path | None, option: str = "--output") -> None:
    """Before anything is sent: an assessment that cannot be written would have been for nothing."""
    if output is not None:
        try:
            output.open("a").close()
        except OSError as error:
            fail(f"{option}: {output} cannot be written: {error.strerror}", "name a file in a folder that exists")
