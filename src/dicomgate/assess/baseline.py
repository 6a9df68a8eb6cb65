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
    before = {finding.fingerprint: finding for finding in old.findings}
    now = {finding.fingerprint: finding for finding in new.findings}
    passing = set(_passing(new))
    gone = [finding for name, finding in before.items() if name not in now]
    return Comparison(
        old.started,
        tuple(finding for name, finding in now.items() if name not in before),
        tuple(finding for finding in gone if finding.fingerprint in passing),
        tuple(finding for name, finding in now.items() if name in before),
        tuple(finding for finding in gone if finding.fingerprint not in passing),
    )


def _passing(assessment: Assessment) -> Iterator[str]:
    for report in assessment.targets:
        for result in report.results:
            if result.outcome is Outcome.PASS:
                yield Finding(report.target, result).fingerprint
