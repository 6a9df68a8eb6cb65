"""What to do about a finding: a check and a kind of system in, what to change and the block to paste out.

The texts are data files, one for each kind of system (data/advice/*.toml); every check has a remedy in each.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files

from dicomgate.assess.model import Fingerprint

GATE = "dicomgate"


class Basis(StrEnum):
    """How sure we are of a block."""

    TESTED = "tested"
    """This project's tests load it, and assess what is said to be closed by it."""
    DOCUMENTATION = "documentation"
    """Its names were read in the product's own documentation or delivered configuration; it was not run."""
    UNVERIFIED = "unverified"
    """From general knowledge. Read the product's manual first."""

    @property
    def warning(self) -> str:
        """What to tell whoever wants to paste it; empty when tested."""
        return {
            Basis.TESTED: "",
            Basis.DOCUMENTATION: "Names from the product's documentation; not run by us.",
            Basis.UNVERIFIED: "Unverified: compare with the product's manual before use.",
        }[self]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What closes some findings in one kind of system."""

    product: str
    title: str
    """Of the product."""
    checks: tuple[str, ...]
    do: str
    effort: int
    """1 a setting, 2 a component, 3 work with other people."""
    basis: Basis
    file: str
    """Where the block belongs; `shell` for commands."""
    block: str


@lru_cache(maxsize=1)
def remedies() -> tuple[Remedy, ...]:
    """All of them: the gate's first, then by product."""
    folder = files("dicomgate.assess").joinpath("data", "advice")
    tables = [tomllib.loads(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".toml")]
    return tuple(
        Remedy(
            table["product"],
            table["title"],
            tuple(remedy["checks"]),
            remedy["do"],
            remedy["effort"],
            Basis(remedy["evidence"]),
            remedy["file"],
            remedy["block"].strip(),
        )
        for table in sorted(tables, key=lambda table: int(table["order"]))
        for remedy in table["remedy"]
    )


def remedies_for(check_id: str) -> tuple[Remedy, ...]:
    """One for each product, the gate's first."""
    return tuple(remedy for remedy in remedies() if check_id in remedy.checks)


def product_of(fingerprint: Fingerprint | None) -> str | None:
    """Which remedies fit the software that answered; None when it is not told. A toolkit's name is not enough."""
    if fingerprint is None or fingerprint.product is None or fingerprint.product.toolkit:
        return None
    name = fingerprint.product.name.lower()
    return next((product for product in _products() if product in name), None)


def _products() -> Iterable[str]:
    return dict.fromkeys(remedy.product for remedy in remedies())
