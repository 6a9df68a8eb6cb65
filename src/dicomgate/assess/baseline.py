"""An earlier assessment and a new one in; what is new, fixed, unchanged, or was not looked at again, out. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from dicomgate.assess.model import Assessment, Finding, Outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """Findings by what became of them. `new` and `unchanged` are of the new assessment, the others of the old one."""

    since: float
    """When the old one was started; seconds since 1970."""
    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    """The same check of the same target now passes."""
    unchanged: tuple[Finding, ...]
    unseen: tuple[Finding, ...]
    """Nobody can say: the target or the check is not in the new one, or could not tell this time."""

    def state_of(self, finding: Finding) -> str:
        """`new` or `unchanged`, for a finding of the new assessment."""
        return "new" if finding.fingerprint in {each.fingerprint for each in self.new} else "unchanged"


def compare(old: Assessment, new: Assessment) -> Comparison:
    """Target by target; where each has one target, these two: a gate has another address than the archive behind it."""
    alone = len(old.targets) == len(new.targets) == 1
    before = {_key(finding, alone): finding for finding in old.findings}
    now = {_key(finding, alone): finding for finding in new.findings}
    passing = {_key(finding, alone) for finding in _passing(new)}
    gone = {key: finding for key, finding in before.items() if key not in now}
    return Comparison(
        old.started,
        tuple(finding for key, finding in now.items() if key not in before),
        tuple(finding for key, finding in gone.items() if key in passing),
        tuple(finding for key, finding in now.items() if key in before),
        tuple(finding for key, finding in gone.items() if key not in passing),
    )


def _key(finding: Finding, alone: bool) -> str:
    return finding.result.check.id if alone else finding.fingerprint


def _passing(assessment: Assessment) -> Iterator[Finding]:
    for report in assessment.targets:
        for result in report.results:
            if result.outcome is Outcome.PASS:
                yield Finding(report.target, result)
