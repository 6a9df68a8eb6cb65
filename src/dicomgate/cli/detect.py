"""`dicomgate detect`: what the detectors look for, for people and for other systems."""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from dicomgate.cli.speech import AsJson, say
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.export import crowdsec, fail2ban, sigma

detect = typer.Typer(help="What attacks look like here.", no_args_is_help=True)


class Format(StrEnum):
    """Whose language the rules are written in."""

    SIGMA = "sigma"
    CROWDSEC = "crowdsec"
    FAIL2BAN = "fail2ban"


_WRITERS: dict[Format, Callable[[], str]] = {
    Format.SIGMA: sigma,
    Format.CROWDSEC: crowdsec,
    Format.FAIL2BAN: fail2ban,
}


@detect.command("list")
def detect_list(as_json: AsJson = False) -> None:
    """Every detector with its defaults."""
    if as_json:
        say(
            json.dumps(
                {
                    "id": each.id,
                    "title": each.title,
                    "severity": each.severity.value,
                    "technique": each.technique,
                    "threshold": each.threshold,
                    "unit": each.unit,
                    "window": each.window,
                    "action": each.action.word,
                    "duration": each.duration,
                    "learns": each.learns,
                    "false_positives": each.false_positives,
                }
            )
            for each in DETECTORS
        )
    else:
        say(f"{each.id}  {each.severity.value:8}  {each.action.word:6}  {each.title}" for each in DETECTORS)


@detect.command("export")
def detect_export(
    language: Annotated[Format, typer.Option("--format", help="sigma, crowdsec or fail2ban.")],
) -> None:
    """The same detectors as rules for systems that read the gate's log."""
    say(_WRITERS[language]().splitlines())
