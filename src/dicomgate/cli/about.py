"""`dicomgate version` and `dicomgate demo`."""

from typing import Annotated

import typer

from dicomgate import __version__
from dicomgate.cli.speech import say


def version() -> None:
    """Print the version."""
    say([__version__])


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the working directory.")] = False,
) -> None:
    """An embedded archive, a gate and real clients: what passes, what is refused, and why."""
    from dicomgate.demo.scenario import run_demo  # noqa: PLC0415 - a toolkit and its dictionary, for this command only

    raise typer.Exit(run_demo(keep=keep))
