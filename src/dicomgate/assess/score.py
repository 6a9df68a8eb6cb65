"""How good is it? One target's results in; points of five parts, caps and a grade out. Pure.

The rubric stands in docs/reference/score.md. `RUBRIC` is its version: the same results have the same score as long as
it is the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from dicomgate.assess.model import Outcome, Result, Severity, SkipReason, State, TargetReport

RUBRIC = 1
"""Version of the rubric; another number whenever the same results would have another score."""


class Section(StrEnum):
    """The five parts of a score."""

    EXPOSURE = "exposure"
    ADMISSION = "admission"
    IDENTITY = "identity"
    TRANSPORT = "transport"
    AUTHORIZATION = "authorization"


POINTS = {
    Section.EXPOSURE: 25,
    Section.ADMISSION: 20,
    Section.IDENTITY: 15,
    Section.TRANSPORT: 20,
    Section.AUTHORIZATION: 20,
}
"""What each part is worth; 100 together."""

SECTIONS = {
    "EXP": Section.EXPOSURE,
    "FPR": Section.EXPOSURE,
    "LOG": Section.EXPOSURE,
    "ADM": Section.ADMISSION,
    "ROB": Section.ADMISSION,
    "IDN": Section.IDENTITY,
    "TLS": Section.TRANSPORT,
    "AZ": Section.AUTHORIZATION,
}
"""The letters of a check's ID → where it counts."""

PENALTIES = {
    Severity.CRITICAL: 1.0,
    Severity.HIGH: 0.5,
    Severity.MEDIUM: 0.25,
    Severity.LOW: 0.1,
    Severity.INFO: 0.0,
}
"""What a finding takes from its part, as a share of the part."""

UNKNOWN_COSTS = 0.5
"""What could not be told counts half: neither praise nor blame."""
REFUSED_COSTS = 0.2
"""What could not be asked because the asker was refused before: the door is closed, what lies behind was not seen."""

GRADES = (("A", 90), ("B", 75), ("C", 60), ("D", 40), ("F", 0))
"""Grade and the least points for it."""


@dataclass(frozen=True, slots=True)
class SectionScore:
    """One part of a score."""

    section: Section
    points: float
    """Rounded to one decimal."""
    of: int
    findings: tuple[str, ...]
    """IDs of the checks that failed."""
    unknown: tuple[str, ...]
    """IDs of checks that could not tell, or were not tried."""
    known: int
    """How many checks could tell."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A finding that no other virtue makes up for."""

    points: int
    """The most that is left."""
    checks: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """One target's. `before_cap` is what it would have without caps, so that progress below a cap can be seen."""

    sections: tuple[SectionScore, ...]
    before_cap: int
    caps: tuple[Cap, ...]
    """The lowest first; empty when nothing is capped."""
    points: int
    grade: str
    """`A` to `F`."""
    complete: bool
    """Every check that has a meaning for the target could tell."""

    @property
    def label(self) -> str:
        """The grade, with a question mark when something is not known."""
        return self.grade if self.complete else f"{self.grade}?"


def score(report: TargetReport) -> Score | None:
    """None where nothing can be said: no DICOM was spoken, or what spoke accepts everything."""
    if report.state not in (State.ASSESSED, State.STOPPED):
        return None
    return score_of(report.results)


def score_of(results: Iterable[Result]) -> Score:
    """The same for results by themselves."""
    relevant = [result for result in results if result.judgement.skipped is not SkipReason.NOT_APPLICABLE]
    sections = tuple(_section(section, relevant) for section in Section)
    before = round(sum(section.points for section in sections))
    caps = tuple(sorted(_caps(relevant, sections), key=lambda cap: cap.points))
    capped = min([before, *(cap.points for cap in caps)])
    return Score(
        sections,
        before,
        tuple(cap for cap in caps if cap.points < before),
        capped,
        next(grade for grade, least in GRADES if capped >= least),
        not any(section.unknown for section in sections),
    )


def _section(section: Section, results: Iterable[Result]) -> SectionScore:
    mine = [result for result in results if section_of(result) is section]
    failed = [result for result in mine if result.outcome is Outcome.FAIL]
    unknown = [result for result in mine if result.outcome in (Outcome.INCONCLUSIVE, Outcome.SKIPPED)]
    weights = sum(_weight(result) for result in mine)
    doubt = sum(_weight(result) * _doubt(result) for result in unknown) / weights if weights else UNKNOWN_COSTS
    share = 1.0 - sum(PENALTIES[result.severity] for result in failed) - doubt
    return SectionScore(
        section,
        round(POINTS[section] * max(0.0, share), 1),
        POINTS[section],
        tuple(result.check.id for result in failed if result.severity > Severity.INFO),
        tuple(result.check.id for result in unknown),
        len(mine) - len(unknown),
    )


def section_of(result: Result) -> Section:
    return SECTIONS[result.check.part]


def _weight(result: Result) -> int:
    return int(result.check.severity)


def _doubt(result: Result) -> float:
    return REFUSED_COSTS if result.judgement.skipped is SkipReason.REFUSED_BEFORE else UNKNOWN_COSTS


def _caps(results: Iterable[Result], sections: Iterable[SectionScore]) -> Iterator[Cap]:
    failed = {result.check.id: result.severity for result in results if result.outcome is Outcome.FAIL}
    if open_to_all := tuple(check for check in ("AZ-03", "AZ-11") if check in failed):
        yield Cap(39, open_to_all, "anybody may list patients or store images, without saying who he is")
    if failed.get("EXP-02") is Severity.CRITICAL:
        yield Cap(59, ("EXP-02",), "it accepts associations from the Internet")
    critical = tuple(check for check, severity in failed.items() if severity is Severity.CRITICAL)
    if critical:
        yield Cap(59, critical, "a critical finding")
    if "TLS-01" in failed:
        yield Cap(74, ("TLS-01",), "patient data travels in clear")
    if blind := tuple(section.section for section in sections if not section.known):
        yield Cap(89, (), f"nothing is known of {', '.join(blind)}")
