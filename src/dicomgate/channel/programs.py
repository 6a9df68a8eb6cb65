"""Other programs run to their end: arguments in, their output or ChannelError out. Never a shell."""

import subprocess
from collections.abc import Sequence

from dicomgate.channel.problem import ChannelError

LOOKING, CHANGING = 2.0, 20.0
"""Seconds for a program that only tells, and for one that changes something."""


def run(arguments: Sequence[str], *, text: str = "", seconds: float = CHANGING) -> str:
    """What it printed. ChannelError holds its last words; no argument may be a secret."""
    program = arguments[0]
    try:
        done = subprocess.run(  # noqa: S603 - words of the configuration, each judged before; no shell
            list(arguments), input=text, capture_output=True, text=True, timeout=seconds, check=False, errors="replace"
        )
    except FileNotFoundError:
        raise ChannelError(f"the program {program} is not installed", f"install what brings {program}") from None
    except OSError as error:
        raise ChannelError(f"{program} cannot be run: {error.strerror}", "check permissions") from None
    except subprocess.TimeoutExpired:
        raise ChannelError(f"{program} did not end within {seconds:g} s", "look for what it waits for") from None
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-200:]
        raise ChannelError(f"{' '.join(arguments[:3])} failed: {words}", "is this root, or a user with CAP_NET_ADMIN?")
    return done.stdout
