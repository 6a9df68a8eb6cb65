"""What every command shares: how it says things, and how it ends.

Data goes to stdout, talk goes to stderr.
"""

import os
import pwd
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dicomgate.config.load import Configuration

DENIED, WRONG, INCOMPLETE, BUG = 1, 2, 3, 4
"""The answer is no; the command or the configuration is wrong; warnings under --strict; a bug."""

ConfigFile = Annotated[Path, typer.Option("-c", "--config", metavar="FILE", help="The configuration file (TOML).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def say(lines: Iterable[str]) -> None:
    """Data, to stdout. A reader that has seen enough (head, less) ends the printing, not the command or its verdict.

    A line leaves in one write: a log on the same file must not land inside it.
    """
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer goes nowhere; a complaint at exit would only confuse.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(configuration: Configuration) -> None:
    for problem in configuration.warnings:
        print(problem, file=sys.stderr)


def operator() -> str:
    """Who gives this command: the name that a record of it bears."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid {os.getuid()}"  # a container's users often have no name
    invoker = os.environ.get("SUDO_USER", "")
    return f"{name} (sudo by {invoker[:64]})" if invoker and invoker.isprintable() else name


def fail(text: str, hint: str) -> NoReturn:
    print(f"dicomgate: error: {text}\n  hint: {hint}", file=sys.stderr)
    raise typer.Exit(WRONG)
