"""Where a new passcode comes from: a file, standard input or a terminal; never an argument, which everybody can see."""

import getpass
import stat
import sys
from pathlib import Path

from dicomgate.cli.speech import fail

LARGEST = 4096
"""Bytes that are read; far more than a passcode may have."""


def new_passcode(file: Path | None, user: str) -> str:
    """The one line of the file (`-`: of standard input), or what is typed twice."""
    if file is not None:
        return _line(file)
    if not sys.stdin.isatty():
        fail("a passcode is needed, and there is no terminal to ask on", "give --passcode-file FILE, or - for stdin")
    try:
        first = getpass.getpass(f"New passcode for {user}: ")
        again = getpass.getpass("The same again: ")
    except (EOFError, UnicodeDecodeError):
        fail("no passcode was typed", "type it, and then Enter")
    if first != again:
        fail("the two passcodes differ", "type it again")
    return first


def _line(file: Path) -> str:
    if str(file) == "-":
        where, data = "standard input", sys.stdin.buffer.read(LARGEST + 1)
    else:
        where, data = str(file), _content(file)
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    try:
        passcode = line.decode("utf-8")
    except UnicodeDecodeError:
        passcode = ""
    if not passcode or len(data) > LARGEST or "\n" in passcode:
        fail(f"{where}: expected one line of UTF-8 text", "the passcode alone, nothing else")
    return passcode


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            mode = file.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                fail(
                    f"{file}: others can read or change this secret (mode {stat.S_IMODE(mode):04o})",
                    "chmod 600 on it, and choose another passcode if others may have read it",
                )
            return opened.read(LARGEST + 1)
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror or error}", "is the path right?")
