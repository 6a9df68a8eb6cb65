"""What an administrator may change about detection, as frozen values; config/ makes them from the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from dicomgate.detect.baseline import LEARN
from dicomgate.detect.model import Rung


class RuleMode(StrEnum):
    """Whether a detector's findings have consequences."""

    OFF = "off"
    """It does not look."""
    SIMULATE = "simulate"
    """It finds and alerts; what it would do beyond that is recorded, not done."""
    RESPOND = "respond"
    """It acts."""


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One detector's own settings. None: as the detector has it, or (mode) as [detect] has it."""

    mode: RuleMode | None = None
    action: Rung | None = None
    threshold: float | None = None
    window: float | None = None
    duration: float | None = None


AS_IS = RuleSettings()
NO_RULES: Mapping[str, RuleSettings] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """`[detect]`. Honeytokens are names that nobody has a reason to use."""

    mode: RuleMode = RuleMode.SIMULATE
    at_most: Rung = Rung.BAN
    learn: float = LEARN
    delay: float = 3.0
    """Seconds that a connection is held on the rung `delay`."""
    cap: int = 1
    """Associations that a party may have open at a time on the rung `cap`."""
    firewall: bool = False
    """Whether the packet filter is told of banned addresses."""
    rules: Mapping[str, RuleSettings] = field(default_factory=lambda: NO_RULES)
    honey_titles: frozenset[str] = frozenset()
    honey_users: frozenset[str] = frozenset()
    honey_instances: frozenset[str] = frozenset()

    def rule(self, detector: str) -> RuleSettings:
        return self.rules.get(detector, AS_IS)

    def mode_of(self, detector: str) -> RuleMode:
        return self.rule(detector).mode or self.mode
