"""What a detector concludes, as values: findings, whom they are about, and how far an answer may go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType

LONGEST_TEXT = 64
"""Characters of anything from outside that a finding repeats."""
LONGEST_SENTENCE = 500


class Severity(StrEnum):
    """How bad it would be if it were true."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return tuple(Severity).index(self)


class Rung(IntEnum):
    """The ladder of answers. Each step hurts more if the finding was wrong."""

    LOG = 0
    """A record, nothing more."""
    ALERT = 1
    """And people are told."""
    DELAY = 2
    """New connections from the address are held for some seconds before they are read."""
    CAP = 3
    """New associations are refused (2/3/2) while others of the party are open."""
    REFUSE = 4
    """New connections or associations are refused; running ones go on."""
    BAN = 5
    """As REFUSE, and running associations are aborted."""

    @property
    def word(self) -> str:
        """The word used in the configuration and in records."""
        return self.name.lower()


class SubjectKind(StrEnum):
    """What kind of party a finding or a ban is about."""

    ADDRESS = "address"
    AE_TITLE = "ae_title"
    USER = "user"
    CERTIFICATE = "certificate"
    PEER = "peer"
    ARCHIVE = "archive"
    CHANNEL = "channel"
    GATE = "gate"


BANNABLE = (SubjectKind.ADDRESS, SubjectKind.AE_TITLE, SubjectKind.USER, SubjectKind.CERTIFICATE)
"""Who can be recognised at the door or at the association. Archives, peers and channels are the administrator's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom it is about. `value` is as records have it: an address, a calling AE title, a user, a SHA-256, a name."""

    kind: SubjectKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.value}"


NO_EVIDENCE: Mapping[str, int | float | str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Finding:
    """One conclusion. Times are seconds since 1970.

    `target` is whom an answer may hit: never somebody who was only named by an unproven stranger. None: nobody.
    `guess` says that the threshold is not learned from this site yet.
    """

    detector: str
    severity: Severity
    technique: str
    subject: Subject
    text: str
    first: float
    last: float
    target: Subject | None = None
    address: str | None = None
    calling_ae_title: str | None = None
    evidence: Mapping[str, int | float | str] = field(default_factory=lambda: NO_EVIDENCE)
    guess: bool = False


def shown(text: str, longest: int = LONGEST_TEXT) -> str:
    """Anything from outside, fit for a sentence: printable ASCII, bounded."""
    clean = "".join(c if " " <= c <= "~" else "?" for c in text[:longest])
    return clean if len(text) <= longest else f"{clean}..."
