"""One run of `dicomgate assess`: targets in, an assessment out, or the rehearsal of one; progress to stderr."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress as Bar

from dicomgate import __version__
from dicomgate.assess.checks import CATALOGUE
from dicomgate.assess.dialogue import Patience
from dicomgate.assess.fleet import Fleet, Progress, StateError, StateFile
from dicomgate.assess.inputs import Inputs
from dicomgate.assess.line import Endpoint, SocketDialer
from dicomgate.assess.model import Assessment, Consent, Mode
from dicomgate.assess.prober import Prober, Target, Tempo
from dicomgate.assess.rehearsal import RehearsalClock, RehearsalDialer
from dicomgate.assess.scope import Resolved, Scope
from dicomgate.assess.survey import survey
from dicomgate.cli.speech import WRONG, say

INTRUSIVE_CONNECTIONS = 120
"""Connections to one target where intrusive checks are allowed; otherwise Tempo's 60."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is the same for every target of a run."""

    scope: Scope
    inputs: Inputs
    consent: Consent
    called_ae_title: str
    interval: float

    def carry_out(self, placed: Sequence[Resolved], hosts_at_once: int, state: Path | None) -> Assessment:
        started = time.time()
        halted = threading.Event()
        try:
            kept = None if state is None else StateFile(state, self._kind())
        except StateError as error:
            print(f"dicomgate: error: {error}", file=sys.stderr)
            raise typer.Exit(WRONG) from None
        with _progress(len(placed), len(CATALOGUE)) as heard:
            fleet = Fleet(
                lambda target, called: self._prober(target, called, halted),
                self.consent,
                self.called_ae_title,
                kept,
                heard,
                hosts_at_once,
                halted=halted,
            )
            reports = tuple(fleet.run(placed))
        if halted.is_set():
            print("interrupted: what was not asked is reported as such", file=sys.stderr)
        return Assessment(__version__, self.scope.facts(), self.consent, reports, started, time.time())

    def rehearse(self, placed: Sequence[Resolved]) -> None:
        """Every PDU a real run could send, once for each target: in clear, and what TLS adds."""
        for resolved in placed:
            if resolved.endpoint is None:
                print(f"{resolved.named}: its name has no address", file=sys.stderr)
                continue
            called = resolved.named.called_ae_title or self.called_ae_title
            for over_tls in (False, True):
                say([f"# {resolved.named}, {'over TLS' if over_tls else 'in clear'}"])
                clock = RehearsalClock()
                dialer = RehearsalDialer(called, lambda line: say([line]), over_tls=over_tls)
                prober = replace(
                    self._prober(resolved, called, threading.Event()),
                    dialer=dialer,
                    sleep=clock.sleep,
                    now=clock.now,
                    rehearsal=True,
                )
                survey(prober, self.consent, progress=lambda check: say([f"# {check}"]))

    def _prober(self, resolved: Resolved, called: str, halted: threading.Event) -> Prober:
        if resolved.endpoint is None:
            raise ValueError("a target without an address has no prober")
        most = INTRUSIVE_CONNECTIONS if self.consent.covers(Mode.INTRUSIVE, str(resolved.named)) else None
        tempo = Tempo(interval=self.interval)
        return Prober(
            Target(str(resolved.named), resolved.endpoint, called),
            replace(self.inputs, host_name=None if _is_address(resolved.named.host) else resolved.named.host),
            SocketDialer(),
            Patience(),
            tempo if most is None else replace(tempo, most_connections=most),
            permits=lambda endpoint: self._permits(endpoint, resolved),
            halted=lambda: self._halted(halted),
        )

    def _permits(self, endpoint: Endpoint, target: Resolved) -> bool:
        named = {target.endpoint, *(service.endpoint for service in self.inputs.dicomweb), *self.inputs.beyond_channel}
        return self.scope.covers(endpoint.address) and (endpoint in named or endpoint.port in self.scope.ports)

    def _halted(self, halted: threading.Event) -> str | None:
        if halted.is_set():
            return "interrupted by the user"
        window = self.scope.window
        if window is not None and datetime.now().astimezone() >= window.ends:
            return "the window of the scope has ended"
        return None

    def _kind(self) -> dict[str, object]:
        """What must be the same for a state file to be used again."""
        facts, consent = self.scope.facts(), self.consent
        return {
            "authorised": facts.text,
            "called": self.called_ae_title,
            "consent": [consent.count, consent.intrusive, *sorted(consent.lab)],
        }


@contextmanager
def _progress(targets: int, checks: int) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; elsewhere one line for each target that is done."""
    if not sys.stderr.isatty():
        yield (
            lambda progress: (
                None
                if progress.report is None
                else print(f"{progress.target}: {progress.report.state}", file=sys.stderr)
            )
        )
        return
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("assessing", total=targets * checks)
        done: dict[str, int] = {}

        def heard(progress: Progress) -> None:
            before = done.get(progress.target, 0)
            done[progress.target] = checks if progress.report is not None else before + 1
            shown = progress.check_id or "done"
            bar.update(task, advance=done[progress.target] - before, description=f"{progress.target} {shown}")

        yield heard


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
