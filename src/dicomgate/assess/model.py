"""What an assessment consists of: checks, what each concluded about a target, and why. Values only, no I/O.

In: what checks conclude. Out: values that `document.py` turns into JSON and reports turn into pages. Evidence holds
numbers, flags and words that this program or the standard made, never a value out of a response data set.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

SCHEMA = "dicomgate-assessment-1"
"""Version of the JSON document; another number when a reader of the old one would misread the new one."""

Fact = bool | int | float | str
"""One piece of evidence. Text is made here, or is a protocol's own word such as a UID or a version name."""


class Requirement(StrEnum):
    """The recommendations of the advisory (Aplite, 2023)."""

    R0 = "R0"
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"
    R5 = "R5"
    R6 = "R6"
    R7 = "R7"
    R8 = "R8"

    @property
    def wording(self) -> str:
        return _REQUIREMENTS[self]


_REQUIREMENTS = {
    Requirement.R0: "Is the exposure needed at all",
    Requirement.R1: "User identity with an IAM behind it",
    Requirement.R2: "Source-address allowlist",
    Requirement.R3: "AE-title allowlist at association",
    Requirement.R4: "Authenticating streaming reverse proxy",
    Requirement.R5: "Site-to-site channel",
    Requirement.R6: "TLS",
    Requirement.R7: "Network segmentation",
    Requirement.R8: "Logging, monitoring, response",
}


class Severity(IntEnum):
    """How bad a finding is. Comparable: `--fail-on medium` means MEDIUM and above."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> "Severity":
        """From the word of `--fail-on` and of the JSON document; KeyError for another."""
        return cls[word.upper()]


class Mode(IntEnum):
    """What a check does to the target, mildest first. What is above NEGOTIATION needs consent (`Consent`)."""

    PASSIVE = 0
    """Sends nothing; reads a file the user names."""
    NEGOTIATION = 1
    """Associations, C-ECHO, TLS handshakes."""
    QUERY = 2
    """Questions built to match nothing."""
    COUNT = 3
    """Questions that match; answers are counted while they stream past, and cancelled."""
    INTRUSIVE = 4
    """Writes synthetic objects, holds connections, sends malformed PDUs."""
    LAB = 5
    """Overwrites its own object, makes false workflow messages: never on a system that serves patients."""

    def __str__(self) -> str:
        return self.name.lower()


class Part(StrEnum):
    """The catalogue's sections; the first three letters of a check's ID."""

    EXPOSURE = "EXP"
    ADMISSION = "ADM"
    IDENTITY = "IDN"
    TRANSPORT = "TLS"
    AUTHORIZATION = "AZ"
    ROBUSTNESS = "ROB"
    FINGERPRINT = "FPR"
    LOGGING = "LOG"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the catalogue: what is asked, how, and what a finding means. The same for every target."""

    id: str
    """As in the catalogue: `EXP-01` … `LOG-01`. Never reused."""
    title: str
    """The finding in a few words, as a fault: "any called AE title is accepted"."""
    requirements: tuple[Requirement, ...]
    severity: Severity
    """Of a finding, unless its judgement says another."""
    mode: Mode
    sends: str
    """What the target sees."""
    proves: str
    """What makes it a finding."""
    risk: str
    """What it means, for a reader who is no engineer."""
    fix: str
    """What to do first."""

    @property
    def part(self) -> Part:
        return Part(self.id.partition("-")[0])


class Outcome(StrEnum):
    """What a check concluded. Only `pass` means that something was looked at and found in order."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - an outcome, not a password
    INCONCLUSIVE = "inconclusive"
    """It was tried, and what came back proves neither."""
    SKIPPED = "skipped"
    """It was not tried."""


class SkipReason(StrEnum):
    """Why a check was not tried."""

    CONSENT = "consent"
    """Its mode needs a flag that was not given."""
    INPUT = "input"
    """It needs a file, a title, a certificate or a user that was not named."""
    TOOL = "tool"
    """It needs a program that is not installed."""
    NOT_APPLICABLE = "not_applicable"
    """It has no meaning for this target, such as TLS versions where there is no TLS."""
    REFUSED_BEFORE = "refused_before"
    """The target refuses this caller earlier, so what lies behind could not be asked."""
    SCOPE = "scope"
    """It would leave the scope."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact. `name` is a lower-case word with underscores, stable, for programs."""

    name: str
    value: Fact


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge concluded from what its probe saw. `why` is one sentence."""

    outcome: Outcome
    why: str
    evidence: tuple[Evidence, ...] = ()
    severity: Severity | None = None
    """Of this finding, where it differs from the check's."""
    skipped: SkipReason | None = None
    """Present if, and only if, the outcome is `skipped`."""

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.SKIPPED) is not (self.skipped is not None):
            raise ValueError("a skipped judgement has a reason, and no other has one")


def failed(why: str, severity: Severity | None = None, /, **facts: Fact) -> Judgement:
    """A finding."""
    return Judgement(Outcome.FAIL, why, evidence(**facts), severity)


def passed(why: str, /, **facts: Fact) -> Judgement:
    """Looked at and found in order."""
    return Judgement(Outcome.PASS, why, evidence(**facts))


def inconclusive(why: str, /, **facts: Fact) -> Judgement:
    """Tried, and proves neither."""
    return Judgement(Outcome.INCONCLUSIVE, why, evidence(**facts))


def skipped(reason: SkipReason, why: str) -> Judgement:
    """Not tried."""
    return Judgement(Outcome.SKIPPED, why, skipped=reason)


def evidence(**facts: Fact) -> tuple[Evidence, ...]:
    return tuple(Evidence(name, value) for name, value in facts.items())


@dataclass(frozen=True, slots=True)
class Result:
    """One check's judgement about one target."""

    check: Check
    judgement: Judgement

    @property
    def outcome(self) -> Outcome:
        return self.judgement.outcome

    @property
    def severity(self) -> Severity:
        """Of the finding: the judgement's own, or the check's."""
        return self.check.severity if self.judgement.severity is None else self.judgement.severity


@dataclass(frozen=True, slots=True)
class Finding:
    """A result that failed, with where."""

    target: str
    result: Result

    @property
    def fingerprint(self) -> str:
        """The same finding in two assessments has the same text: what a baseline compares."""
        return f"{self.result.check.id}@{self.target}"


class State(StrEnum):
    """How far an assessment of a target came."""

    ASSESSED = "assessed"
    UNREACHABLE = "unreachable"
    """No TCP connection, or its name has no address."""
    NOT_DICOM = "not_dicom"
    """Something answers, or stays silent, and never with a DICOM PDU."""
    STOPPED = "stopped"
    """Signs of distress, or a cap, ended it early."""
    INDISCRIMINATE = "indiscriminate"
    """It accepts what does not exist: probably a decoy, so that acceptance proves nothing."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the implementation class UID and version name say it is built with."""

    name: str
    version: str | None
    toolkit: bool
    """The names belong to a toolkit that other products embed; the product itself is not known."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Sub-items 52H and 55H of the A-ASSOCIATE-AC, and the product they belong to."""

    implementation_class_uid: str
    implementation_version_name: str | None
    product: Product | None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the target answered at the end as it did at the beginning."""

    at_start: str
    """How it answered the first request: a protocol's word such as `accepted` or `rejected 1/1/3`."""
    at_end: str | None
    """None when it was not asked again."""

    @property
    def unchanged(self) -> bool:
        return self.at_start == self.at_end


@dataclass(frozen=True, slots=True)
class TargetReport:
    """All that is known of one target."""

    target: str
    """`HOST:PORT` as the user wrote it."""
    address: str | None
    """The IP address it stands for; None when the name did not resolve."""
    called_ae_title: str
    state: State
    why: str
    """One sentence about `state`; empty when assessed."""
    tls: bool
    """DICOM was spoken over TLS."""
    results: tuple[Result, ...]
    """One for every check of the catalogue, in its order."""
    fingerprint: Fingerprint | None
    health: Health | None
    connections: int
    """TCP connections made to the target's host."""
    started: float
    """Seconds since 1970 (UTC)."""
    finished: float

    @property
    def findings(self) -> Iterator[Finding]:
        return (Finding(self.target, result) for result in self.results if result.outcome is Outcome.FAIL)

    def result(self, check_id: str) -> Result:
        """KeyError for an ID that the catalogue does not have."""
        for result in self.results:
            if result.check.id == check_id:
                return result
        raise KeyError(check_id)

    @property
    def incomplete(self) -> bool:
        """A check of the chosen modes could not tell, or a tool was missing, or the target was not assessed."""
        return self.state is not State.ASSESSED or any(
            result.outcome is Outcome.INCONCLUSIVE or result.judgement.skipped is SkipReason.TOOL
            for result in self.results
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user has allowed beyond negotiation. `lab` holds the targets whose name was typed."""

    count: bool = False
    intrusive: bool = False
    lab: frozenset[str] = frozenset()

    def covers(self, mode: Mode, target: str) -> bool:
        """Whether a check of this mode may be run against this target."""
        match mode:
            case Mode.PASSIVE | Mode.NEGOTIATION:
                return True
            case Mode.QUERY | Mode.COUNT:
                return self.count
            case Mode.INTRUSIVE:
                return self.intrusive
            case Mode.LAB:
                return target in self.lab


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What the scope said, as it is repeated in every report."""

    text: str
    contact: str
    window: str
    targets: tuple[str, ...]
    networks: tuple[str, ...]
    public_addresses: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """One run over one or many targets."""

    version: str
    """Of dicomgate."""
    authorisation: Authorisation
    consent: Consent
    targets: tuple[TargetReport, ...]
    started: float
    """Seconds since 1970 (UTC)."""
    finished: float

    @property
    def findings(self) -> Iterator[Finding]:
        return (finding for target in self.targets for finding in target.findings)

    def worst(self) -> Severity | None:
        return max((finding.result.severity for finding in self.findings), default=None)


class Exit(Enum):
    """Exit status of the command (docs/reference/commands.md)."""

    PASS = 0
    FINDINGS = 1
    INCOMPLETE = 3


def exit_status(assessment: Assessment, fail_on: Severity) -> Exit:
    """Findings come before incompleteness: what is open is open, whatever else could not be asked."""
    worst = assessment.worst()
    if worst is not None and worst >= fail_on:
        return Exit.FINDINGS
    if not assessment.targets or any(target.incomplete for target in assessment.targets):
        return Exit.INCOMPLETE
    return Exit.PASS
