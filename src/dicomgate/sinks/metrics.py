"""Numbers about a gate: records and readings in, Prometheus' text format out.

Counters are fed by the records on their way to the store, on the event loop: a few dictionary increments a record, no
lock. What is a state and not an event is read by callables when somebody asks. Labels are bounded: names of peers,
archives, listeners and sinks come from the configuration only, all other labels from words of the gate; nothing that
a caller can invent (an AE title, a UID, an address) ever becomes a label.
"""

import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from dicomgate.audit.plain import plain
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.audit.sink import Recorded, RecordSink
from dicomgate.policy.model import Verb

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER, NONE, UNMATCHED = "other", "none", "(unmatched)"
MOST_WORDS = 200
"""Different words of the gate that one label may take; the rules and answers of this version are some dozens."""
MOST_PENDING = 10_000
"""Associations that are remembered between their request and their verdict."""

SETUP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OPERATION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)

Labels = tuple[str, ...]
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Reading = Callable[[], Iterable[tuple[Labels, float]]]
"""The present values of a gauge, each with its labels. Called on the thread that serves; a value that cannot be had
now is left out."""


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: they are keys, looked up with every record
class Metric:
    """What docs/reference/metrics.md lists; a counter's name is shown with `_total` behind it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()


class Counters:
    """The metrics that records feed."""

    ASSOCIATIONS = Metric(
        "dicomgate_associations",
        "counter",
        "Associations asked for, by what became of them.",
        ("outcome", "peer", "archive"),
    )
    REFUSALS = Metric("dicomgate_refusals", "counter", "Refusals by rule and answer.", ("stage", "rule", "answer"))
    OPERATIONS = Metric(
        "dicomgate_operations",
        "counter",
        "DIMSE operations that were passed on.",
        ("verb", "outcome", "peer", "archive"),
    )
    BYTES = Metric(
        "dicomgate_bytes", "counter", "Bytes received on ended associations, both sides.", ("peer", "archive")
    )
    DATA_SET_BYTES = Metric("dicomgate_data_set_bytes", "counter", "Bytes of data sets relayed.", ("verb",))
    ENDED = Metric("dicomgate_associations_ended", "counter", "Associations that are over.", ("outcome",))
    IDENTITIES = Metric("dicomgate_identities", "counter", "User identities that were judged.", ("outcome",))
    RECORDS = Metric("dicomgate_records", "counter", "Records made.", ("event",))
    LOST = Metric("dicomgate_records_lost", "counter", "Records that could not be kept.")
    SETUP = Metric(
        "dicomgate_association_setup_seconds",
        "histogram",
        "From the A-ASSOCIATE-RQ until its admission is on disk: rules, identity, commit.",
        (),
        SETUP_BUCKETS,
    )
    OPERATION_TIME = Metric(
        "dicomgate_operation_seconds",
        "histogram",
        "From a request to its final response.",
        ("verb",),
        OPERATION_BUCKETS,
    )


COUNTERS: tuple[Metric, ...] = tuple(each for each in vars(Counters).values() if isinstance(each, Metric))


class Gauges:
    """The metrics that are read when somebody asks. cli/ has a reading for each."""

    RUNNING = Metric("dicomgate_associations_running", "gauge", "Associations that are open.")
    HALF_OPEN = Metric("dicomgate_half_open", "gauge", "Connections without a whole A-ASSOCIATE-RQ.")
    ARCHIVE_RUNNING = Metric("dicomgate_archive_associations_running", "gauge", "Open associations.", ("archive",))
    ARCHIVE_UP = Metric(
        "dicomgate_archive_up", "gauge", "0 when the last connect to every address of the archive failed.", ("archive",)
    )
    CERTIFICATE_DAYS = Metric(
        "dicomgate_certificate_days_left", "gauge", "Days until the certificate in use at a place ends.", ("place",)
    )
    STORE_UP = Metric("dicomgate_store_up", "gauge", "1 when records can be made durable.")
    READY = Metric("dicomgate_ready", "gauge", "1 when /readyz says so.")
    SINK_UP = Metric("dicomgate_sink_up", "gauge", "1 when the sink delivers.", ("sink",))
    SINK_BEHIND = Metric(
        "dicomgate_sink_behind_records", "gauge", "Records that the sink has still to deliver surely.", ("sink",)
    )
    SINK_FAILURES = Metric("dicomgate_sink_failures", "counter", "Attempts to deliver that failed.", ("sink",))
    SINK_PASSED_OVER = Metric(
        "dicomgate_sink_passed_over", "counter", "Records that the repository will never take.", ("sink",)
    )
    CHANNEL_UP = Metric("dicomgate_channel_up", "gauge", "1 when the channel carries traffic.", ("channel",))
    BANS = Metric("dicomgate_bans", "gauge", "Bans that the gate knows of. Detectors place no more than 10,000.")
    BANS_WAITING = Metric("dicomgate_bans_waiting", "gauge", "Changes to bans that are still to be written.")
    CHECKPOINT_AGE = Metric("dicomgate_checkpoint_age_seconds", "gauge", "Since the newest signed checkpoint.")
    BUILD = Metric("dicomgate_build_info", "gauge", "Always 1.", ("version",))


GAUGES: tuple[Metric, ...] = tuple(each for each in vars(Gauges).values() if isinstance(each, Metric))


class Tally:
    """A RecordSink that counts what passes through to the one behind it. `submit` is for the event loop's thread."""

    def __init__(self, sink: RecordSink, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._clock = clock
        self._counts: dict[Metric, dict[Labels, float]] = {each: {} for each in COUNTERS if not each.buckets}
        self._times: dict[Metric, dict[Labels, list[float]]] = {each: {} for each in COUNTERS if each.buckets}
        self._records = dict.fromkeys(Event, 0.0)
        self._peers: frozenset[str] = frozenset()
        self._archives: frozenset[str] = frozenset()
        self._known: dict[tuple[str | None, str | None], tuple[str, str]] = {}
        self._rules = _Words(lambda rule: re.sub(r"\[[^\]]*\]", "", rule))
        self._causes = _Words(str)
        self._requested: dict[str, float] = {}
        self._see: Mapping[str, Callable[[Record], None]] = {
            Event.CONNECTION_REFUSED: partial(self._refused, "connection"),
            Event.ASSOCIATION_REQUESTED: self._association_requested,
            Event.IDENTITY_VERIFIED: self._identity,
            Event.IDENTITY_REFUSED: self._identity,
            Event.ASSOCIATION_ADMITTED: self._association_admitted,
            Event.ASSOCIATION_REFUSED: self._association_refused,
            Event.ASSOCIATION_ENDED: self._association_ended,
            Event.OPERATION: self._operation,
            Event.OPERATION_REFUSED: partial(self._refused, "operation"),
            Event.INSTANCE_CHANGED: self._changed,
            Event.RECORDS_LOST: self._lost,
        }

    def name(self, peers: Iterable[str], archives: Iterable[str]) -> None:
        """The names that may become labels: those of the configuration in force."""
        self._peers, self._archives = frozenset((*peers, UNMATCHED)), frozenset(archives)
        self._known = {}

    @property
    def failing(self) -> str | None:
        return self._sink.failing

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        """Count, and hand on."""
        for record in records:
            event = record.event
            self._records[event] += 1
            see = self._see.get(event)
            if see is not None:
                see(record)
            if event is Event.ASSOCIATION_ADMITTED:
                admitted = self._requested.pop(record.association or "", record.time)
                if done is not None:
                    done = partial(self._durable, admitted, done)
        self._sink.submit(records, done)

    def families(self) -> Iterator[Family]:
        """What was counted so far. From any thread."""
        made: dict[Labels, float] = {(event.value,): count for event, count in self._records.items() if count}
        self._counts[Counters.RECORDS] = made
        for metric, counts in self._counts.items():
            family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in counts.copy().items():
                family.add_metric(labels, value)
            yield family
        for metric, times in self._times.items():
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, bins in times.copy().items():
                histogram.add_metric(labels, *_cumulated(metric.buckets, bins))
            yield histogram

    # -- by event ----------------------------------------------------------------------------------------------

    def _association_requested(self, record: Record) -> None:
        if len(self._requested) < MOST_PENDING and record.association is not None:
            self._requested[record.association] = record.time

    def _identity(self, record: Record) -> None:
        """`cause` is a word of the verifiers' contract; a verified user has none."""
        cause = record.detail.get("cause")
        self._add(Counters.IDENTITIES, (self._causes.of(cause) if isinstance(cause, str) else "verified",))

    def _association_admitted(self, record: Record) -> None:
        outcome = "would_refuse" if record.outcome is Outcome.WOULD_REFUSE else "admitted"
        self._add(Counters.ASSOCIATIONS, (outcome, *self._names(record)))

    def _association_refused(self, record: Record) -> None:
        self._requested.pop(record.association or "", None)
        self._add(Counters.ASSOCIATIONS, ("refused", *self._names(record)), _times(record))
        self._refused("association", record)

    def _association_ended(self, record: Record) -> None:
        self._requested.pop(record.association or "", None)
        self._add(Counters.ENDED, (record.outcome,))
        self._add(Counters.BYTES, self._names(record), record.bytes or 0)

    def _operation(self, record: Record) -> None:
        verb = _verb(record)
        self._add(Counters.OPERATIONS, (verb, record.outcome, *self._names(record)))
        self._add(Counters.DATA_SET_BYTES, (verb,), record.bytes or 0)
        self._time(Counters.OPERATION_TIME, (verb,), record.duration or 0.0)

    def _refused(self, stage: str, record: Record) -> None:
        rule, answer = self._rules.of(record.rule), _answer(record.status)
        self._add(Counters.REFUSALS, (stage, rule, answer), _times(record))

    def _changed(self, record: Record) -> None:
        if record.outcome is Outcome.REFUSED:
            self._refused("operation", record)

    def _lost(self, record: Record) -> None:
        count = record.detail.get("count")
        self._add(Counters.LOST, (), count if isinstance(count, int) else 1)

    def _durable(self, requested: float, done: Recorded, durable: bool) -> None:
        if durable:
            self._time(Counters.SETUP, (), self._clock() - requested)
        done(durable)

    # -- counting ----------------------------------------------------------------------------------------------

    def _names(self, record: Record) -> tuple[str, str]:
        asked = record.peer, record.archive
        if (found := self._known.get(asked)) is not None:
            return found
        found = _one_of(self._peers, record.peer), _one_of(self._archives, record.archive)
        if OTHER not in found:  # so that it stays as bounded as the configuration
            self._known[asked] = found
        return found

    def _add(self, metric: Metric, labels: Labels, amount: float = 1) -> None:
        counts = self._counts[metric]
        try:
            counts[labels] += amount
        except KeyError:
            counts[labels] = amount

    def _time(self, metric: Metric, labels: Labels, seconds: float) -> None:
        bins = self._times[metric].get(labels)
        if bins is None:
            bins = self._times[metric][labels] = [0.0] * (len(metric.buckets) + 2)
        bins[bisect_left(metric.buckets, seconds)] += 1
        bins[-1] += seconds


class _Words:
    """Words of the gate as label values, at most so many."""

    def __init__(self, shorten: Callable[[str], str]) -> None:
        self._shorten = shorten
        self._known: set[str] = set()

    def of(self, word: str | None) -> str:
        if not word:
            return NONE
        short = plain(self._shorten(word))
        if short not in self._known:
            if len(self._known) >= MOST_WORDS:
                return OTHER
            self._known.add(short)
        return short


_ANSWER = re.compile(r"[0-9]/[0-9]/[0-9]|[0-9A-F]{4}|abort [0-9]/[0-9]")
"""Of a refusal only: a status that an archive invents is in no refusal."""
_VERBS = frozenset(verb.value for verb in Verb)


def _verb(record: Record) -> str:
    return _one_of(_VERBS, record.verb)


def _one_of(known: frozenset[str], name: str | None) -> str:
    if name is None:
        return NONE
    return name if name in known else OTHER


def _answer(status: str | None) -> str:
    """What the other side was told, if it is one of the few things that can be."""
    if status is None:
        return NONE
    return status if _ANSWER.fullmatch(status) else OTHER


def _times(record: Record) -> int:
    """How many refusals a record stands for: under a flood one stands for many."""
    repeated = record.detail.get("repeated")
    return repeated if isinstance(repeated, int) else 1


def _cumulated(buckets: tuple[float, ...], bins: list[float]) -> tuple[list[tuple[str, float]], float]:
    *counts, total_seconds = bins
    so_far = 0.0
    cumulated = []
    for bound, count in zip((*map(str, buckets), "+Inf"), counts, strict=True):
        so_far += count
        cumulated.append((bound, so_far))
    return cumulated, total_seconds


class Exposition(Collector):
    """Everything on one page. `readings` are looked up by their metric; one without a reading is not shown."""

    def __init__(self, tally: Tally, readings: Mapping[Metric, Reading]) -> None:
        self._tally = tally
        self._readings = readings
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The page, in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Family]:
        """Nothing is collected before somebody asks."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        yield from self._tally.families()
        for metric, reading in self._readings.items():
            family: CounterMetricFamily | GaugeMetricFamily
            if metric.kind == "counter":
                family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            else:
                family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, value in reading():
                family.add_metric(labels, value)
            yield family
