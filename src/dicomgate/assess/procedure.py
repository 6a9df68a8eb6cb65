"""How a check is done: a probe that does the I/O, and a judge that is a pure function of what the probe saw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from dicomgate.assess.model import Check, Judgement
from dicomgate.assess.prober import Prober

Seen = TypeVar("Seen")


@dataclass(frozen=True)  # no slots: typing notes the parameter on the instance
class Procedure(Generic[Seen]):
    """One check, ready to be run."""

    check: Check
    probe: Callable[[Prober], Seen | Judgement]
    """What it saw; a judgement at once where nothing can be tried (`skipped`)."""
    judge: Callable[[Seen], Judgement]
    anyhow: bool = False
    """It can conclude something of a target that does not answer in DICOM, too."""

    def run(self, prober: Prober) -> Judgement:
        seen = self.probe(prober)
        return seen if isinstance(seen, Judgement) else self.judge(seen)
