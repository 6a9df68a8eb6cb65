"""Many targets: a list in, an assessment out. Several hosts at a time, and never more than one connection to a host.

What is done is kept in a state file, one target a line, so that an interrupted run goes on where it was.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from dicomgate.assess.checks import CATALOGUE, CHECKS
from dicomgate.assess.document import DocumentError, read_target, target_document
from dicomgate.assess.model import SCHEMA, Check, Consent, Result, State, TargetReport, inconclusive
from dicomgate.assess.prober import Prober
from dicomgate.assess.scope import Resolved
from dicomgate.assess.survey import survey

MOST_HOSTS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """Something moved: a check begins at a target (`check_id`), or the target is done (`report`)."""

    target: str
    check_id: str = ""
    report: TargetReport | None = None


@dataclass(slots=True)
class Fleet:
    """One run. `probe_target` makes the prober of one target; it is called on the thread that uses it."""

    probe_target: Callable[[Resolved, str], Prober]
    consent: Consent
    called_ae_title: str
    """For targets that do not name one."""
    state: "StateFile | None" = None
    progress: Callable[[Progress], None] = lambda progress: None
    hosts_at_once: int = MOST_HOSTS_AT_ONCE
    clock: Callable[[], float] = time.time
    halted: threading.Event = field(default_factory=threading.Event)
    """Set it, and no further connection is made, if `probe_target` has told the prober (`Prober.halted`)."""

    def run(self, targets: Sequence[Resolved]) -> list[TargetReport]:
        """The reports in the order of the targets; those of an earlier run are taken from the state file."""
        reports = dict(self.state.done) if self.state is not None else {}
        waiting = _by_host(target for target in targets if str(target.named) not in reports)
        with ThreadPoolExecutor(max_workers=max(1, min(self.hosts_at_once, len(waiting) or 1))) as pool:
            running: set[Future[list[TargetReport]]] = set()
            hosts = iter(waiting)
            try:
                for host in hosts:
                    running.add(pool.submit(self._host, host))
                    if len(running) >= self.hosts_at_once:
                        running = self._collect(running, reports)
                while running:
                    running = self._collect(running, reports)
            except KeyboardInterrupt:
                self.halted.set()  # each target ends at its next connection, and reports what it knows
                while running:
                    running = self._collect(running, reports)
            except BaseException:
                self.halted.set()
                raise
        return [reports[str(target.named)] for target in targets if str(target.named) in reports]

    def _collect(
        self, running: set[Future[list[TargetReport]]], reports: dict[str, TargetReport]
    ) -> set[Future[list[TargetReport]]]:
        done, rest = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            for report in future.result():
                reports[report.target] = report
        return rest

    def _host(self, targets: Sequence[Resolved]) -> list[TargetReport]:
        """The targets of one host, one after the other."""
        reports = []
        for target in targets:
            name = str(target.named)
            called = target.named.called_ae_title or self.called_ae_title
            if target.endpoint is None:
                report = unresolved(name, called, self.clock())
            else:
                prober = self.probe_target(target, called)
                report = survey(prober, self.consent, progress=lambda check: self.progress(Progress(name, check)))  # noqa: B023 - called before the next turn
            # What was interrupted is asked again in the next run.
            if self.state is not None and not self.halted.is_set():
                self.state.add(report)
            self.progress(Progress(name, report=report))
            reports.append(report)
        return reports


def _by_host(targets: Iterable[Resolved]) -> list[list[Resolved]]:
    hosts: dict[str, list[Resolved]] = {}
    for target in targets:
        hosts.setdefault(target.endpoint.address if target.endpoint else str(target.named), []).append(target)
    return list(hosts.values())


def unresolved(name: str, called_ae_title: str, now: float) -> TargetReport:
    """The report of a name without an address."""
    why = "Its name has no address"
    return TargetReport(
        target=name,
        address=None,
        called_ae_title=called_ae_title,
        state=State.UNREACHABLE,
        why=why,
        tls=False,
        results=tuple(Result(each.check, inconclusive(f"Not tried: {why.lower()}")) for each in CATALOGUE),
        fingerprint=None,
        health=None,
        connections=0,
        started=now,
        finished=now,
    )


class StateError(Exception):
    """The state file cannot be used."""


class StateFile:
    """What an earlier run has finished. The first line says what kind of run it was; each further one is a target."""

    def __init__(self, path: Path, run: Mapping[str, object], checks: Mapping[str, Check] = CHECKS) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.done: dict[str, TargetReport] = {}
        head = json.dumps({"schema": SCHEMA, **run}, sort_keys=True)
        try:
            text = path.read_text("utf-8") if path.exists() else ""
            lines = text.splitlines()
            if lines and lines[0] != head:
                raise StateError(
                    f"{path}: belongs to another run: other consent, scope or options\n  hint: name another"
                )
            for line in lines[1:]:
                self._read(line, checks)
            if not lines:
                self._append(head)
            elif not text.endswith("\n"):
                self._append("")  # or the next line would be glued to what was being written when it was interrupted
        except OSError as error:
            raise StateError(
                f"{path}: cannot be used: {error.strerror}\n  hint: name a file that can be written"
            ) from None

    def _read(self, line: str, checks: Mapping[str, Check]) -> None:
        try:
            report = read_target(json.loads(line), checks)
        except (DocumentError, KeyError, TypeError, ValueError):
            return  # the line that was being written when the run was interrupted: its target is asked again
        self.done[report.target] = report

    def add(self, report: TargetReport) -> None:
        """Durable when it returns."""
        with self._lock:
            self._append(json.dumps(target_document(report)))

    def _append(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
