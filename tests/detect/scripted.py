"""Records written as lines, for playbooks that an administrator may read; and what is expected of a detector.

settings threshold=5 honey_titles=TRAP        settings of the detector and of [detect]
at 2026-11-02T08:00:00Z                       when the first record is made
x10 +20s association_refused refused address=10.1.9.9 called_ae_title=TRY{n}
                                              ten records, each 20 s after the one before; {n} counts them
expect D02 address 10.1.9.9                   the findings, in order; none when there is no such line
"""

import re
import shlex
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.detect.settings import DetectSettings, RuleMode, RuleSettings

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_STEP = re.compile(r"\+(-?\d+(?:\.\d+)?)(s|min|h|d)")
_NUMBERS = {"port": int, "bytes": int, "message_id": int, "duration": float}
_RULE = ("threshold", "window", "duration")


@dataclass
class Script:
    """One playbook."""

    records: list[Record] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    rule: dict[str, float] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def settings(self, detector: str) -> DetectSettings:
        own = RuleSettings(mode=RuleMode.RESPOND, **self.rule)
        return DetectSettings(rules={detector: own}, **self.values)


def read(path: Path) -> Script:
    script, now = Script(), datetime.fromisoformat("2026-11-02T08:00:00+00:00").timestamp()
    for line in path.read_text("utf-8").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        match words[0]:
            case "settings":
                for word in words[1:]:
                    name, _, value = word.partition("=")
                    if name in _RULE:
                        script.rule[name] = float(value)
                    elif name.startswith("honey"):
                        script.values[name] = frozenset(value.split(","))
                    else:
                        script.values[name] = float(value)
            case "at":
                now = datetime.fromisoformat(words[1]).timestamp()
            case "expect":
                script.expected.append(" ".join(words[1:]))
            case _:
                times = 1
                if re.fullmatch(r"x\d+", words[0]):
                    times = int(words.pop(0)[1:])
                step = _STEP.fullmatch(words[0])
                assert step is not None, f"{path.name}: {line!r} does not begin with a step such as +20s"
                for number in range(1, times + 1):
                    now += float(step[1]) * _UNITS[step[2]]
                    script.records.append(record(now, words[1:], number))
    return script


def record(time: float, words: list[str], number: int = 0) -> Record:
    """`EVENT OUTCOME FIELD=VALUE …`; `detail.KEY=VALUE` goes into the detail."""
    values: dict[str, Any] = {}
    detail: dict[str, object] = {}
    for word in words[2:]:
        name, _, text = word.replace("{n}", str(number)).partition("=")
        if name.startswith("detail."):
            detail[name[7:]] = int(text) if text.isdigit() else (True if text == "true" else text)
        else:
            assert name in FIELDS, name
            values[name] = _NUMBERS.get(name, str)(text)
    return Record(time, Event(words[0]), Outcome(words[1]), detail=detail, **values)


def scripts() -> list[Path]:
    return sorted((Path(__file__).parent / "playbooks").glob("*.txt"))
