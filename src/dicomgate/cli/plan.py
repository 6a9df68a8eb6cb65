"""`dicomgate plan`: a few questions, or a file of answers; a recommended setup, its files and its order out."""

import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.cli.speech import DENIED, fail, say
from dicomgate.config.load import parse
from dicomgate.config.problem import ConfigurationError
from dicomgate.plan.answers import read
from dicomgate.plan.decide import decide
from dicomgate.plan.gates import gates
from dicomgate.plan.interview import INTRODUCTION, Interview
from dicomgate.plan.page import page


def plan(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the files.")],
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answers (TOML); without it they are asked for.")
    ] = None,
) -> None:
    """Recommend a setup and write it: gates, segments, what to ask vendors, rollout and rollback."""
    if output.exists():
        fail(f"{output}: expected a folder that is not there yet", "nothing that exists is written over")
    text = _interviewed() if answers is None else _read(answers)
    name = "answers.toml" if answers is None else str(answers)
    try:
        advice = decide(read(parse(text, name), name))
    except ConfigurationError:
        if answers is None:
            _keep(text, output)
        raise
    files = {"README.md": page(advice), "answers.toml": text}
    files |= {f"{place}/gate.toml": content for place, content in gates(advice).items()}
    for path, content in files.items():
        target = output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, "utf-8")
    say([advice.measures[0].decision, *(str(output / path) for path in sorted(files))])
    if not advice.usable:
        raise typer.Exit(DENIED)


def _keep(text: str, output: Path) -> None:
    """Nobody has to answer everything again because two answers cannot both be true."""
    kept = output.with_name(f"{output.name}.answers.toml")
    try:
        with kept.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        print(f"dicomgate: warning: {kept}: the answers are not kept: {error.strerror}", file=sys.stderr)
        return
    print(f"Your answers are in {kept}. Correct them, then: dicomgate plan {output} --answers {kept}", file=sys.stderr)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        fail(f"{path}: cannot be read: {reason}", "name a TOML file; docs/howto/plan.md shows one")


def _interviewed() -> str:
    """The answers as TOML, asked one by one; a wrong answer is asked for again."""
    interview = Interview()
    print(INTRODUCTION, file=sys.stderr)
    while (question := interview.next()) is not None:
        print(question.text, file=sys.stderr)
        said = typer.prompt("  ", default=question.default, show_default=bool(question.default), err=True)
        mistake = interview.answer(str(said))
        if mistake is not None:
            print(f"  {mistake}", file=sys.stderr)
    text = interview.toml()
    tomllib.loads(text)
    return text
