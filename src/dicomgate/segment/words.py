"""Names on their way into languages that give some characters a meaning. Pure.

config/ lets only letters, digits, dots, hyphens and underscores into names; a renderer does not rely on it.
"""

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:,()\[\]-]*")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class UnsafeNameError(ValueError):
    """A name holds what nft, a shell, Terraform or YAML would read as more than a name."""


def plain(text: str, longest: int) -> str:
    """A comment for any of the targets, cut to `longest` characters. UnsafeNameError when it holds anything else."""
    if not _PLAIN.fullmatch(text):
        raise UnsafeNameError("expected letters, digits, spaces and . _ : , ( ) [ ] - in a rule's name, came others")
    return text if len(text) <= longest else text[: longest - 3] + "..."


def label(name: str) -> str:
    """A name as it stands in a resource of Kubernetes, AWS or Azure. UnsafeNameError when it is none."""
    if not _NAME.fullmatch(name):
        raise UnsafeNameError("expected a name of letters, digits, dots, hyphens and underscores, came another text")
    return name


def interface(name: str) -> str:
    """The name of a network interface, of at most 15 characters. UnsafeNameError when it is none."""
    if not _INTERFACE.fullmatch(name):
        raise UnsafeNameError("expected the name of a network interface, came another text")
    return name


def unlike(name: str, changed: str) -> str:
    """The name as a target takes it: `changed`, with a hash when that is not the name, so that no two become one."""
    digest = hashlib.sha256(label(name).encode()).hexdigest()[:6]
    return name if changed == name else f"{changed}-{digest}"
