"""`dicomgate run`: the parts of a gate are put together here, and here only."""

import asyncio
import gc
import resource
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.channel.watch import Change, Watcher
from dicomgate.cli.delivery import Delivery
from dicomgate.cli.detection import Detection
from dicomgate.cli.identity import UserIdentity
from dicomgate.cli.introduction import Introduction, IntroductionError
from dicomgate.cli.metrics import KEY_SET, MetricsServer, Observed, key_set_page
from dicomgate.cli.revocations import Authorities
from dicomgate.cli.speech import ConfigFile, fail, say, warn
from dicomgate.config.load import Configuration, load
from dicomgate.config.problem import ConfigurationError
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.gate.tls import TlsFilesError
from dicomgate.sinks.alerts import AlertsError
from dicomgate.sinks.metrics import Tally
from dicomgate.sinks.settings import FhirSettings, SyslogSettings
from dicomgate.store.checkpoints import Checkpoints
from dicomgate.store.concealment import Concealment
from dicomgate.store.database import StoreError, open_store, path_of
from dicomgate.store.feed import CheckpointFeed, Feed
from dicomgate.store.instances import StoredInstances
from dicomgate.store.keys import pseudonym_key, signer
from dicomgate.store.recorder import Recorder
from dicomgate.store.retention import Retention
from dicomgate.store.tail import Tail


def run(
    config: ConfigFile,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every association and operation.")] = False,
) -> None:
    """Run the gate until SIGTERM (drains) or SIGINT; SIGHUP reloads the configuration."""
    configuration = load(config)
    warn(configuration)
    engine = open_store(configuration.state, configuration.base)
    _raise_open_files()
    _leave_no_core_dump()
    _calm_the_collector()
    loop = asyncio.new_event_loop()
    journal = Journal(verbose=verbose)
    detection = Detection(configuration, engine, partial(_call_on, loop), journal)
    revocations = Authorities(loop.call_soon_threadsafe)
    introduction = _introduction(configuration, engine, journal)
    gate: Gate | None = None
    key_file = configuration.trail.pseudonym_key_of(path_of(engine))
    concealment = Concealment(pseudonym_key(key_file), sealing=_some_name_patients(configuration))
    tail = Tail()
    feed = Feed(engine, tail)
    delivery = Delivery(
        feed,
        CheckpointFeed(engine),
        lambda sink, why: _call_on(loop, lambda: gate.report_delivery(sink, why) if gate else None),
        lambda sink, number, why: journal.say("error", "record_passed_over", sink=sink, sequence=number, reason=why),
        concealment.reveal,
    )
    checkpoints = _checkpoints(configuration, engine, journal, delivery)
    recorder = Recorder(
        engine,
        loop.call_soon_threadsafe,
        lambda reason: gate.report_sink(reason) if gate else None,
        checkpoints=checkpoints,
        retention=_retention(configuration, journal, delivery.needed),
        committed=delivery.wake,
        tail=tail,
        noticed=detection.notice,
        settled=lambda instances: gate.under_way.settled(instances) if gate else None,
    )
    tally = Tally(recorder)
    sink = detection.sink(tally)
    stored = StoredInstances(engine, loop.call_soon_threadsafe)
    if checkpoints.conflict:
        journal.say("critical", "checkpoint_conflict", reason=checkpoints.conflict)
        conflict = Record(time.time(), Event.CHECKPOINT_CONFLICT, Outcome.FAILURE, reason=checkpoints.conflict)
        sink.submit([conflict])
    identity = UserIdentity(
        configuration.identity,
        engine,
        loop.call_soon_threadsafe,
        sink,
        journal,
        hold_to=lambda standing: gate.hold_to(standing) if gate else None,
    )
    channels = Watcher(configuration.channels, lambda change: _call_on(loop, lambda: _tell(gate, change)))
    try:
        gate = Gate(
            configuration.settings,
            sink,
            journal,
            loop,
            revocations=revocations,
            desk=identity.desk,
            upstream_token=introduction.token,
            ban_store=detection.bans,
            push=detection.push,
            channels=channels,
            recollection=stored,
            conceal=concealment.conceal,
            kept_in=path_of(engine).parent,
        )
        detection.attach(gate)
        observed = Observed(
            gate, recorder, delivery, tally, configuration, channels, feed.newest_checkpoint, detection.bans
        )
        metrics = MetricsServer(observed, journal, {KEY_SET: partial(key_set_page, introduction.key_set)})
        running = _Running(
            gate,
            identity,
            introduction,
            channels,
            detection,
            observed,
            metrics,
            journal,
            config,
            concealment,
            key_file,
        )
        # Before anybody can know that the gate is up: until then a signal would end it, as is their default.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gate.drain, loop.stop)
        loop.add_signal_handler(signal.SIGHUP, _reload, running)
        metrics.use(metrics.prepare(configuration.metrics))
        # Before the first record of this run: a sink that is new begins with it.
        delivery.apply(configuration, feed.newest())
        channels.start()
        opened = gate.start()
    except OSError as error:
        channels.close()
        identity.close()
        stored.close(5)
        introduction.close()
        detection.close(_nothing)
        _close(recorder, delivery, journal)
        fail(f"cannot listen: {error.strerror or error}", "is the address this machine's, and the port free?")
    except TlsFilesError as error:  # changed since it was read and found good
        channels.close()
        identity.close()
        stored.close(5)
        introduction.close()
        detection.close(_nothing)
        _close(recorder, delivery, journal)
        fail(f"cannot speak TLS with {error.path}: {error.text}", "run dicomgate check")
    except StoreError:
        channels.close()
        identity.close()
        stored.close(5)
        introduction.close()
        detection.close(_nothing)
        _close(recorder, delivery, journal)
        raise
    _say_ready(opened)
    try:
        loop.run_forever()
    finally:
        channels.close()
        revocations.close()
        identity.close()
        stored.close(5)
        introduction.close()
        detection.close(partial(_turn, loop))
        _close(recorder, delivery, journal)
        loop.close()


def _introduction(configuration: Configuration, engine: Engine, journal: Journal) -> Introduction:
    """What tells archives who the user is, in use."""
    introduction = Introduction(
        path_of(engine), lambda reason: journal.say("warning", "sign_in_wanting", reason=reason)
    )
    try:
        introduction.use(introduction.prepare(configuration))
    except IntroductionError as error:
        journal.close()
        fail(f"cannot sign tokens for archives: {error}", "let the user that runs the gate write beside gate.state")
    return introduction


def _some_name_patients(configuration: Configuration) -> bool:
    """Nobody else has any use for a Patient ID, so that otherwise none is kept."""
    return any(isinstance(each, SyslogSettings | FhirSettings) and each.patient_ids for each in configuration.sinks)


def _checkpoints(configuration: Configuration, engine: Engine, journal: Journal, delivery: Delivery) -> Checkpoints:
    """Who signs the trail, with its key and file made ready."""
    trail, store = configuration.trail, path_of(engine)

    def report(reason: str | None) -> None:
        if reason is None:
            journal.say("warning", "checkpoint_recovered")
        else:
            journal.say("error", "checkpoint_failing", reason=reason)

    return Checkpoints(
        engine,
        signer(trail.signing_key_of(store), configuration.settings.name),
        trail.checkpoints_of(store),
        interval=trail.checkpoint_interval,
        records=trail.checkpoint_records,
        report=report,
        announce=delivery.wake_witnesses,
    )


def _retention(configuration: Configuration, journal: Journal, needed: Callable[[], int | None]) -> Retention | None:
    """`needed`: the first record that a sink has not yet delivered."""
    if configuration.trail.keep is None:
        return None
    return Retention(
        configuration.trail.keep,
        needed=needed,
        report=lambda reason: journal.say("error", "retention_failing", reason=reason),
    )


@dataclass(frozen=True, slots=True)
class _Running:
    """What a reload changes."""

    gate: Gate
    identity: UserIdentity
    introduction: Introduction
    channels: Watcher
    detection: Detection
    observed: Observed
    metrics: MetricsServer
    journal: Journal
    file: Path
    concealment: Concealment
    key_file: Path


def _reload(running: _Running) -> None:
    """SIGHUP: a bad file keeps the old settings and says why."""
    gate, observed, metrics = running.gate, running.observed, running.metrics
    try:
        fresh = load(running.file)
        if fresh.state != observed.configuration.state:
            gate.refuse_reload("gate.state cannot change while the gate runs; restart it")
            return
        if fresh.trail != observed.configuration.trail:
            gate.refuse_reload("only audit.on_failure can change in [audit] while the gate runs; restart it")
            return
        means = running.introduction.prepare(fresh)
        key = pseudonym_key(running.key_file)  # it may have been rotated
        senders = running.detection.prepare(fresh)
        prepared = metrics.prepare(fresh.metrics)
        try:
            opened = gate.reload(fresh.settings)
        except BaseException:
            metrics.discard(prepared)
            raise
        running.identity.reload(fresh.identity)
        running.introduction.use(means)
        running.concealment.use(key, sealing=_some_name_patients(fresh))
        running.channels.reload(fresh.channels)
        running.detection.reload(fresh, senders)
        metrics.use(prepared)
        observed.use(fresh)
        _say_ready(opened)
    except ConfigurationError as error:
        for problem in error.problems:
            running.journal.say("error", "configuration_problem", text=str(problem))
        gate.refuse_reload("; ".join(str(problem).splitlines()[0] for problem in error.problems[:5]))
    except IntroductionError as error:
        gate.refuse_reload(f"cannot sign tokens for archives: {error}")
    except StoreError as error:
        gate.refuse_reload(str(error).splitlines()[0])
    except AlertsError as error:
        gate.refuse_reload(str(error))
    except TlsFilesError as error:  # changed since it was read and found good
        gate.refuse_reload(f"cannot speak TLS with {error.path}: {error.text}")
    except OSError as error:
        gate.refuse_reload(f"cannot listen: {error.strerror or error}")


def _close(recorder: Recorder, delivery: Delivery, journal: Journal) -> None:
    """The last records, then the sinks, which still deliver them; what cannot be done in time is said."""
    if lost := recorder.close(10):
        journal.say("critical", "records_lost", count=lost)
    for sink in delivery.close(10):
        journal.say("warning", "sink_unfinished", sink=sink)
    journal.close()


def _call_on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed, and with it whoever was to be told
        loop.call_soon_threadsafe(call)


def _tell(gate: Gate | None, change: Change) -> None:
    if gate is not None:
        gate.channel_changed(change.name, change.up, change.why)


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    """What was called for from other threads before the loop ended."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def _nothing() -> None:
    """There is no loop that could have been asked for anything."""


def _say_ready(opened: Iterable[tuple[str, str]]) -> None:
    for name, address in opened:
        say([f"ready {name} {address}"])


def _raise_open_files() -> None:
    """Each association takes two file descriptors; the soft limit of 1024 would end at 500."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave_no_core_dump() -> None:
    """One would hold the passcodes of who is logging in, and the gate's keys."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _calm_the_collector() -> None:
    """What is loaded now stays; associations free themselves. Measured: a tenth of an association's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
