"""A patient between the data set that names one and the audit message that may: the contract of those who conceal.

A Patient ID in the clear comes in from a data set and goes out in an audit message, and stands nowhere in between: a
record has a keyed pseudonym and, where a repository is to be told, the Patient ID sealed with the same key.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from dicomgate.audit.record import Record


@dataclass(frozen=True, slots=True)
class PatientId:
    """(0010,0020) in the clear, with its issuer (0010,0021) where it is known. Does not show itself."""

    value: str = field(repr=False)
    issuer: str = field(default="", repr=False)


class Concealed(NamedTuple):
    """What records have of a patient; see audit/pseudonym.py. `sealed` is None when no repository is to be told."""

    pseudonym: str
    sealed: str | None


Conceal = Callable[[PatientId], Concealed]
"""A Patient ID in, what a record may have of it out."""
Reveal = Callable[[Record], PatientId | None]
"""The Patient ID that is sealed in a record; None when there is none, or its key is gone."""


def reveal_nobody(_: Record) -> PatientId | None:
    """For a repository that is not to be told."""
    return None
