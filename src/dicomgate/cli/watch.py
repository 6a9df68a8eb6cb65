"""`dicomgate watch`: who talks DICOM to whom on a mirror port or in a capture, and what of it looks like an attack."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.audit.record import Outcome, Record, iso_time
from dicomgate.cli.speech import DENIED, WRONG, AsJson, fail, say
from dicomgate.config.load import Configuration, load
from dicomgate.detect.ban import Spared
from dicomgate.detect.model import Severity
from dicomgate.detect.settings import DetectSettings
from dicomgate.gate.settings import GateSettings
from dicomgate.sinks.alerts import Alerts, AlertsError, sender
from dicomgate.watch.alarm import Alarm
from dicomgate.watch.capture import CaptureError, Frame, Interface, read_file
from dicomgate.watch.parties import Parties
from dicomgate.watch.surroundings import Surroundings
from dicomgate.watch.watcher import Watcher

_KEEP_EVERY = 600.0
"""Seconds between two times at which what was learned is kept."""
_ALERTS_WAIT = 30.0
"""Seconds that receivers of alerts get in the end."""


class FailOn(StrEnum):
    """Findings of which severity make the exit status 1."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    NEVER = "never"


class _Findings:
    """Says each finding at once, and hands it to whoever is to be alerted."""

    def __init__(self, alerts: tuple[Alerts, ...], *, as_json: bool) -> None:
        self.severities: Counter[Severity] = Counter()
        self._alerts = alerts
        self._as_json = as_json

    def take(self, record: Record) -> None:
        self.severities[Severity(str(record.detail["severity"]))] += 1
        say([json.dumps(record.as_json()) if self._as_json else _line(record)])
        for each in self._alerts:
            each.offer((record,))

    def close(self) -> None:
        """What waits for its message leaves now."""
        for each in self._alerts:
            each.close(_ALERTS_WAIT)

    def reach(self, fail_on: FailOn) -> bool:
        return fail_on is not FailOn.NEVER and any(
            severity.rank >= Severity(fail_on.value).rank for severity in self.severities
        )


def watch(
    interface: Annotated[str | None, typer.Option(metavar="NAME", help="Listen here; needs CAP_NET_RAW.")] = None,
    pcap: Annotated[Path | None, typer.Option(metavar="FILE", help="Read this capture (pcap, pcapng).")] = None,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", metavar="FILE", help="Compare with this configuration.")
    ] = None,
    gate: Annotated[
        list[str] | None, typer.Option(metavar="IP", help="An address of the gate; may be repeated.")
    ] = None,
    port: Annotated[list[int] | None, typer.Option(help="TLS on this port is told too; may be repeated.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Listen for so long; default: until Ctrl-C.")] = None,
    learned: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep here what is usual, from one watch to the next.")
    ] = None,
    alert: Annotated[bool, typer.Option(help="Tell findings to the sinks of kind alert, too.")] = False,
    fail_on: Annotated[FailOn, typer.Option(help="Exit with 1 for findings from this severity on.")] = FailOn.NEVER,
    as_json: AsJson = False,
) -> None:
    """Who talks DICOM to whom, in clear or encrypted, who goes past the gate, and what the detectors find."""
    if (interface is None) == (pcap is None):
        fail("expected --interface or --pcap, one of them", "for instance dicomgate watch --pcap day.pcap")
    configuration = None if config is None else load(config, files=False)
    settings = None if configuration is None else configuration.settings
    around = Surroundings(None if settings is None else settings.rules, frozenset([*(gate or ()), *_own(settings)]))
    findings = _Findings(_alerts(configuration) if alert else (), as_json=as_json)
    alarm = Alarm(
        DetectSettings() if settings is None else settings.detect,
        Spared() if settings is None else Spared.of(settings.rules),
        findings.take,
    )
    if learned is not None:
        _recall(alarm, learned)
    watcher = Watcher(frozenset(port or ()), surroundings=around, tell=alarm.see)
    parties = Parties(around)
    dropped, problem = 0, None
    try:
        if pcap is not None:
            _take(read_file(pcap), watcher, parties)
        elif interface is not None:
            dropped = _listen(interface, seconds, watcher, parties, alarm, learned)
    except CaptureError as error:
        problem = error
    parties.add(watcher.finish())
    rows = parties.rows()
    say(json.dumps(row.as_json()) if as_json else row.line() for row in rows)
    findings.close()
    if learned is not None:
        _keep(alarm, learned)
    _tell_totals(watcher, parties, alarm, findings, dropped)
    if problem is not None:
        print(f"dicomgate: error: {problem}\n  hint: what came before is told above", file=sys.stderr)
        raise typer.Exit(WRONG)
    if findings.reach(fail_on):
        raise typer.Exit(DENIED)


def _tell_totals(watcher: Watcher, parties: Parties, alarm: Alarm, findings: _Findings, dropped: int) -> None:
    totals = watcher.totals
    told = {
        "frames": totals.frames,
        "not TCP": totals.unread,
        "connections": totals.connections,
        "dropped by the kernel": dropped,
        "connections forgotten": totals.forgotten,
        "bytes not seen": totals.lost_bytes,
        "parties beyond the table": parties.beyond,
        "keys forgotten by detectors": sum(alarm.guard.evicted.values()),
        "findings": findings.severities.total(),
    }
    print("; ".join(f"{name}: {count}" for name, count in told.items()), file=sys.stderr)
    for trouble in alarm.guard.take_troubles():
        print(f"detection: {trouble.detector or 'all'}: {trouble.reason} ({trouble.count})", file=sys.stderr)


def _line(record: Record) -> str:
    detail = record.detail
    done = str(detail["answer"])
    if record.outcome is Outcome.WOULD_REFUSE:
        done = f"{done}; would {detail['simulated']}"
    parts = ["FINDING", iso_time(record.time), detail["severity"], record.rule, record.reason, f"[{done}]"]
    if detail.get("guess"):
        parts.append("(a guess)")
    return "  ".join(map(str, parts))


def _own(settings: GateSettings | None) -> Iterator[str]:
    for listener in settings.listeners if settings is not None else ():
        if listener.bind.host not in ("0.0.0.0", "::"):  # noqa: S104 - any address is none to compare with
            yield listener.bind.host


def _alerts(configuration: Configuration | None) -> tuple[Alerts, ...]:
    if configuration is None or not configuration.alerts:
        fail("--alert expects a configuration with a [[sink]] of kind alert", "see docs/howto/detection.md")
    try:
        return tuple(Alerts(each, sender(each), _alerts_troubled) for each in configuration.alerts)
    except AlertsError as error:
        fail(str(error), "see docs/howto/detection.md")


def _alerts_troubled(name: str, reason: str | None) -> None:
    state = "delivers again" if reason is None else f"cannot deliver: {reason}"
    print(f"sink {name}: {state}", file=sys.stderr)


def _recall(alarm: Alarm, file: Path) -> None:
    """A file that is not there is one that is to be made."""
    try:
        known = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        fail(f"{file}: {why}", "--learned expects a file that an earlier watch has written, or none")
    if not isinstance(known, dict):
        fail(f"{file}: expected a JSON object", "--learned expects a file that an earlier watch has written, or none")
    alarm.guard.recall(known)


def _keep(alarm: Alarm, file: Path) -> None:
    """In one step: a watch that is killed leaves the old one."""
    fresh = file.with_name(f"{file.name}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            json.dump(alarm.guard.memory(), out)
        fresh.replace(file)
    except OSError as error:
        print(f"dicomgate: error: {file}: {error.strerror}\n  hint: what was learned is not kept", file=sys.stderr)


def _take(frames: Iterator[Frame], watcher: Watcher, parties: Parties) -> None:
    for link, frame, at in frames:
        parties.add(watcher.frame(link, frame, at))


def _listen(
    name: str, seconds: float | None, watcher: Watcher, parties: Parties, alarm: Alarm, learned: Path | None
) -> int:
    """Until the time is over or somebody interrupts; how many frames the kernel had no room for."""
    source = Interface(name)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: source.stop())
    print(f"listening on {name}", file=sys.stderr, flush=True)
    kept = time.monotonic()
    for frame in source.frames(None if seconds is None else time.monotonic() + seconds):
        if frame is not None:
            parties.add(watcher.frame(*frame))
        if learned is not None and time.monotonic() - kept > _KEEP_EVERY:
            kept = time.monotonic()
            _keep(alarm, learned)
    source.close()
    return source.dropped
