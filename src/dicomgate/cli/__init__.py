"""The command line and the composition root: one function per command, one file per group of commands.

Exit codes: 0 done, 1 the answer is no (denied, problems found), 2 the command or the configuration is wrong, 4 a bug.
"""

import sys
import traceback

import typer

from dicomgate.cli.commands import Commands
from dicomgate.cli.speech import BUG, WRONG
from dicomgate.config.problem import ConfigurationError
from dicomgate.pki.problem import PkiError
from dicomgate.segment.kernel import NftError
from dicomgate.store.problem import StoreError

app = typer.Typer(
    cls=Commands,
    help="A DICOM-aware reverse proxy in front of an archive. It refuses by default.",
    no_args_is_help=True,
    rich_markup_mode=None,  # FILE:KEY: is no picture of a key
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _every_command() -> None:
    """A DICOM-aware reverse proxy in front of an archive. It refuses by default."""


def main() -> None:
    """The console script."""
    try:
        app()
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(WRONG)
    except (StoreError, PkiError, NftError) as error:
        print(f"dicomgate: error: {error}", file=sys.stderr)
        sys.exit(WRONG)
    except Exception:
        traceback.print_exc()
        print("dicomgate: internal error; the lines above say where", file=sys.stderr)
        sys.exit(BUG)
