"""Rounds, series and tables. In: paths and a function that measures one of them once; out: medians, spreads, ratios.

Paths take turns (A B C A B C …) so that a machine that grows slower or faster in the meantime treats them alike.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.paths import UNLIMITED, Direct, Gate, GateOptions, HAProxy, Nginx, RelayPath
from bench.process import MeasurementError
from bench.tls import Identity, identity

Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. Sizes in bytes where the name does not say otherwise."""

    room: Path
    rounds: int = 5
    gigabytes: float = 2.0
    images: int = 400
    echoes: int = 500
    objects: int = 4
    object_megabytes: int = 100
    associations: int = 4000
    idle: int = 3000
    hostile: int = 2000
    probe_seconds: float = 20.0
    only: frozenset[str] = frozenset()
    """Names of the paths to measure; empty means all."""
    profile: bool = False

    @property
    def few_rounds(self) -> int:
        """For rows whose slow paths take a minute a round and hardly vary."""
        return min(self.rounds, 3)

    def gate(self) -> Gate:
        """The gate with its default limits."""
        return Gate(GateOptions(profile=self.profile))

    def tls_gate(self, name: str = "gate") -> Gate:
        """The same, with TLS for its clients."""
        return Gate(GateOptions(tls=self.tls, profile=self.profile), name)

    @property
    def tls(self) -> Identity:
        """The certificate of every relay that speaks TLS."""
        return identity(self.room / "tls")

    def unlimited_gate(self, name: str = "gate") -> Gate:
        """The gate with every cap on how many raised out of the way."""
        return Gate(GateOptions(limits=UNLIMITED, max_associations=20000, profile=self.profile), name)

    def watchful_gate(self, name: str) -> Gate:
        """The gate with the tamper alarm on."""
        return Gate(GateOptions(tamper="refuse", profile=self.profile), name)

    def holding_gate(self, name: str) -> Gate:
        """The same, where the archive hears of nothing that is not found good."""
        return Gate(GateOptions(tamper="refuse", tamper_hold="object", profile=self.profile), name)

    def chosen(self, paths: Sequence[RelayPath]) -> list[RelayPath]:
        """Those of `paths` that this run is to measure; "nginx" and "gate" stand for all their variants."""
        return [path for path in paths if not self.only or path.name.split()[0].rstrip(",") in self.only]

    def usual(self, *nginx_buffers: int | None) -> list[RelayPath]:
        """direct, haproxy, nginx with each of these buffers, gate."""
        return self.chosen([Direct(), HAProxy(), *map(Nginx, nginx_buffers), self.gate()])


@dataclass(frozen=True, slots=True)
class Metric:
    """One column. `scale` turns the measured value (SI base units) into what is printed."""

    key: str
    heading: str
    scale: float = 1.0
    digits: int = 2

    def show(self, values: Sequence[float]) -> str:
        """Median and, in brackets, the lowest and highest round."""
        if not values:
            return "-"
        middle, low, high = (f"{value * self.scale:,.{self.digits}f}" for value in spread(values))
        return middle if len(values) == 1 else f"{middle} ({low}-{high})"


@dataclass(frozen=True, slots=True)
class Ratio:
    """`metric` of the gate divided by that of `reference`, round by round, beside its targets."""

    what: str
    metric: str
    reference: str
    good: float
    aim: float
    subject: str = "gate"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A target without a reference: `metric` of the gate in its own unit (scaled as printed)."""

    what: str
    metric: str
    unit: str
    good: float
    aim: float
    scale: float = 1.0
    subject: str = "gate"


@dataclass(slots=True)
class Table:
    """One table of the report: what was measured, on which paths, beside which targets."""

    title: str
    sentence: str
    metrics: tuple[Metric, ...]
    targets: tuple[Ratio | Ceiling, ...] = ()
    series: dict[str, list[Values]] = field(default_factory=dict)
    """Path name → one dictionary of metric keys per round."""
    failures: dict[str, str] = field(default_factory=dict)
    """Path name → why it could not be measured."""

    def values(self, path: str, metric: str) -> list[float]:
        return [values[metric] for values in self.series.get(path, ()) if metric in values]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)


def reached(table: Table, target: Ratio | Ceiling) -> tuple[float, float, float] | None:
    """Median, lowest and highest of what the target is about; None if it was not measured."""
    subject = table.values(target.subject, target.metric)
    if isinstance(target, Ceiling):
        return spread([value * target.scale for value in subject]) if subject else None
    reference = table.values(target.reference, target.metric)
    ratios = [ours / theirs for ours, theirs in zip(subject, reference, strict=False) if theirs]
    return spread(ratios) if ratios else None


def say(text: str) -> None:
    """Progress: to stderr, the report alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def take_turns(table: Table, paths: Sequence[RelayPath], rounds: int, once: Callable[[RelayPath], Values]) -> Table:
    """Measure each path `rounds` times in turn. A path that fails is left out from then on, with its reason."""
    for number in range(rounds):
        for path in paths:
            if path.name in table.failures:
                continue
            try:
                values = once(path)
            except (MeasurementError, subprocess.SubprocessError, OSError) as failure:
                table.failures[path.name] = str(failure)
                say(f"  {path.name}: could not be measured: {failure}")
                continue
            table.series.setdefault(path.name, []).append(values)
            shown = ", ".join(f"{metric.heading} {metric.show([values[metric.key]])}"
                              for metric in table.metrics if metric.key in values)  # fmt: skip
            say(f"  round {number + 1}/{rounds}  {path.name:<14} {shown}")
    return table
