"""The command line and the composition root: one function per command, one file per group of commands.

Exit codes: 0 done, 1 the answer is no (denied, problems found), 2 the command or the configuration is wrong, 4 a bug.
"""

import sys
import traceback
from typing import Annotated

import typer

from dicomgate import __version__
from dicomgate.cli.assess import assess
from dicomgate.cli.audit import audit
from dicomgate.cli.break_glass import break_glass
from dicomgate.cli.login import login
from dicomgate.cli.pki import pki
from dicomgate.cli.plan import plan
from dicomgate.cli.rules import check, explain, test_policy
from dicomgate.cli.run import run
from dicomgate.cli.segment import segment
from dicomgate.cli.speech import BUG, WRONG, say
from dicomgate.cli.trail import check_proof, print_public_key, prove, rotate_key, verify
from dicomgate.cli.user import user
from dicomgate.cli.watch import watch
from dicomgate.config.problem import ConfigurationError
from dicomgate.pki.problem import PkiError
from dicomgate.segment.kernel import NftError
from dicomgate.store.database import StoreError

app = typer.Typer(
    help="A DICOM-aware reverse proxy in front of an archive. It refuses by default.",
    no_args_is_help=True,
    rich_markup_mode=None,  # FILE:KEY: is no picture of a key
    pretty_exceptions_enable=False,
    add_completion=False,
)


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


@app.command()
def version() -> None:
    """Print the version."""
    say([__version__])


app.command()(run)
app.command()(check)
app.command()(explain)
app.command("test-policy")(test_policy)
app.command("break-glass")(break_glass)
app.command()(watch)
app.command()(login)
app.command()(assess)
app.command()(plan)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the working directory.")] = False,
) -> None:
    """An embedded archive, a gate and real clients: what passes, what is refused, and why."""
    from dicomgate.demo.scenario import run_demo  # noqa: PLC0415 - a toolkit and its dictionary, for this command only

    raise typer.Exit(run_demo(keep=keep))


audit.command()(verify)
audit.command()(prove)
audit.command("check-proof")(check_proof)
audit.command("public-key")(print_public_key)
audit.command("rotate-key")(rotate_key)
app.add_typer(audit, name="audit")
app.add_typer(pki, name="pki")
app.add_typer(user, name="user")
app.add_typer(segment, name="segment")
