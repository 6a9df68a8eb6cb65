"""Probers for tests: quick, on loopback, with everything allowed unless said otherwise."""

from __future__ import annotations

from dicomgate.assess.dialogue import Patience
from dicomgate.assess.inputs import Inputs
from dicomgate.assess.line import Dialer, Endpoint, SocketDialer
from dicomgate.assess.model import Consent, Outcome, TargetReport
from dicomgate.assess.prober import Prober, Target, Tempo

QUICK = Patience(connect=1.0, answer=1.0, operation=2.0, release=0.5)
FAST = Tempo(
    interval=0.0, most_connections=200, idle_seconds=0.4, drip_seconds=0.6, drip_interval=0.2, watch_seconds=1.0
)


def prober(
    endpoint: Endpoint,
    called: str = "ARCHIVE",
    inputs: Inputs | None = None,
    *,
    dialer: Dialer | None = None,
    patience: Patience = QUICK,
    tempo: Tempo = FAST,
) -> Prober:
    return Prober(
        Target(str(endpoint), endpoint, called),
        inputs or Inputs(),
        dialer or SocketDialer(),
        patience,
        tempo,
        permits=lambda other: other.address.startswith("127."),
    )


def everything(endpoint: Endpoint) -> Consent:
    """Every mode."""
    return Consent(count=True, intrusive=True, lab=frozenset({str(endpoint)}))


def outcomes(report: TargetReport, *wanted: Outcome) -> dict[str, str]:
    """The checks with one of these outcomes, and why."""
    return {result.check.id: result.judgement.why for result in report.results if result.outcome in wanted}
