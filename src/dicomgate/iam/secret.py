"""A secret that the configuration only names: a file or an environment variable in, the text out."""

import os
from dataclasses import dataclass
from pathlib import Path

LARGEST = 4096
"""Bytes of a secret. What is longer is another file, named by mistake."""


class SecretError(Exception):
    """Says where a secret was looked for; never what was found."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Read when it is needed, so that a new secret needs no restart. Exactly one of the two is set."""

    file: Path | None = None
    variable: str | None = None

    def read(self) -> str:
        """Without the line end that editors leave; SecretError when there is none."""
        return _clean(*self._found())

    def _found(self) -> tuple[bytes, str]:
        if self.file is None:
            name = self.variable or ""
            return os.environb.get(os.fsencode(name), b""), f"the environment variable {name}"
        try:
            with self.file.open("rb") as file:
                return file.read(LARGEST + 1), str(self.file)
        except OSError as error:
            raise SecretError(f"{self.file} cannot be read: {(error.strerror or 'no reason given').lower()}") from None


def _clean(raw: bytes, where: str) -> str:
    if len(raw) > LARGEST:
        raise SecretError(f"expected a secret of at most {LARGEST} bytes in {where}, came more")
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretError(f"expected UTF-8 text in {where}") from None
    if not text or not text.isprintable():
        raise SecretError(f"expected a secret on one line in {where}")
    return text
