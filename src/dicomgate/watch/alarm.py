"""Records of a watcher in; what the gate's own detectors make of them, as records of findings, out. Pure.

A watcher cannot answer: every detector that would act only simulates, and the record says what it would have done.
"""

from collections.abc import Callable
from dataclasses import replace

from dicomgate.audit.record import Record
from dicomgate.detect.ban import Spared
from dicomgate.detect.guard import Guard
from dicomgate.detect.response import Responder, finding_record
from dicomgate.detect.settings import DetectSettings, RuleMode


class Alarm:
    """`found` takes the record of each finding. A detector that raises is switched off, the others go on."""

    def __init__(self, settings: DetectSettings, spared: Spared, found: Callable[[Record], None]) -> None:
        settings = only_simulating(settings)
        self.guard = Guard(settings)
        self._responder = Responder(settings, spared, _no_ban)
        self._found = found

    def see(self, record: Record) -> None:
        """What every detector concludes from this record is told. Its time is that of the capture."""
        for finding in self.guard.see(record):
            self._found(finding_record(self._responder.answer(finding, finding.last), finding.last))


def only_simulating(settings: DetectSettings) -> DetectSettings:
    """The same settings, but that nothing acts."""
    rules = {
        name: replace(rule, mode=RuleMode.SIMULATE) if rule.mode is RuleMode.RESPOND else rule
        for name, rule in settings.rules.items()
    }
    mode = RuleMode.SIMULATE if settings.mode is RuleMode.RESPOND else settings.mode
    return replace(settings, mode=mode, rules=rules)


def _no_ban() -> str:
    raise RuntimeError("a watcher holds nobody off")
