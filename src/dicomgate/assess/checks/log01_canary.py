"""LOG-01: does anybody notice? One request under a title that stands out, then a look into a log of the site."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from dicomgate.assess.checks.reading import refused_in_tls, saw, spoke_dicom
from dicomgate.assess.dialogue import Answer
from dicomgate.assess.model import (
    Check,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure
from dicomgate.assess.proposal import Proposal

LOOK_EVERY = 1.0
CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    canary: str
    answer: Answer
    detected_after: float | None
    """Seconds; None when it did not appear."""
    waited: float


def probe(prober: Prober) -> Seen | Judgement:
    canary = f"DGCANARY-{secrets.randbelow(10**6):06d}"
    log = prober.inputs.watch
    start = _size(log) if log is not None else 0
    answer = prober.ask(Proposal(calling=canary))
    if (skip := refused_in_tls(answer)) is not None:
        return skip
    if log is None:
        why = f"The canary {canary} was sent: look for it in your log or SIEM, or name the log with --watch FILE"
        return skipped(SkipReason.INPUT, why)
    begun = prober.now()
    limit = prober.tempo.watch_seconds
    while True:
        passed_by = prober.now() - begun
        found, start = appears(log, canary, start)
        if found:
            return Seen(canary, answer, passed_by, passed_by)
        if passed_by >= limit:
            return Seen(canary, answer, None, passed_by)
        prober.heed()
        prober.sleep(min(LOOK_EVERY, limit - passed_by))


def appears(log: Path, canary: str, start: int) -> tuple[bool, int]:
    """Whether the word stands in the file from `start` on, and where to go on; a file that shrank begins anew."""
    wanted = canary.encode()
    if _size(log) < start:
        start = 0
    try:
        with log.open("rb") as file:
            file.seek(start)
            tail = b""
            while piece := file.read(CHUNK):
                if wanted in tail + piece:
                    return True, start
                tail = piece[-len(wanted) :]
            return False, max(start, file.tell() - len(wanted))
    except FileNotFoundError:
        return False, 0  # it may be rotated away at this moment, or come into being with the first alarm


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def judge(seen: Seen) -> Judgement:
    if not spoke_dicom(seen.answer):
        return inconclusive(f"The canary did not arrive: the target {saw(seen.answer)}", canary=seen.canary)
    if seen.detected_after is None:
        return failed(f"Nothing was logged within {seen.waited:.0f} s", canary=seen.canary)
    seconds = round(seen.detected_after, 1)
    return passed(f"It was logged after {seconds} s", canary=seen.canary, seconds=seconds)


PROCEDURE = Procedure(
    Check(
        "LOG-01",
        "an intruder is not noticed",
        (Requirement.R8,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "one A-ASSOCIATE-RQ with the calling title DGCANARY- and six digits; then reads the log that the user names",
        "the title does not appear in the log within 5 minutes",
        "Nobody can respond to what nobody sees.",
        "Send the gate's records to the SIEM, and alert on refused associations.",
    ),
    probe,
    judge,
)
