"""Where passphrases come from: a file or a terminal in; bytes that are kept nowhere out. Never an argument."""

import getpass
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dicomgate.pki import files
from dicomgate.pki.problem import PkiError

SHORTEST = 12
"""Whoever has an encrypted key can try passphrases at leisure; the key derivation of PKCS#8 is not slow."""
LONGEST = 1024

Ask = Callable[[str], bytes]
"""Called with what the passphrase is for, and only if one is needed."""


def asking(file: Path | None, option: str = "--passphrase-file") -> Ask:
    """The passphrase of a key that exists: from the file if there is one, or else from the terminal."""
    return partial(_existing, file, option)


def choosing(file: Path | None, option: str = "--passphrase-file") -> Ask:
    """A new passphrase: from the file, or twice from the terminal."""
    return partial(_new, file, option)


def _existing(file: Path | None, option: str, purpose: str) -> bytes:
    return _from_file(file) if file else _typed(f"Passphrase of {purpose}: ", option)


def _new(file: Path | None, option: str, purpose: str) -> bytes:
    found = _from_file(file) if file else _typed(f"New passphrase for {purpose}: ", option)
    if len(found) < SHORTEST:
        raise PkiError(
            str(file or option), f"expected a passphrase of at least {SHORTEST} bytes", "some random words are good"
        )
    if file is None and found != _typed("The same again: ", option):
        raise PkiError(option, "the two passphrases differ", "type it again")
    return found


def _from_file(file: Path) -> bytes:
    data = files.read_secret(file)
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if not line or len(line) > LONGEST or b"\n" in line or b"\0" in line:
        raise PkiError(str(file), f"expected one line of 1 to {LONGEST} bytes", "the passphrase alone, nothing else")
    return line


def _typed(prompt: str, option: str) -> bytes:
    if not sys.stdin.isatty():
        raise PkiError(option, "a passphrase is needed, and there is no terminal to ask on", f"give {option} FILE")
    return getpass.getpass(prompt).encode()
